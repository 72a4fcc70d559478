"""Decision rules for multi-label targets, fitted to scores and truth.

Each family returns its candidates from the most constrained to the most flexible.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Parents
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.rules import (
    BestExpectedSet,
    DecisionRule,
    FixedThreshold,
    PerLabelThresholds,
    SingleThreshold,
    raised_scores,
)
from heads.evaluation.decisions.search import MIN_DOCUMENTS, best_threshold, f1_changes_of_label, shrink_to_common
from heads.evaluation.metrics import MACRO_F1, Metric

CANDIDATES = 200  # thresholds, as quantiles of the scores of labels that documents have


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


@dataclass(frozen=True, eq=False)
class Sample:
    """Documents that rules are fitted to: the rows of all documents that `rows` selects.

    all_scores: (documents, labels), logits; of labels in a hierarchy never below those of labels below.
    all_truth: bool (documents, labels). ordered: the same, sorted per label.
    rows: bool (documents,).
    parents: of each label, if labels are the nodes of a hierarchy; else ().
    metric: what the common threshold is fitted to, macro-F1 or hF1.
    """

    all_scores: NDArray[np.floating[Any]]
    all_truth: NDArray[np.bool_]
    ordered: SortedLabels
    rows: NDArray[np.bool_]
    parents: Parents = ()
    metric: Metric = MACRO_F1

    @classmethod
    def of_all(
        cls,
        scores: NDArray[np.floating[Any]],
        truth: NDArray[np.bool_],
        parents: Parents = (),
        metric: Metric = MACRO_F1,
    ) -> Self:
        """The sample of all documents; their scores are sorted here, once."""
        scores = raised_scores(scores, parents)
        ordered = SortedLabels.sort(scores, truth)
        return cls(scores, truth, ordered, np.ones(len(truth), dtype=bool), parents, metric)

    @property
    def scores(self) -> NDArray[np.floating[Any]]:
        """The scores of these documents."""
        return self.all_scores[self.rows]

    @property
    def truth(self) -> NDArray[np.bool_]:
        """The labels of these documents."""
        return self.all_truth[self.rows]

    def label(self, label: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The finite scores of one label, float64, the lowest first, and whether their documents have it."""
        scores = self.ordered.scores[label]
        kept = self.rows[self.ordered.documents[label]] & np.isfinite(scores)
        return scores[kept].astype(np.float64), self.ordered.has_label[label, kept]

    @cached_property
    def common_threshold(self) -> float:
        """The threshold with the best metric; among ties the one nearest to a probability of 0.5."""
        return _common_threshold(self)


def fixed_threshold(sample: Sample) -> list[DecisionRule]:
    """The rule without a fitted parameter."""
    return [FixedThreshold(parents=sample.parents)]


def single_threshold(sample: Sample) -> list[DecisionRule]:
    """The threshold with the best metric; among ties the one nearest to a probability of 0.5."""
    return [SingleThreshold(sample.common_threshold, parents=sample.parents)]


def per_label_thresholds(sample: Sample) -> list[DecisionRule]:
    """Each label's threshold with the highest F1, shrunk to the common threshold."""
    truth = sample.truth
    common = np.full(truth.shape[1], sample.common_threshold)
    flexible = common.copy()
    positives = np.count_nonzero(truth, axis=0)
    documents = np.minimum(positives, len(truth) - positives)  # few negatives are as hard to tune for as few positives
    for label in np.flatnonzero(documents >= MIN_DOCUMENTS).tolist():
        flexible[label] = _label_threshold(*sample.label(label), int(positives[label]), common[label])
    by_shrinkage = shrink_to_common(flexible, common, documents)
    return [PerLabelThresholds(thresholds, parents=sample.parents) for thresholds in by_shrinkage]


def greedy_closure(sample: Sample) -> list[DecisionRule]:
    """The rule for the expected hF1, without a fitted parameter."""
    return [BestExpectedSet(parents=sample.parents)]


def _common_threshold(sample: Sample) -> float:
    positive_scores = sample.all_scores[sample.all_truth & sample.rows[:, None]].astype(np.float64)
    positive_scores = positive_scores[np.isfinite(positive_scores)]
    if not len(positive_scores):
        return 0.0
    candidates = np.unique(np.quantile(positive_scores, np.linspace(0, 1, CANDIDATES)))
    candidates = np.unique(np.concatenate([[0.0], (candidates[1:] + candidates[:-1]) / 2]))
    metrics = _metric_at(candidates, sample)
    best = candidates[metrics >= metrics.max() - 1e-12]
    return float(best[np.argmin(np.abs(best))])


def _metric_at(thresholds: NDArray[np.float64], sample: Sample) -> NDArray[np.float64]:
    """The metric at each of the sorted thresholds, from how many scores of each label exceed it."""
    labels = len(sample.ordered.scores)
    true_positives, predicted = np.zeros((2, len(thresholds), labels), dtype=np.int64)
    for label in range(labels):
        scores, has_label = sample.label(label)
        below = np.searchsorted(scores, thresholds, side="right")
        predicted[:, label] = len(scores) - below
        true_positives[:, label] = np.append(np.cumsum(has_label[::-1])[::-1], 0)[below]
    support = np.count_nonzero(sample.truth, axis=0)
    exact_matches = np.zeros(len(thresholds))
    counts = ConfusionCounts(true_positives, predicted, support, exact_matches, int(sample.rows.sum()))
    # the labels of each document are the nodes of hF1, because they are closed
    return counts.macro_f1 if sample.metric == MACRO_F1 else counts.micro_f1


def _label_threshold(scores: NDArray[np.float64], has_label: NDArray[np.bool_], support: int, common: float) -> float:
    """The threshold with the highest F1 of one label, from its sorted scores."""
    zero = np.zeros(1, dtype=np.int64)
    before = ConfusionCounts(zero, zero, np.array([support]), zero, 0)
    gains = f1_changes_of_label(0, has_label[::-1], before)
    return -best_threshold(-scores[::-1], gains, -common)
