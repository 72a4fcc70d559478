"""Coordinate ascent over the offsets of labels: each is searched exactly, with the others fixed.

As the offset of a label grows, documents flip to that label one after the other, each at the offset at which the
label's score exceeds the best other one. So one sort gives the metric at every offset.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.optimizers.flips import Flips, FlipValue
from heads.evaluation.decisions.optimizers.search import MIN_DOCUMENTS, best_columns, best_threshold

Scores = NDArray[np.float64]
Codes = NDArray[np.int64]

SWEEPS = 2  # a third one lowers the cross-fitted macro-F1 of random problems, which 2 raise by 0.4 points
MIN_WINDOW = 100  # flips that are searched at least


class CoordinateAscent:
    """Maximizes a metric over the offsets of labels.

    Args:
        scores: float64 (documents, labels).
        truth: int64 (documents,).
        common: float64 (labels,), the first offsets.
        value: the metric.
    """

    def __init__(self, scores: Scores, truth: Codes, common: NDArray[np.float64], value: FlipValue) -> None:
        self.scores, self.truth, self.common, self.value = scores, truth, common, value
        self.columns = np.ascontiguousarray(scores.T)
        self.offsets = common.copy()
        self.predicted, self.highest = best_columns(scores, common)
        self.support = np.bincount(truth, minlength=scores.shape[1])
        self.counts = ConfusionCounts.from_predictions(truth, self.predicted, scores.shape[1], with_sums=False)
        self._is_finite = scores.shape[1] > 1 and bool(np.isfinite(scores).all())

    def run(self) -> NDArray[np.float64]:
        """Sweep over the labels, the most frequent first, until no offset changes."""
        tuned = np.flatnonzero(self.support >= MIN_DOCUMENTS)
        order = tuned[np.argsort(-self.support[tuned], kind="stable")]
        for _ in range(SWEEPS):
            before = self.offsets.copy()
            for label in order:
                self.tune_offset(int(label))
            if np.array_equal(before, self.offsets):
                break
        return self.offsets

    def tune_offset(self, label: int) -> None:
        """Set the offset of one label to the best one."""
        rival, highest = self._best_other_label(label)
        score = self.columns[label]
        with np.errstate(invalid="ignore"):  # -inf - -inf: the document has no score for any label
            flip_points = highest - score
        rows, is_cut = self._window(flip_points, label)
        old = rival[rows]
        before = self._counts_after(self.counts, self.predicted, rival, np.flatnonzero(self.predicted == label))
        gains = self.value.changes(Flips(old, label, self.truth[rows]), before)
        if is_cut:
            gains[-1] = -np.inf
        self.offsets[label] = offset = best_threshold(flip_points[rows], gains, self.common[label])
        flipped = np.flatnonzero(score + offset > highest)
        without = rival.copy()
        rival[flipped] = label
        highest[flipped] = score[flipped] + offset
        self.counts = self._counts_after(before, without, rival, flipped)
        self.predicted, self.highest = rival, highest

    def _window(self, flip_points: NDArray[np.float64], label: int) -> tuple[Codes, bool]:
        """The documents that flip first, in their order, and whether the last one bounds the search."""
        allowed = self.value.most_predicted * self.support[label]
        kept = max(allowed, MIN_WINDOW, np.count_nonzero(flip_points < self.offsets[label]))
        rows: Any = slice(None) if self._is_finite else np.flatnonzero(np.isfinite(flip_points))
        candidates = flip_points[rows]
        if kept + 1 >= len(candidates):
            order = np.argsort(candidates)
        else:
            order = np.argpartition(candidates, int(kept))[: int(kept) + 1]
            order = order[np.argsort(candidates[order])]
        return order if isinstance(rows, slice) else rows[order], len(order) < len(candidates)

    def _counts_after(self, counts: ConfusionCounts, old: Codes, new: Codes, rows: Codes) -> ConfusionCounts:
        """The counts after the predictions of some rows changed from `old` to `new`."""
        labels, truth = len(self.offsets), self.truth[rows]
        before, after = old[rows], new[rows]
        predicted = np.bincount(after, minlength=labels) - np.bincount(before, minlength=labels)
        was_correct, correct = before == truth, after == truth
        hits = np.bincount(truth[correct], minlength=labels) - np.bincount(truth[was_correct], minlength=labels)
        return ConfusionCounts(
            counts.true_positives + hits,
            counts.predicted + predicted,
            self.support,
            counts.exact_matches + hits.sum(),
            counts.documents,
        )

    def _best_other_label(self, label: int) -> tuple[Codes, NDArray[np.float64]]:
        """The best of the other labels for each document, and its adjusted score."""
        rival, highest = self.predicted.copy(), self.highest.copy()
        rows = np.flatnonzero(rival == label)
        offsets = self.offsets.copy()
        offsets[label] = -np.inf
        rival[rows], highest[rows] = best_columns(self.scores[rows], offsets)
        if not self._is_finite:
            rival[rows] = np.where(np.isfinite(highest[rows]), rival[rows], label)
        return rival, highest
