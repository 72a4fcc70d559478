"""Rules for several labels a document, fitted to scores and truth: each family gives its candidates from rigid to free.

scores: float64 (documents, labels), logits. truth: bool (documents, labels).
"""

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.rules import DecisionRule, FixedThreshold, PerLabelThresholds, SingleThreshold
from heads.evaluation.decisions.search import MIN_DOCUMENTS, best_threshold, f1_changes, shrink_to_common

Scores = NDArray[np.float64]
Marks = NDArray[np.bool_]

TRIED = 200  # thresholds, as quantiles of the scores of labels that documents have


def fixed_threshold(scores: Scores, truth: Marks) -> list[DecisionRule]:
    """The rule that nothing is fitted for."""
    del scores, truth
    return [FixedThreshold()]


def single_threshold(scores: Scores, truth: Marks) -> list[DecisionRule]:
    """The threshold of highest macro-F1, the nearest to 0.5 among equals."""
    return [SingleThreshold(_common(scores, truth))]


def per_label_thresholds(scores: Scores, truth: Marks) -> list[DecisionRule]:
    """Each label's threshold of highest F1, shrunk to the common one."""
    common = np.full(scores.shape[1], _common(scores, truth))
    free = common.copy()
    having = np.count_nonzero(truth, axis=0)
    documents = np.minimum(having, len(truth) - having)  # nearly all is as hard to tell from all as few from none
    for label in np.flatnonzero(documents >= MIN_DOCUMENTS):
        free[label] = _of_label(scores[:, label], truth[:, label], common[label])
    return [PerLabelThresholds(thresholds) for thresholds in shrink_to_common(free, common, documents)]


def _common(scores: Scores, truth: Marks) -> float:
    raised = scores[truth & np.isfinite(scores)]
    if not len(raised):
        return 0.0
    tried = np.unique(np.quantile(raised, np.linspace(0, 1, TRIED)))
    tried = np.unique(np.concatenate([[0.0], (tried[1:] + tried[:-1]) / 2]))
    metrics = _macro_f1_at(tried, scores, truth)
    best = tried[metrics >= metrics.max() - 1e-12]
    return float(best[np.argmin(np.abs(best))])


def _macro_f1_at(tried: NDArray[np.float64], scores: Scores, truth: Marks) -> NDArray[np.float64]:
    """Macro-F1 at each of the sorted thresholds, from one count of how many of them each score is above."""
    labels = scores.shape[1]
    cell = np.searchsorted(tried, scores.ravel()).reshape(scores.shape) * labels + np.arange(labels)

    def above(cells: NDArray[np.int64]) -> NDArray[np.int64]:
        counts = np.bincount(cells, minlength=(len(tried) + 1) * labels).reshape(-1, labels)
        return counts[::-1].cumsum(axis=0)[-2::-1]

    support = np.count_nonzero(truth, axis=0)
    return ConfusionCounts(above(cell[truth]), above(cell.ravel()), support, np.zeros(len(tried)), len(truth)).macro_f1


def _of_label(scores: NDArray[np.float64], truth: Marks, common: float) -> float:
    rows = np.flatnonzero(np.isfinite(scores))
    rows = rows[np.argsort(-scores[rows])]
    none = ConfusionCounts.from_predictions(truth[:, None], np.zeros((len(truth), 1), dtype=bool), 1)
    gains = f1_changes(np.zeros(len(rows), dtype=np.int64), truth[rows], none, 1)
    return -best_threshold(-scores[rows], gains, -common)
