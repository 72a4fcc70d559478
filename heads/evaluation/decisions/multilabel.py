"""Decision rules for multi-label targets, fitted to scores and truth.

Each family returns its candidates from the most constrained to the most flexible. scores: float64 (documents, labels),
logits. truth: bool (documents, labels).
"""

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.rules import DecisionRule, FixedThreshold, PerLabelThresholds, SingleThreshold
from heads.evaluation.decisions.search import MIN_DOCUMENTS, best_threshold, f1_changes, shrink_to_common

Scores = NDArray[np.float64]
Indicators = NDArray[np.bool_]

CANDIDATES = 200  # thresholds, as quantiles of the scores of labels that documents have


def fixed_threshold(scores: Scores, truth: Indicators) -> list[DecisionRule]:
    """The rule without a fitted parameter."""
    del scores, truth
    return [FixedThreshold()]


def single_threshold(scores: Scores, truth: Indicators) -> list[DecisionRule]:
    """The threshold with the highest macro-F1; among ties the one nearest to a probability of 0.5."""
    return [SingleThreshold(_common_threshold(scores, truth))]


def per_label_thresholds(scores: Scores, truth: Indicators) -> list[DecisionRule]:
    """Each label's threshold with the highest F1, shrunk to the common threshold."""
    common = np.full(scores.shape[1], _common_threshold(scores, truth))
    flexible = common.copy()
    positives = np.count_nonzero(truth, axis=0)
    documents = np.minimum(positives, len(truth) - positives)  # few negatives are as hard to tune for as few positives
    for label in np.flatnonzero(documents >= MIN_DOCUMENTS):
        flexible[label] = _label_threshold(scores[:, label], truth[:, label], common[label])
    return [PerLabelThresholds(thresholds) for thresholds in shrink_to_common(flexible, common, documents)]


def _common_threshold(scores: Scores, truth: Indicators) -> float:
    positive_scores = scores[truth & np.isfinite(scores)]
    if not len(positive_scores):
        return 0.0
    candidates = np.unique(np.quantile(positive_scores, np.linspace(0, 1, CANDIDATES)))
    candidates = np.unique(np.concatenate([[0.0], (candidates[1:] + candidates[:-1]) / 2]))
    metrics = _macro_f1_at(candidates, scores, truth)
    best = candidates[metrics >= metrics.max() - 1e-12]
    return float(best[np.argmin(np.abs(best))])


def _macro_f1_at(thresholds: NDArray[np.float64], scores: Scores, truth: Indicators) -> NDArray[np.float64]:
    """Macro-F1 at each of the sorted thresholds, from one count of how many of them each score exceeds."""
    labels = scores.shape[1]
    cell = np.searchsorted(thresholds, scores.ravel()).reshape(scores.shape) * labels + np.arange(labels)

    def count_above(cells: NDArray[np.int64]) -> NDArray[np.int64]:
        counts = np.bincount(cells, minlength=(len(thresholds) + 1) * labels).reshape(-1, labels)
        return counts[::-1].cumsum(axis=0)[-2::-1]

    support = np.count_nonzero(truth, axis=0)
    true_positives, predicted = count_above(cell[truth]), count_above(cell.ravel())
    return ConfusionCounts(true_positives, predicted, support, np.zeros(len(thresholds)), len(truth)).macro_f1


def _label_threshold(scores: NDArray[np.float64], truth: Indicators, common: float) -> float:
    rows = np.flatnonzero(np.isfinite(scores))
    rows = rows[np.argsort(-scores[rows])]
    nothing = np.zeros((len(truth), 1), dtype=bool)
    before = ConfusionCounts.from_predictions(truth[:, None], nothing, 1)
    gains = f1_changes(np.zeros(len(rows), dtype=np.int64), truth[rows], before, 1)
    return -best_threshold(-scores[rows], gains, -common)
