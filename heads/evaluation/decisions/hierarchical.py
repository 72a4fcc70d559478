"""Decision rules for labels of a hierarchy: they return one node per document, which stands for all nodes above it.

A rule carries the hierarchy as the parents of each node, with the labels first (`data.hierarchy.Hierarchy`). Its
probabilities are the softmax of the scores, after a temperature and offsets, in the precision of the scores. A rule
returns the code of a label, or of a node that is no label of a document: it stops early. With `labels_only` it does
not. The value of a prediction has a derivation in `node_values`.

`BestExpectedHF`, `BestExpectedDistance` and `BestExpectedSimilarity` are exact: no node has a higher expected value
under these probabilities. After Plaud et al. 2025, To Each Metric Its Decoding: Post-Hoc Optimal Decision Rules of
Probabilistic Hierarchical Classifiers (ICML).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy, Parents
from heads.evaluation.decisions.node_values import Candidates, Codes, ExpectedValues, Floats, Masses, document_blocks
from heads.evaluation.decisions.rules import DecisionRule, Scores, reorder_parents


@dataclass(frozen=True, kw_only=True)
class NodeRule(DecisionRule):
    """A rule that returns a node of a hierarchy.

    Attributes:
        labels: how many nodes are labels; they are the first ones.
        parents: the codes of the parents of each node.
        labels_only: whether nodes that are no label are never predicted.
        temperature: what scores are divided by, above 0.
        offsets: what is then added to the score of each label; () for nothing.
    """

    labels: int
    parents: Parents
    labels_only: bool = False
    temperature: float = 1.0
    offsets: tuple[float, ...] = ()

    @property
    def candidates(self) -> Candidates:
        """What this rule can predict."""
        return _prepare(self.labels, self.parents, labels_only=self.labels_only)

    def decide(self, scores: Scores) -> NDArray[Any]:
        """int64 (documents,), codes of nodes."""
        self.check_columns(scores)
        chosen = np.empty(len(scores), dtype=np.int64)
        for rows in document_blocks(scores.shape):
            chosen[rows] = self.choose(self.candidates.masses(self.probabilities(scores[rows])))
        return self.codes(chosen, scores)

    def codes(self, chosen: Codes, scores: Scores) -> Codes:
        """The codes of candidates, int64 (documents,), of documents with these scores."""
        return self.candidates.codes(chosen, lambda documents, labels: self._adjusted(scores, documents, labels))

    def check_columns(self, scores: Scores) -> None:
        """Raise ValueError unless there is a column per label."""
        if scores.shape[1] != self.labels:
            raise ValueError(f"the rule is for {self.labels} labels, but the scores have {scores.shape[1]} columns")

    def choose(self, masses: Masses) -> Codes:
        """The candidate of each document, int64 (documents,)."""
        raise NotImplementedError

    def probabilities(self, scores: Scores) -> Floats:
        """The probabilities of labels, not normalized: (labels, documents), of the type of the scores; 0 if unseen."""
        # a head that has seen no label of a document has only scores of -inf
        adjusted = scores if self.temperature == 1.0 else scores / scores.dtype.type(self.temperature)
        if self.offsets:
            adjusted = adjusted + np.array(self.offsets, dtype=scores.dtype)
        highest = adjusted.max(axis=1, keepdims=True)
        highest[~np.isfinite(highest)] = 0
        shifted = adjusted - highest
        return np.ascontiguousarray(np.exp(shifted, out=shifted).T)

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for reordered columns."""
        parents = reorder_parents(self.parents, order)
        return replace(self, parents=parents, offsets=tuple(self.offsets[column] for column in order if self.offsets))

    @property
    def name(self) -> str:
        """The family with what the scores are adjusted by."""
        adjustments = ["temperature"] * (self.temperature != 1.0) + ["logit adjustment"] * any(self.offsets)
        return f"{self.family} with {' and '.join(adjustments)}" if adjustments else self.family

    def _adjusted(self, scores: Scores, documents: Codes, labels: Codes) -> Scores:
        values = scores[np.ix_(documents, labels)]
        # without offsets, the temperature does not change which label is the best
        return values / self.temperature + np.array(self.offsets)[labels] if self.offsets else values


@dataclass(frozen=True, kw_only=True)
class GreedyDescent(NodeRule):
    """From the top always to the most probable child, until no label below is more probable than the node's own label.

    This heuristic ends at a label.
    """

    family: ClassVar[str] = "greedy top-down"

    @property
    def candidates(self) -> Candidates:
        """All nodes, because the descent passes those that are no label."""
        return _prepare(self.labels, self.parents, labels_only=False)

    @cached_property
    def _options(self) -> tuple[Codes, Codes]:
        return _descent_options(self.parents, self.candidates)

    def choose(self, masses: Masses) -> Codes:
        """The candidate of each document, int64 (documents,)."""
        rows, targets = self._options
        none = np.full((1, len(masses.total)), -1)
        values = np.concatenate([self.candidates.node_masses(masses), masses.pairs, none])
        documents, place = np.arange(values.shape[1]), np.full(values.shape[1], len(rows) - 1)
        while len(documents):
            options = rows[place[documents]]
            best = values[options, documents[:, None]].argmax(axis=1)
            place[documents] = targets[place[documents], best]
            documents = documents[place[documents] >= 0]
        return -1 - place


