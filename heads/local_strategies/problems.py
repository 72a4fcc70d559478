"""The local classifiers of a hierarchy: which labels each distinguishes, by strategy and by policy.

Silla & Freitas 2011, section 4 ("A survey of hierarchical classification across different application domains"). A
strategy is one of

    parent    a classifier per inner node, of its children: which child?
    node      a binary classifier per node: is it there, or below it?
    level     a classifier per level, of all nodes at the same distance from the top; for trees

A classifier per node has the documents at and below the node as positives, and its policy names the negatives (those
of HiClass, in which a document with a whole path belongs to all nodes on it):

    siblings, exclusive_siblings                  documents at and below the other children of the node's parents
    inclusive                                     documents that share no node with a path to the node
    exclusive, less_exclusive, less_inclusive     all other documents

The policies of one line differ only where a document belongs to a node without belonging to those above it. Here no
document does, so they are the same. A policy that leaves a node no negatives is replaced by siblings there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from heads.local_strategies.label_graph import LabelGraph

__all__ = ["LocalExamples", "Policy", "Problem", "Strategy", "local_problems"]

Strategy: TypeAlias = Literal["parent", "node", "level"]
Policy: TypeAlias = Literal[
    "siblings", "inclusive", "exclusive", "less_exclusive", "less_inclusive", "exclusive_siblings"
]


@dataclass(frozen=True, eq=False)
class Problem:
    """What one local classifier decides.

    name: of the node, or the level, for people to read.
    classes: the names of its classes, at least two.
    labels, codes, shares: (entries,), a document of that label is an example of that class, with that weight. A label
        has several entries only if it has several parents.
    edges, columns: (edges,), the log-probability of which class is the strength of which edge of the graph.
    """

    name: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    codes: NDArray[np.int64]
    shares: NDArray[np.float64]
    edges: NDArray[np.int64]
    columns: NDArray[np.int64]

    def examples(
        self, documents_of: Sequence[NDArray[np.int64]], weight: NDArray[np.float64], sample_weight: NDArray[np.float64]
    ) -> "LocalExamples":
        """The documents of the problem.

        Args:
            documents_of: for each label, the rows of its documents.
            weight: float64 (documents,), with class weights.
            sample_weight: float64 (documents,), without.
        """
        counts = [len(documents_of[label]) for label in self.labels.tolist()]
        rows = np.concatenate([documents_of[label] for label in self.labels.tolist()])
        order = np.argsort(rows, kind="stable")
        codes, shares = np.repeat(self.codes, counts)[order], np.repeat(self.shares, counts)[order]
        rows = rows[order]
        return LocalExamples(rows, codes, weight[rows] * shares, sample_weight[rows] * shares)


@dataclass(frozen=True, eq=False)
class LocalExamples:
    """The documents of one problem: rows of the documents of all problems, in increasing order, and codes of classes.

    weight, sample_weight: float64 (examples,), with and without class weights.
    """

    rows: NDArray[np.int64]
    y: NDArray[np.int64]
    weight: NDArray[np.float64]
    sample_weight: NDArray[np.float64]

    @property
    def documents(self) -> int:
        """How many documents there are; one with several parents may be several examples."""
        return len(np.unique(self.rows))

    @property
    def log_shares(self) -> NDArray[np.float64]:
        """The logarithm of the share of each class, by weight: float64 (classes,)."""
        counts = np.bincount(self.y, weights=self.weight)
        return np.asarray(np.log(counts / counts.sum()))

    @property
    def class_weight(self) -> dict[int, float]:
        """The mean class weight of the examples of each class."""
        weight, sample_weight = (np.bincount(self.y, weights=each) for each in (self.weight, self.sample_weight))
        return dict(enumerate((weight / sample_weight).tolist()))


def local_problems(graph: LabelGraph, strategy: Strategy, policy: Policy) -> list[Problem]:
    """The problems of a strategy, without those of one class, which need no classifier.

    Args:
        graph: of the labels; a tree if the strategy is "level".
        strategy: as above.
        policy: for the strategy "node", as above.
    """
    if strategy == "node":
        problems = _per_node(graph, policy)
    else:
        problems = _per_parent(graph) if strategy == "parent" else _per_level(graph)
    return list(problems)


def _per_parent(graph: LabelGraph) -> Iterator[Problem]:
    for node in graph.inner:
        edges = graph.edges_below[node]
        if len(edges) > 1:
            entries = [
                (label, code, share)
                for code, edge in enumerate(edges.tolist())
                for label, share in graph.edge_shares[edge].items()
            ]
            classes = tuple(_class_name(graph, child) for child in graph.children[node])
            yield _problem(graph.names[node], classes, entries, edges, np.arange(len(edges)))


def _per_level(graph: LabelGraph) -> Iterator[Problem]:
    for depth in range(1, int(graph.depths.max()) + 1):
        nodes = np.flatnonzero(graph.depths == depth).tolist()
        if len(nodes) > 1:
            code_of = {node: code for code, node in enumerate(nodes)}
            entries = [(label, code_of[node], 1.0) for node in nodes for label in graph.labels_below[node]]
            ends = [(edge, code_of[node]) for edge, node in graph.numbered_edges() if node in code_of]
            classes = tuple(_class_name(graph, node) for node in nodes)
            yield _problem(f"level {depth}", classes, entries, *np.array(ends).T)


def _per_node(graph: LabelGraph, policy: Policy) -> Iterator[Problem]:
    edges_to: list[list[int]] = [[] for _ in range(len(graph))]
    for edge, node in graph.numbered_edges():
        edges_to[node].append(edge)
    for node in range(len(graph) - 1):
        siblings = {child for parent in graph.parents[node] for child in graph.children[parent]} - {node}
        negatives = _negatives(graph, node, siblings, policy) or _negatives(graph, node, siblings, "siblings")
        if siblings and negatives:  # a graph can have a node below all of its siblings
            entries = [(label, 0, 1.0) for label in negatives]
            entries += [(label, 1, 1.0) for label in graph.labels_below[node]]
            name, edges = _class_name(graph, node), np.array(edges_to[node])
            yield _problem(name, ("others", name), entries, edges, np.ones_like(edges))


def _negatives(graph: LabelGraph, node: int, siblings: set[int], policy: Policy) -> frozenset[int]:
    positives = graph.labels_below[node]
    if policy in ("siblings", "exclusive_siblings"):
        return frozenset().union(*(graph.labels_below[sibling] for sibling in siblings)) - positives
    above = graph.ancestors(node) if policy == "inclusive" else ()
    return frozenset(range(graph.labels)).difference(positives, *(graph.labels_below[ancestor] for ancestor in above))


def _class_name(graph: LabelGraph, node: int) -> str:
    """A name that no other child of the same parent has."""
    has_own_node = node < graph.labels and graph.names[graph.parents[node][0]] == graph.names[node]
    return f"{graph.names[node]} itself" if has_own_node else graph.names[node]


def _problem(
    name: str,
    classes: tuple[str, ...],
    entries: Sequence[tuple[int, int, float]],
    edges: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> Problem:
    labels, codes, shares = zip(*sorted(entries), strict=True)
    return Problem(name, classes, np.array(labels), np.array(codes), np.array(shares), edges, columns)
