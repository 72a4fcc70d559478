"""The expected value of predicting each node of a hierarchy, if each document has one label.

Let C(n) be a node n with all nodes above it, m = |C(n)|, and d = |C(l)| for the true label l. Metrics of the form

    value(l, n) = |C(l) & C(n)| node(d, m) + root(d, m)

are decoded here. |C(l) & C(n)| counts the nodes a in C(n) that are also in C(l), and those l are the labels at and
below a. With P(a, d), the probability that the true label is one of them and has size d, the expected value of n is

    sum over a in C(n) and d of P(a, d) node(d, m)  +  sum over d of P(root, d) root(d, m),

where the root is above all nodes. It is linear in the probabilities of labels, and takes two sparse products: from
labels to P(a, d), for the few nodes with labels below them and the few sizes of labels; and from there to what can be
predicted.

Labels with the same parents and no labels below them differ in their own probability alone, so that only the most
probable of them can win. They are one candidate.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy

BLOCK_CELLS, MIN_BLOCK = 2**17, 64  # probabilities of a block of documents, which fit into the cache of a core

Codes = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]
Weight = Callable[[Codes, Codes], NDArray[Any]]  # of the sizes d of the true label and m of the prediction


@dataclass(frozen=True, eq=False)
class Masses:
    """Probabilities of a block of documents, not normalized.

    pairs: (pairs, documents), P(a, d) of each pair of a node and a size.
    groups: (groups, documents), of the most probable label of each group.
    total: (documents,), of all labels.
    """

    pairs: Floats
    groups: Floats
    total: Floats


@dataclass(frozen=True, eq=False)
class Candidates:
    """What can be predicted: nodes with labels below them, then groups of labels without.

    nodes: int64 (candidates - groups,), the codes of the nodes; those that stand for fewer nodes come first.
    members: int64, the labels of the groups: the first of each, then the second of each that has several, ...
    counts: int64, how many groups have a first, a second, ... label. Groups with more labels come first.
    sizes: int64 (candidates,), m, how many nodes a candidate stands for.
    node_sizes: int64 (nodes,), how many nodes each node stands for, itself included.
    pair_sizes: int64 (pairs,), the d of each pair (a, d).
    is_root: bool (pairs,), whether a is the root.
    members_of_part: csr_array float64 (parts, labels), 1 where a label is in a part: the labels of a group, or a label
        with labels below it.
    parts_of_pair: csr_array float64 (pairs, parts), 1 where a part is in P(a, d).
    pairs_above: csr_array float64 (candidates, pairs), 1 where a is in C(candidate) or the root. The label of a group
        is no a: its probability is in `Masses.groups`.
    own_pairs: csr_array float64 (candidates, pairs), 1 where a is the candidate.
    """

    nodes: Codes
    members: Codes
    counts: Codes
    sizes: Codes
    node_sizes: Codes
    pair_sizes: Codes
    is_root: NDArray[np.bool_]
    members_of_part: Any
    parts_of_pair: Any
    pairs_above: Any
    own_pairs: Any

    @classmethod
    def of(cls, hierarchy: Hierarchy, *, labels_only: bool = False) -> Self:
        """The candidates of a hierarchy. labels_only: without nodes that are no label."""
        from scipy.sparse import csr_array, hstack

        labels, codes, sizes = hierarchy.labels, np.arange(len(hierarchy)), np.diff(hierarchy.closure.indptr)
        above = hierarchy.closure[:labels]
        branches = np.flatnonzero(above.sum(axis=0) > (codes < labels))
        members, counts = _group_labels(hierarchy, np.setdiff1d(codes[:labels], branches))
        first = np.append(members[: counts[0]], branches[branches < labels])  # a label of each part
        part_of_label = np.concatenate([*map(np.arange, counts), np.arange(counts[0], len(first))])
        part, branch = above[first][:, branches].nonzero()
        part, branch = np.append(part, np.arange(len(first))), np.append(branch, np.full(len(first), len(branches)))
        keys, pair = np.unique(branch * len(codes) + sizes[first[part]] - 1, return_inverse=True)
        branch_of_pair, pair_sizes = keys // len(codes), keys % len(codes) + 1
        pairs_of_branch = _indicators(branch_of_pair, np.arange(len(keys)), (len(branches) + 1, len(keys)))
        nodes = branches[branches < labels] if labels_only else branches
        nodes = nodes[np.argsort(sizes[nodes], kind="stable")]
        candidates = np.append(nodes, members[: counts[0]])
        with_root = hstack([hierarchy.closure[candidates][:, branches], csr_array(np.ones((len(candidates), 1)))])
        itself = _indicators(
            np.arange(len(nodes)), np.searchsorted(branches, nodes), (len(candidates), len(branches) + 1)
        )
        return cls(
            nodes=nodes,
            members=members,
            counts=counts,
            sizes=sizes[candidates],
            node_sizes=sizes,
            pair_sizes=pair_sizes,
            is_root=branch_of_pair == len(branches),
            members_of_part=_indicators(part_of_label, np.append(members, first[counts[0] :]), (len(first), labels)),
            parts_of_pair=_indicators(pair, part, (len(keys), len(first))),
            pairs_above=(with_root.tocsr() @ pairs_of_branch).tocsr(),
            own_pairs=itself @ pairs_of_branch,
        )

    def masses(self, probabilities: Floats) -> Masses:
        """The masses of probabilities (labels, documents), which need not be normalized."""
        members, stop = probabilities[self.members], self.counts[0]
        groups = members[:stop]
        for count in self.counts[1:]:
            np.maximum(groups[:count], members[stop : stop + count], out=groups[:count])
            stop += count
        parts = self.members_of_part.astype(probabilities.dtype) @ probabilities
        pairs = self.parts_of_pair.astype(probabilities.dtype) @ parts
        return Masses(pairs, groups, pairs[self.is_root].sum(axis=0))

    def weigh(self, node: Weight, root: Weight) -> "ExpectedValues":
        """The expected values of a metric, given by its two functions of the module's docstring."""
        weights = self.pairs_above.tocoo()
        truth, predicted = self.pair_sizes[weights.col], self.sizes[weights.row]
        weights.data = np.where(self.is_root[weights.col], root(truth, predicted), node(truth, predicted)).astype(float)
        of_groups = self.sizes[len(self.nodes) :]
        return ExpectedValues(weights.tocsr(), np.asarray(node(of_groups, of_groups), dtype=float), len(self.nodes))

    def node_masses(self, masses: Masses) -> Floats:
        """(candidates, documents), the mass at and below each candidate."""
        at_nodes = self.own_pairs[: len(self.nodes)].astype(masses.pairs.dtype) @ masses.pairs
        return np.concatenate([at_nodes, masses.groups])

    def codes(self, chosen: Codes, scores: Callable[[Codes, Codes], Floats]) -> Codes:
        """The codes of chosen candidates.

        Args:
            chosen: int64 (documents,), candidates.
            scores: of documents and labels, to find the best label of a group.

        Returns:
            int64 (documents,), codes of nodes.
        """
        group = chosen - len(self.nodes)
        codes = np.append(self.nodes, self.members[: self.counts[0]])[chosen]
        documents = np.argsort(group, kind="stable")
        for one in np.split(documents, np.flatnonzero(np.diff(group[documents])) + 1):
            if len(one) and group[one[0]] >= 0:
                members = self.groups[group[one[0]]]
                codes[one] = members[scores(one, members).argmax(axis=1)] if len(members) > 1 else members
        return codes

    @cached_property
    def groups(self) -> list[Codes]:
        """The labels of each group."""
        starts, groups = np.cumsum(self.counts) - self.counts, range(int(self.counts[0]))
        return [self.members[starts[self.counts > group] + group] for group in groups]