@dataclass(frozen=True, kw_only=True)
class ExactRule(NodeRule):
    """The node with the highest expected value of a metric, which has the form of `node_values`."""

    def node_weight(self, truth: Codes, predicted: Codes) -> NDArray[Any]:
        """The value of each common node, from the numbers of nodes of truth and prediction."""
        raise NotImplementedError

    def root_weight(self, truth: Codes, predicted: Codes) -> NDArray[Any]:
        """What is added to the value of all common nodes."""
        return np.zeros(np.broadcast(truth, predicted).shape)

    @cached_property
    def expected_values(self) -> ExpectedValues:
        """The expected value of each candidate."""
        return self.candidates.weigh(self.node_weight, self.root_weight)

    def choose(self, masses: Masses) -> Codes:
        """The candidate of each document, int64 (documents,)."""
        return np.asarray(self.expected_values.of(masses).argmax(axis=0))


@dataclass(frozen=True, kw_only=True)
class BestExpectedHF(ExactRule):
    """The node with the highest expected hF-beta of a document.

    hF-beta of two sets of nodes with d true and m predicted ones, of which s are common: precision s / m and recall
    s / d give (1 + beta^2) s / (beta^2 d + m).
    """

    beta: float = 1.0
    family: ClassVar[str] = "highest expected hF"

    def node_weight(self, truth: Codes, predicted: Codes) -> NDArray[Any]:
        """(1 + beta^2) / (beta^2 d + m)."""
        return (1 + self.beta**2) / (self.beta**2 * truth + predicted)


@dataclass(frozen=True, kw_only=True)
class BestExpectedDistance(ExactRule):
    """The node with the lowest expected number of edges to the true label, in a tree with a root above the top.

    The way leads from level d up to the deepest common node, on level s, and down to level m: d + m - 2 s edges. Only
    -m and 2 s depend on the prediction, so that a node is worth its way down if its probability is above 1/2.
    """

    family: ClassVar[str] = "lowest expected distance"

    def node_weight(self, truth: Codes, predicted: Codes) -> NDArray[Any]:
        """2 for each common node."""
        return np.full(np.broadcast(truth, predicted).shape, 2.0)

    def root_weight(self, truth: Codes, predicted: Codes) -> NDArray[Any]:
        """-d - m."""
        return -(truth + predicted)


@dataclass(frozen=True, kw_only=True)
class BestExpectedSimilarity(ExactRule):
    """The node with the highest expected Wu-Palmer similarity to the true label, in a tree with a root above the top.

    Twice the depth of the deepest common node over the sum of both depths, where the root has depth 1:
    2 (s + 1) / (d + m + 2). So it is the hF1 of paths that contain the root.
    """

    family: ClassVar[str] = "highest expected Wu-Palmer similarity"

    def node_weight(self, truth: Codes, predicted: Codes) -> NDArray[Any]:
        """2 / (d + m + 2), for each common node and for the root."""
        return 2 / (truth + predicted + 2)

    root_weight = node_weight


@lru_cache(maxsize=8)  # rules of one hierarchy share the work
def _prepare(labels: int, parents: Parents, *, labels_only: bool) -> Candidates:
    return Candidates.of(Hierarchy(("",) * len(parents), labels, parents), labels_only=labels_only)


def _descent_options(parents: Parents, candidates: Candidates) -> tuple[Codes, Codes]:
    """What can follow each node with labels below it, and the root, which comes last.

    Returns:
        The rows of candidates, pairs and a last row for a missing option, int64 (nodes + 1, options); and where each
        option leads: to the node of this position, or to the end at candidate -1 - target.
    """
    position = {code: place for place, code in enumerate(candidates.nodes.tolist())}
    count = len(candidates.sizes)
    group_of = {label: len(position) + place for place, one in enumerate(candidates.groups) for label in one.tolist()}
    own = candidates.own_pairs.tocoo()
    options: list[dict[int, int]] = [{} for _ in range(len(position) + 1)]
    # the only label of the size of a node at or below it is its own
    for node, pair in zip(own.row.tolist(), own.col.tolist(), strict=True):
        if candidates.pair_sizes[pair] == candidates.sizes[node]:
            options[node][count + pair] = -1 - node
    ways = {code: (place, place) for code, place in position.items()}
    for code, (row, target) in (ways | {label: (row, -1 - row) for label, row in group_of.items()}).items():
        for place in [position[parent] for parent in parents[code]] or [-1]:
            options[place][row] = target
    shape = (len(options), max(map(len, options)))
    rows, targets = np.full(shape, count + len(candidates.pair_sizes)), np.zeros(shape, dtype=np.int64)
    for place, option in enumerate(options):
        rows[place, : len(option)], targets[place, : len(option)] = list(option), list(option.values())
    return rows, targets
