"""Where predictions leave the true path: F1 of each node, mistakes at each level, and branches that are confused.

The truth and the prediction of a document are sets of nodes: its labels and all nodes above them. A node is lost if it
is true, was not predicted, and a node above it was (or it is at the top): there the predicted path leaves the true one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy

__all__ = ["BranchConfusion", "LevelMistakes", "Mistakes", "NodeMistakes", "find_mistakes"]

_Pairs: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]  # rows and nodes


@dataclass(frozen=True)
class NodeMistakes:
    """One node, in numbers of documents.

    Attributes:
        support: documents at or below the node.
        predicted: documents that were predicted at or below it.
        correct: documents of both kinds.
        lost: documents that were lost at this node: predicted above it, but not at or below it.
        lost_below: documents that were lost at a node below it.
    """

    support: int
    predicted: int
    correct: int
    lost: int
    lost_below: int = 0

    @property
    def f1(self) -> float:
        """F1 of the decision whether a document is at or below the node; 0 if no document is, and none is predicted."""
        return 2 * self.correct / max(self.support + self.predicted, 1)

    @property
    def precision(self) -> float:
        """The share of correct documents among the predicted ones; 0 if none is predicted."""
        return self.correct / max(self.predicted, 1)

    @property
    def recall(self) -> float:
        """The share of correct documents among those at or below the node; 0 if there are none."""
        return self.correct / max(self.support, 1)

    @property
    def is_correct(self) -> bool:
        """Whether every decision about the node is correct."""
        return self.support == self.predicted == self.correct


@dataclass(frozen=True)
class LevelMistakes:
    """One level, in numbers of true nodes; of labels without several parents, each is one document.

    Attributes:
        level: the level, 1 at the top.
        documents: documents whose true path reaches the level.
        correct: those that were predicted at the true node.
        other_branch: those that leave the true path here, for another node.
        stopped: those whose prediction ends above, at a node of the true path.
        left_above: those that left the true path further up.
        too_deep: documents whose true path ends above, at a node of the predicted path.
    """

    level: int
    documents: int
    correct: int
    other_branch: int
    stopped: int
    left_above: int
    too_deep: int


@dataclass(frozen=True)
class BranchConfusion:
    """Documents of one node that were predicted at another one below the same parent.

    Attributes:
        above: the common parent; "" at the top.
        true: the node that was lost.
        predicted: the node that was predicted instead.
        documents: number of documents.
        share: their share of the documents at or below the true node.
    """

    above: str
    true: str
    predicted: str
    documents: int
    share: float


@dataclass(frozen=True)
class Mistakes:
    """The mistakes of a run. nodes: by name. confusions: the most frequent ones first."""

    taxonomy: Taxonomy
    nodes: Mapping[str, NodeMistakes]
    levels: tuple[LevelMistakes, ...]
    confusions: tuple[BranchConfusion, ...]

    @cached_property
    def concerned(self) -> frozenset[str]:
        """The nodes with a mistake at or below them."""
        wrong = (node for node, counts in self.nodes.items() if not counts.is_correct)
        return frozenset(above for node in wrong for above in self.taxonomy.ancestors(node))

    def rank(self, node: str) -> tuple[int, int, str]:
        """Sorts nodes: those with the most documents that were lost at or below them come first."""
        counts = self.nodes[node]
        return -counts.lost - counts.lost_below, -counts.support, node

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "nodes": [
                {"node": node, "parents": list(self.taxonomy.parents[node]), "f1": counts.f1, **asdict(counts)}
                for node, counts in ((node, self.nodes[node]) for node in self.taxonomy.nodes)
            ],
            "levels": [asdict(level) for level in self.levels],
            "confusions": [asdict(confusion) for confusion in self.confusions],
        }


def find_mistakes(hierarchy: Hierarchy, truth: NDArray[Any], predicted: NDArray[Any]) -> Mistakes:
    """Find where predictions leave the true path.

    Args:
        hierarchy: the labels and the nodes above them.
        truth: int codes (documents,), or bool (documents, labels).
        predicted: the same, and its codes may be those of any node, or negative if none is predicted.

    Returns:
        The mistakes.
    """
    weights, true_sets, predicted_sets = _node_sets(hierarchy, truth, predicted)
    shared = true_sets.multiply(predicted_sets).tocsr()
    lost = _first_outside(hierarchy, true_sets - shared, predicted_sets)
    added = _first_outside(hierarchy, predicted_sets - shared, true_sets)
    nodes = _count_nodes(hierarchy, weights, true_sets, predicted_sets, shared, lost)
    sizes = [np.diff(sets.indptr) for sets in (true_sets, predicted_sets)]
    common = np.asarray(shared.sum(axis=1)).ravel()
    levels = _count_levels(
        hierarchy, weights, nodes, lost, added, stopped=common == sizes[1], too_deep=common == sizes[0]
    )
    return Mistakes(hierarchy.taxonomy, nodes, tuple(levels), _count_confusions(hierarchy, weights, nodes, lost, added))


def _node_sets(
    hierarchy: Hierarchy, truth: NDArray[Any], predicted: NDArray[Any]
) -> tuple[NDArray[np.int64], Any, Any]:
    """Documents per row int64 (rows,), and two csr_arrays (rows, nodes) with a 1 at each true and predicted node."""
    from scipy.sparse import csr_array

    if truth.ndim == 1:  # few pairs of codes are distinct
        codes = len(hierarchy) + 1  # the last one for no predicted node
        pairs, counts = np.unique(
            truth.astype(np.int64) * codes + np.where(predicted < 0, len(hierarchy), predicted), return_counts=True
        )
        true_codes, predicted_codes = np.divmod(pairs, codes)
        (rows,) = np.nonzero(predicted_codes < len(hierarchy))
        chosen = csr_array((np.ones_like(rows), (rows, predicted_codes[rows])), shape=(len(pairs), len(hierarchy)))
        return counts, hierarchy.closure[true_codes], chosen @ hierarchy.closure
    return np.ones(len(truth), dtype=np.int64), hierarchy.complete(truth), hierarchy.complete(predicted)


def _first_outside(hierarchy: Hierarchy, missing: Any, others: Any) -> _Pairs:
    """The nodes in `missing` with a parent in the same row of `others`, or without a parent."""
    rows, nodes = missing.nonzero()
    if not len(rows):
        return rows, nodes
    parents = [hierarchy.parents[node] for node in nodes.tolist()]
    pairs = np.repeat(np.arange(len(rows)), [len(above) for above in parents])
    above = np.array([parent for each in parents for parent in each], dtype=np.int64)
    is_first = np.array([not each for each in parents])
    if len(above):
        is_first[pairs[np.asarray(others[rows[pairs], above]).ravel() > 0]] = True
    return rows[is_first], nodes[is_first]


def _count_nodes(
    hierarchy: Hierarchy, weights: NDArray[np.int64], true_sets: Any, predicted_sets: Any, shared: Any, lost: _Pairs
) -> dict[str, NodeMistakes]:
    at_node = np.bincount(lost[1], weights=weights[lost[0]], minlength=len(hierarchy)).astype(np.int64)
    below = hierarchy.closure.T @ at_node - at_node
    columns = (weights @ true_sets, weights @ predicted_sets, weights @ shared, at_node, below)
    rows = zip(*(np.asarray(column).tolist() for column in columns), strict=True)
    return {name: NodeMistakes(*map(int, row)) for name, row in zip(hierarchy.names, rows, strict=True)}


def _count_levels(
    hierarchy: Hierarchy,
    weights: NDArray[np.int64],
    nodes: Mapping[str, NodeMistakes],
    lost: _Pairs,
    added: _Pairs,
    *,
    stopped: NDArray[np.bool_],
    too_deep: NDArray[np.bool_],
) -> Iterator[LevelMistakes]:
    """The mistakes of each level. stopped, too_deep: bool (rows,), whether one set of nodes contains the other one."""
    depths, levels = hierarchy.depths, int(hierarchy.depths.max(initial=0)) + 1

    def count(pairs: _Pairs, chosen: NDArray[np.bool_]) -> list[int]:
        rows, codes = (values[chosen[pairs[0]]] for values in pairs)
        counted: list[int] = np.bincount(depths[codes], weights=weights[rows], minlength=levels).astype(int).tolist()
        return counted

    support, correct = [0] * levels, [0] * levels
    for depth, node in zip(depths.tolist(), nodes.values(), strict=True):
        support[depth] += node.support
        correct[depth] += node.correct
    other, early, deep = count(lost, ~stopped), count(lost, stopped), count(added, too_deep)
    for level in range(1, levels):
        left_above = support[level] - correct[level] - other[level] - early[level]
        yield LevelMistakes(level, support[level], correct[level], other[level], early[level], left_above, deep[level])


def _count_confusions(
    hierarchy: Hierarchy,
    weights: NDArray[np.int64],
    nodes: Mapping[str, NodeMistakes],
    lost: _Pairs,
    added: _Pairs,
) -> tuple[BranchConfusion, ...]:
    counts: Counter[tuple[int, int, int]] = Counter()
    instead: dict[int, list[int]] = {}
    for row, node in zip(*(values.tolist() for values in added), strict=True):
        instead.setdefault(row, []).append(node)
    for row, node in zip(*(values.tolist() for values in lost), strict=True):
        for other in instead.get(row, ()):
            for parent in _common_parents(hierarchy.parents[node], hierarchy.parents[other]):
                counts[parent, node, other] += int(weights[row])
    names = (*hierarchy.names, "")  # "" at -1
    found = [
        BranchConfusion(names[above], names[node], names[other], documents, documents / nodes[names[node]].support)
        for (above, node, other), documents in counts.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.documents, -each.share, each.true, each.predicted)))


def _common_parents(one: Sequence[int], two: Sequence[int]) -> set[int]:
    """The parents of both; -1 for two nodes at the top."""
    return set(one) & set(two) if one or two else {-1}