@dataclass(frozen=True, eq=False)
class ExpectedValues:
    """How masses become the expected value of each candidate, times the total mass.

    pair_weights: csr_array (candidates, pairs). label_weights: (groups,), of the probability of a group's label.
    nodes: how many candidates are no groups.
    """

    pair_weights: Any
    label_weights: NDArray[np.float64]
    nodes: int

    def of(self, masses: Masses) -> Floats:
        """(candidates, documents); -inf for a group without a label that can be true, as one that was never seen."""
        dtype = masses.pairs.dtype
        values: Floats = self.pair_weights.astype(dtype) @ masses.pairs
        values[self.nodes :] += self.label_weights[:, None].astype(dtype) * masses.groups
        if masses.groups.min() <= 0:
            values[self.nodes :][masses.groups <= 0] = -np.inf
        return values


def document_blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Blocks of the rows of a score matrix that are small enough for the cache of a core."""
    rows = max(MIN_BLOCK, BLOCK_CELLS // max(1, shape[1]))
    return (slice(start, start + rows) for start in range(0, shape[0], rows))


def _group_labels(hierarchy: Hierarchy, labels: Codes) -> tuple[Codes, Codes]:
    """`members` and `counts` of labels without labels below them."""
    groups: dict[frozenset[int], list[int]] = {}
    for label in labels.tolist():
        groups.setdefault(frozenset(hierarchy.parents[label]), []).append(label)
    largest_first = sorted(groups.values(), key=len, reverse=True)
    rank = np.concatenate([np.arange(len(group)) for group in largest_first])
    members = np.concatenate([np.array(group, dtype=np.int64) for group in largest_first])
    return members[np.argsort(rank, kind="stable")], np.bincount(rank)


def _indicators(rows: Codes, columns: Codes, shape: tuple[int, int]) -> Any:
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
