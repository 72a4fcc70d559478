"""Decision rules for single-label targets, ordinal ones included, fitted to scores and truth.

Each family returns its candidates from the most constrained to the most flexible. scores: float64 (documents, labels),
shifted per row to a maximum of 0; for ordinal labels the columns go from the lowest label to the highest. truth: int64
(documents,).
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
STRENGTHS = (0.0, *(signed for size in SIZES for signed in (size, -size)))  # smallest adjustment first
SWEEPS = 3  # later sweeps move little, and less of their gain generalizes


def argmax(scores: Scores, truth: Codes) -> list[DecisionRule]:
    """The rule without a fitted parameter."""
    del scores, truth
    return [Argmax()]


def logit_adjustment(scores: Scores, truth: Codes) -> list[DecisionRule]:
    """The strength with the highest macro-F1; among ties the smallest."""
    return [_best_adjustment(scores, truth)]


def per_label_offsets(scores: Scores, truth: Codes) -> list[DecisionRule]:
    """Offsets by coordinate ascent on macro-F1, started at those of logit adjustment and then shrunk to them."""
    common = _best_adjustment(scores, truth).offsets
    documents = np.bincount(truth, minlength=scores.shape[1])
    flexible = _CoordinateAscent(scores, truth, common).run()
    return [PerLabelOffsets(offsets) for offsets in shrink_to_common(flexible, common, documents)]


def weighted_median(scores: Scores, truth: Codes) -> list[DecisionRule]:
    """The rule with the lowest expected absolute error for ordinal labels; it has no fitted parameter."""
    del scores, truth
    return [WeightedMedian()]


def _best_adjustment(scores: Scores, truth: Codes) -> LogitAdjustment:
    labels = scores.shape[1]
    # a label without documents counts as one document, because log(0) would be an infinite offset
    documents = np.maximum(np.bincount(truth, minlength=labels), 1)
    log_prior = tuple(np.log(documents / documents.sum()).tolist())
    rules = [LogitAdjustment(strength, log_prior) for strength in STRENGTHS]
    metrics = [macro_f1(truth, rule.decide(scores), labels) for rule in rules]
    return rules[int(np.argmax(metrics))]


class _CoordinateAscent:
    """Maximizes macro-F1 over one label's offset at a time, with the other offsets fixed.

    As the offset of a label grows, documents flip to that label one after the other, each at the offset at which the
    label's score exceeds the best other one. So one sort gives the sum of F1 at every offset.
    """

    def __init__(self, scores: Scores, truth: Codes, common: NDArray[np.float64]) -> None:
        self.scores, self.truth, self.common = scores, truth, common
        self.offsets = common.copy()
        adjusted = scores + common
        self.predicted = adjusted.argmax(axis=1)
        self.highest = np.take_along_axis(adjusted, self.predicted[:, None], axis=1)[:, 0]
        self.support = np.bincount(truth, minlength=scores.shape[1])

    def run(self) -> NDArray[np.float64]:
        """Sweep over the labels, the most frequent first, until no offset changes."""
        tuned = np.flatnonzero(self.support >= MIN_DOCUMENTS)
        order = tuned[np.argsort(-self.support[tuned], kind="stable")]
        for _ in range(SWEEPS):
            before = self.offsets.copy()
            for label in order:
                self._tune_offset(int(label))
            if np.array_equal(before, self.offsets):
                break
        return self.offsets

    def _tune_offset(self, label: int) -> None:
        rival, highest = self._best_other_label(label)
        score = self.scores[:, label]
        rows = np.flatnonzero(np.isfinite(score) & np.isfinite(highest))
        flip_points = highest[rows] - score[rows]
        order = np.argsort(flip_points)
        rows, flip_points = rows[order], flip_points[order]
        before = ConfusionCounts.from_predictions(self.truth, rival, len(self.offsets))
        gains = f1_changes(np.full(len(rows), label), self.truth[rows] == label, before, 1)
        gains += f1_changes(rival[rows], self.truth[rows] == rival[rows], before, -1)
        self.offsets[label] = best_threshold(flip_points, gains, self.common[label])
        flipped = score + self.offsets[label] > highest
        self.predicted = np.where(flipped, label, rival)
        self.highest = np.where(flipped, score + self.offsets[label], highest)

    def _best_other_label(self, label: int) -> tuple[Codes, NDArray[np.float64]]:
        """The best of the other labels for each document, and its adjusted score."""
        rival, highest = self.predicted.copy(), self.highest.copy()
        rows = np.flatnonzero(rival == label)
        adjusted = self.scores[rows] + self.offsets
        adjusted[:, label] = -np.inf
        highest[rows] = adjusted.max(axis=1, initial=-np.inf)
        rival[rows] = np.where(np.isfinite(highest[rows]), adjusted.argmax(axis=1), label)
        return rival, highest
