"""The nodes of a taxonomy as numbers: which labels are below which node, for score matrices and metrics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.errors import UnknownName, suggest_name
from data.splits import Strata
from data.taxonomy import Taxonomy

__all__ = ["MIN_STRATUM", "Hierarchy", "Parents", "children_of", "parents_first"]

Parents: TypeAlias = tuple[tuple[int, ...], ...]  # of each node, by code; () for a node at the top

MIN_STRATUM = 5  # documents of a node by which documents are stratified: one for each of five folds


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """The labels of a target and the nodes above them, numbered: first the labels, in the order of their columns.

    So the code of a label is also the code of its node, and a prediction may be a node that is no label of a document.

    names: (nodes,), the labels and then the other nodes, parents first.
    labels: how many of them are labels.
    parents: (nodes,), the codes of the parents of each node.
    """

    names: tuple[str, ...]
    labels: int
    parents: Parents

    @classmethod
    def of(cls, taxonomy: Taxonomy, labels: tuple[str, ...]) -> Self:
        """The part of a taxonomy that has these labels, which it must contain."""
        part, known = taxonomy.restricted_to(labels), set(labels)
        names = (*labels, *(node for node in part.nodes if node not in known))
        code_of = {name: code for code, name in enumerate(names)}
        return cls(names, len(labels), tuple(tuple(code_of[above] for above in part.parents[name]) for name in names))

    @classmethod
    def from_tree(cls, tree: Mapping[Any, Sequence[str]], labels: Iterable[Any]) -> Self:
        """The part of the `tree` of a head that has these labels; one that is a number is looked up by its text.

        Raises UnknownName for a label that the tree lacks, and what `Taxonomy.from_tree` raises.
        """
        taxonomy, names = Taxonomy.from_tree(tree), tuple(map(str, labels))
        for name in names:
            if name not in taxonomy:
                raise UnknownName(f"The tree has no '{name}'.{suggest_name(name, taxonomy.nodes)}")
        return cls.of(taxonomy, names)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The same nodes by name."""
        above = (tuple(self.names[parent] for parent in parents) for parents in self.parents)
        return Taxonomy.from_parents(dict(zip(self.names, above, strict=True)))

    @cached_property
    def is_tree(self) -> bool:
        """Whether no node has several parents."""
        return all(len(above) <= 1 for above in self.parents)

    @cached_property
    def depths(self) -> NDArray[np.int64]:
        """The number of nodes on the longest path from the top to each node: int64 (nodes,), 1 at the top."""
        depths = np.ones(len(self), dtype=np.int64)
        for node in self.order.tolist():
            for parent in self.parents[node]:
                depths[node] = max(depths[node], depths[parent] + 1)
        return depths

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The codes of all nodes, parents before their children: int64 (nodes,)."""
        return np.array(parents_first(self.parents), dtype=np.int64)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The codes of the children of each node."""
        return children_of(self.parents)

    @cached_property
    def top(self) -> tuple[int, ...]:
        """The codes of the nodes without a parent."""
        return tuple(node for node, above in enumerate(self.parents) if not above)

    @cached_property
    def closure(self) -> Any:
        """csr_array int64 (nodes, nodes): 1 in the row of a node at itself and at each node above it."""
        from scipy.sparse import csr_array

        above: list[set[int]] = [set() for _ in self.names]
        for node in self.order.tolist():
            above[node] = {node}.union(*(above[parent] for parent in self.parents[node]))
        columns = [sorted(nodes) for nodes in above]
        starts = np.cumsum([0, *map(len, columns)])
        codes = np.array([code for nodes in columns for code in nodes], dtype=np.int64)
        return csr_array((np.ones(len(codes), dtype=np.int64), codes, starts), shape=(len(self), len(self)))

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """How many nodes are at and above each node: int64 (nodes,); in a tree this is its depth."""
        return np.asarray(np.diff(self.closure.indptr), dtype=np.int64)

    @cached_property
    def steps(self) -> Any:
        """csr_array int64 (nodes, nodes + 1): 1 + the fewest edges from a node up to each node above it and the root.

        The root is above the nodes at the top; it has the last column, and no code.
        """
        from scipy.sparse import csr_array

        above: list[dict[int, int]] = [{} for _ in self.names]
        for node in self.order.tolist():
            for parent in self.parents[node] or (len(self),):
                for code, steps in (above[parent] if self.parents[node] else {len(self): 1}).items():
                    above[node][code] = min(steps + 1, above[node].get(code, steps + 1))
            above[node][node] = 1
        rows = [sorted(steps.items()) for steps in above]
        values, codes = (np.array([pair[which] for row in rows for pair in row], dtype=np.int64) for which in (1, 0))
        return csr_array((values, codes, np.cumsum([0, *map(len, rows)])), shape=(len(self), len(self) + 1))

    def complete(self, labels: NDArray[np.bool_]) -> Any:
        """csr_array int64 (documents, nodes): 1 at each label of a document and each node above it.

        labels: (documents, labels).
        """
        from scipy.sparse import csr_array

        nodes = (csr_array(labels).astype(np.int64) @ self.closure[: self.labels]).tocsr()
        nodes.data[:] = 1
        return nodes

    def node_probabilities(self, probabilities: NDArray[Any]) -> NDArray[np.float64]:
        """The probability of each node, float64 (documents, nodes): the sum over the labels at and below it.

        probabilities: (documents, labels), of which one label is true for each document.
        """
        sums = (self.closure[: self.labels].T @ probabilities.astype(np.float64).T).T
        return np.asarray(np.minimum(sums, 1.0))  # probabilities in float32 may sum to a little more

    def shared_nodes(self, truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many nodes two codes have in common, themselves and the nodes above them: int64 (documents,)."""
        return np.asarray(self.closure[truth].multiply(self.closure[predicted]).sum(axis=1)).ravel()

    def strata(self, y: NDArray[Any]) -> Strata:
        """What documents are stratified by: the deepest node with at least `MIN_STRATUM` documents, or one at the top.

        Of several such nodes (in a graph), it is the one with the fewest documents. Documents with several labels are
        in the stratum of each node that is frequent enough.

        y: int64 (documents,), codes of labels; or bool (documents, labels), with the nodes above each label.
        """
        if y.ndim == 2:
            counts = y.sum(axis=0)
            kept = [node for node in range(self.labels) if counts[node] >= MIN_STRATUM or not self.parents[node]]
            return Strata(y[:, kept], _first_column(y, np.lexsort((-self.depths, counts))))
        counts = self.closure[: self.labels].T @ np.bincount(y, minlength=self.labels)
        is_rare, closure = counts < MIN_STRATUM, self.closure[: self.labels]
        sign = np.where(is_rare, -1, 1)
        order = np.lexsort((-self.depths * sign, counts * sign, is_rare))  # the rarest of the frequent nodes first
        rank = np.argsort(order)
        first = np.minimum.reduceat(rank[closure.indices], closure.indptr[:-1]) if self.labels else rank
        return Strata(np.asarray(order[first][y]), y)


def children_of(parents: Parents) -> Parents:
    """The codes of the children of each node, in increasing order."""
    below: list[list[int]] = [[] for _ in parents]
    for node, above in enumerate(parents):
        for parent in above:
            below[parent].append(node)
    return tuple(map(tuple, below))


def parents_first(parents: Parents) -> list[int]:
    """The codes of all nodes, parents before their children."""
    return list(TopologicalSorter(dict(enumerate(parents))).static_order())


def _first_column(y: NDArray[np.bool_], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first column in an order that is true in each row, -1 if there is none: int64 (rows,)."""
    return np.where(y.any(axis=1), order[y[:, order].argmax(axis=1)], -1) if y.size else np.full(len(y), -1)
