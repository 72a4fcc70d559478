"""Rules for one label a document, fitted to scores and truth: each family gives its candidates from rigid to free.

scores: float64 (documents, labels), rows shifted to a highest score of 0. truth: int64 (documents,).
"""

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.rules import Argmax, DecisionRule, LogitAdjustment, PerLabelOffsets, WeightedMedian
from heads.evaluation.decisions.search import MIN_DOCUMENTS, best_threshold, f1_changes, shrink_to_common
from heads.evaluation.metrics import macro_f1

Scores = NDArray[np.float64]
Codes = NDArray[np.int64]

SIZES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)
STRENGTHS = (0.0, *(signed for size in SIZES for signed in (size, -size)))  # from rigid to free
SWEEPS = 3  # later ones move little, and less of what they gain holds elsewhere


def argmax(scores: Scores, truth: Codes) -> list[DecisionRule]:
    """The rule that nothing is fitted for."""
    del scores, truth
    return [Argmax()]


def logit_adjustment(scores: Scores, truth: Codes) -> list[DecisionRule]:
    """The strength of highest macro-F1, the smallest among equals."""
    return [_adjustment(scores, truth)]


def per_label_offsets(scores: Scores, truth: Codes) -> list[DecisionRule]:
    """Offsets by coordinate ascent on macro-F1 from the adjustment's, then shrunk to these."""
    common = _adjustment(scores, truth).offsets
    documents = np.bincount(truth, minlength=scores.shape[1])
    free = _Ascent(scores, truth, common).climb()
    return [PerLabelOffsets(offsets) for offsets in shrink_to_common(free, common, documents)]


def weighted_median(scores: Scores, truth: Codes) -> list[DecisionRule]:
    """The rule of lowest expected absolute error for ordinal labels; it has no fitted parameter."""
    del scores, truth
    return [WeightedMedian()]


def _adjustment(scores: Scores, truth: Codes) -> LogitAdjustment:
    labels = scores.shape[1]
    # a label without documents counts as having one, or nothing else would ever be given
    documents = np.maximum(np.bincount(truth, minlength=labels), 1)
    log_prior = tuple(np.log(documents / documents.sum()).tolist())
    rules = [LogitAdjustment(strength, log_prior) for strength in STRENGTHS]
    metrics = [macro_f1(truth, rule.decide(scores), labels) for rule in rules]
    return rules[int(np.argmax(metrics))]


class _Ascent:
    """Offsets that rise in macro-F1 one label at a time, the others held.

    When a label's offset grows, documents flip to it one after the other, each at the offset where the label passes the
    best of the others: the sum of F1 at every offset follows from one sort.
    """

    def __init__(self, scores: Scores, truth: Codes, common: NDArray[np.float64]) -> None:
        self.scores, self.truth, self.common = scores, truth, common
        self.offsets = common.copy()
        adjusted = scores + common
        self.given = adjusted.argmax(axis=1)
        self.height = np.take_along_axis(adjusted, self.given[:, None], axis=1)[:, 0]
        self.support = np.bincount(truth, minlength=scores.shape[1])

    def climb(self) -> NDArray[np.float64]:
        """Sweep over the labels, the most frequent first, until none moves."""
        tuned = np.flatnonzero(self.support >= MIN_DOCUMENTS)
        order = tuned[np.argsort(-self.support[tuned], kind="stable")]
        for _ in range(SWEEPS):
            before = self.offsets.copy()
            for label in order:
                self._move(int(label))
            if np.array_equal(before, self.offsets):
                break
        return self.offsets

    def _move(self, label: int) -> None:
        rival, height = self._rivals(label)
        own = self.scores[:, label]
        within = np.flatnonzero(np.isfinite(own) & np.isfinite(height))
        needed = height[within] - own[within]
        order = np.argsort(needed)
        rows, needed = within[order], needed[order]
        before = ConfusionCounts.from_predictions(self.truth, rival, len(self.offsets))
        selected = self.truth[rows] == label
        gains = f1_changes(np.full(len(rows), label), selected, before, 1)
        gains += f1_changes(rival[rows], self.truth[rows] == rival[rows], before, -1)
        self.offsets[label] = best_threshold(needed, gains, self.common[label])
        wins = own + self.offsets[label] > height
        self.given = np.where(wins, label, rival)
        self.height = np.where(wins, own + self.offsets[label], height)

    def _rivals(self, label: int) -> tuple[Codes, NDArray[np.float64]]:
        """The best of the other labels for each document, and its adjusted score."""
        rival, height = self.given.copy(), self.height.copy()
        own = np.flatnonzero(rival == label)
        adjusted = self.scores[own] + self.offsets
        adjusted[:, label] = -np.inf
        height[own] = adjusted.max(axis=1, initial=-np.inf)
        rival[own] = np.where(np.isfinite(height[own]), adjusted.argmax(axis=1), label)
        return rival, height
