"""Decision rules for multi-label targets, fitted to scores and truth.

Each family returns its candidates from the most constrained to the most flexible.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Parents
from heads.evaluation.decisions.expected_rules import BestExpectedFBeta
from heads.evaluation.decisions.optimizers.pairs import (
    DocumentFBeta,
    LabelFBeta,
    LabelScores,
    Pairs,
    PairValue,
    ThresholdSearch,
)
from heads.evaluation.decisions.optimizers.search import MIN_DOCUMENTS, best_threshold, shrink_to_common
from heads.evaluation.decisions.rules import (
    BestExpectedSet,
    DecisionRule,
    FixedThreshold,
    PerLabelThresholds,
    SingleThreshold,
    raised_scores,
)

MOST_PREDICTED = 10  # times the documents of a label: thresholds beyond have a precision of less than a tenth
MIN_WINDOW = 100  # scores that are searched at least
SMOOTHING, RARE = 1.0, 30  # of the F-beta of a label, and the documents below which a label is smoothed
LEAST_SHRUNK = 3  # how many of the shrinkages are tried with smoothing too: the others leave little to smooth

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SortedLabels:
    """The scores of all documents, sorted once per label, the lowest first; each array is (labels, documents).

    documents: int32, the document of each score. has_label: bool, whether it has the label.
    """

    scores: NDArray[np.floating[Any]]
    documents: NDArray[np.int32]
    has_label: NDArray[np.bool_]

    @classmethod
    def sort(cls, scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]) -> Self:
        """Sort scores (documents, labels) with their truth, bool (documents, labels)."""
        values = np.empty(scores.shape[::-1], dtype=scores.dtype)
        documents, has_label = np.empty(values.shape, dtype=np.int32), np.empty(values.shape, dtype=bool)
        for label in range(len(values)):
            order = np.argsort(scores[:, label], kind="stable")
            values[label], documents[label], has_label[label] = scores[order, label], order, truth[order, label]
        return cls(values, documents, has_label)

    @cached_property
    def support(self) -> NDArray[np.int64]:
        """The documents of each label."""
        return np.asarray(np.count_nonzero(self.has_label, axis=1))

    @cached_property
    def pairs(self) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], bool]:
        """The pairs of a document and a label with the highest scores, descending.

        Returns:
            Scores, documents, labels, whether the document has the label, each (pairs,), and whether pairs are left
            out below.
        """
        kept = max(MOST_PREDICTED * self.has_label.sum(), MIN_WINDOW, np.count_nonzero(self.scores > 0)) + 1
        cells = self.scores.size
        if kept >= cells:
            return *self.all_pairs, False
        lowest = np.partition(self.scores, cells - kept, axis=None)[cells - kept]
        return *self._pairs_from(lowest), bool(np.isfinite(lowest))

    @cached_property
    def all_pairs(self) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """The same for all pairs."""
        return self._pairs_from(-np.inf)

    def _pairs_from(self, lowest: Any) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        label, rank = np.nonzero((self.scores >= lowest) & np.isfinite(self.scores))
        scores = self.scores[label, rank].astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        label, rank = label[order], rank[order]
        return scores[order], self.documents[label, rank].astype(np.int64), label, self.has_label[label, rank]


@dataclass(frozen=True, eq=False)
class Sample:
    """Documents that rules are fitted to: the rows of all documents that `rows` selects.

    all_scores: (documents, labels), logits; of labels in a hierarchy never below those of labels below.
    all_truth: bool (documents, labels). ordered: the same, sorted per label.
    rows: bool (documents,).
    parents: of each label, if labels are the nodes of a hierarchy; else ().
    value: what rules are fitted to.
    """

    all_scores: NDArray[np.floating[Any]]
    all_truth: NDArray[np.bool_]
    ordered: SortedLabels
    rows: NDArray[np.bool_]
    parents: Parents
    value: PairValue

    @classmethod
    def of_all(
        cls,
        scores: NDArray[np.floating[Any]],
        truth: NDArray[np.bool_],
        parents: Parents = (),
        value: PairValue | None = None,
    ) -> Self:
        """The sample of all documents; their scores are sorted here, once. value: macro-F1 by default."""
        scores = raised_scores(scores, parents)
        ordered = SortedLabels.sort(scores, truth)
        return cls(scores, truth, ordered, np.ones(len(truth), dtype=bool), parents, value or LabelFBeta())

    @cached_property
    def truth(self) -> NDArray[np.bool_]:
        """The labels of these documents."""
        return self.all_truth if self.rows.all() else self.all_truth[self.rows]

    @cached_property
    def support(self) -> NDArray[np.int64]:
        """How many of these documents have each label."""
        return np.asarray(np.count_nonzero(self.truth, axis=0))

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """How many labels each document has; 0 for one that is not in the sample: int64 (all documents,)."""
        return np.where(self.rows, np.count_nonzero(self.all_truth, axis=1), 0)

    def label(self, label: int, threshold: float) -> LabelScores:
        """The highest scores of a label, at least those above a threshold."""
        scores = self.ordered.scores[label]
        above = len(scores) - int(np.searchsorted(scores, threshold, side="right"))
        kept = int(max(MOST_PREDICTED * self.ordered.support[label], MIN_WINDOW, above)) + 1
        documents = self.ordered.documents[label, -kept:][::-1]
        scores, has_label = scores[-kept:][::-1], self.ordered.has_label[label, -kept:][::-1]
        used = self.rows[documents] & np.isfinite(scores)
        is_cut = kept < len(self.rows)
        return LabelScores(scores[used].astype(np.float64), documents[used].astype(np.int64), has_label[used], is_cut)

    @cached_property
    def common_threshold(self) -> float:
        """The threshold with the best metric; among ties the one nearest to a probability of 0.5."""
        scores, documents, labels, is_true, is_cut = self.ordered.pairs
        used = self.rows[documents]
        places = np.cumsum(self.rows) - 1
        sizes = self.sizes[self.rows]
        pairs = Pairs(places[documents[used]], labels[used], is_true[used], sizes, self.support)
        gains = np.diff(self.value.path(pairs))
        if is_cut and len(gains):
            gains[-1] = -np.inf
        return -best_threshold(-scores[used], gains, 0.0)

    def best_thresholds(self, *, smoothed: bool = False) -> Floats:
        """The best threshold of each label with enough documents, the common one of the others.

        smoothed: only of rare labels, each with a smoothed F-beta.
        """
        common = np.full(len(self.support), self.common_threshold)
        return self.value.thresholds(
            ThresholdSearch(
                [self.label(label, self.common_threshold) for label in range(len(common))],
                (self.documents >= MIN_DOCUMENTS) & (not smoothed or self.documents < RARE),
                common,
                self.sizes,
                self.support,
                SMOOTHING if smoothed else 0.0,
            )
        )

    @cached_property
    def documents(self) -> NDArray[np.int64]:
        """How many documents have or lack each label, the smaller number: both are as hard to tune for."""
        return np.minimum(self.support, int(self.rows.sum()) - self.support)


def fixed_threshold(sample: Sample) -> list[DecisionRule]:
    """The rule without a fitted parameter."""
    return [FixedThreshold(parents=sample.parents)]


def single_threshold(sample: Sample) -> list[DecisionRule]:
    """The threshold with the best metric; among ties the one nearest to a probability of 0.5."""
    return [SingleThreshold(sample.common_threshold, parents=sample.parents)]


def per_label_thresholds(sample: Sample) -> list[DecisionRule]:
    """Each label's best threshold, shrunk to the common threshold; and the same with those of rare labels smoothed."""
    common, documents = np.full(len(sample.support), sample.common_threshold), sample.documents
    flexible = sample.best_thresholds()
    candidates = shrink_to_common(flexible, common, documents)
    if isinstance(sample.value, LabelFBeta):
        candidates[-LEAST_SHRUNK:-LEAST_SHRUNK] = _with_smoothed_labels(sample, flexible, common)
    return [PerLabelThresholds(thresholds, parents=sample.parents) for thresholds in candidates]


def _with_smoothed_labels(sample: Sample, flexible: Floats, common: Floats) -> list[tuple[float, ...]]:
    """The least shrunk thresholds, smoothed for rare labels. All folds have as many, also one without a rare label."""
    documents = sample.documents
    if not (is_rare := documents < RARE).any():
        return shrink_to_common(flexible, common, documents)[-LEAST_SHRUNK:]
    smoothed = np.where(is_rare, sample.best_thresholds(smoothed=True), flexible)
    return shrink_to_common(smoothed, common, documents)[-LEAST_SHRUNK:]


def greedy_closure(sample: Sample) -> list[DecisionRule]:
    """The rule for the expected hF1, without a fitted parameter."""
    return [BestExpectedSet(parents=sample.parents)]


def best_expected_set(sample: Sample) -> list[DecisionRule]:
    """The set of labels with the highest expected F-beta of each document, without a fitted parameter."""
    assert isinstance(sample.value, DocumentFBeta)
    return [BestExpectedFBeta(beta=sample.value.beta, parents=sample.parents)]
