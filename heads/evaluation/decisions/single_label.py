"""Decision rules for single-label targets, ordinal ones included, fitted to scores and truth.

Each family returns its candidates from the most constrained to the most flexible.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.rules import (
    Argmax,
    DecisionRule,
    LogitAdjustment,
    PerLabelOffsets,
    WeightedMedian,
    best_columns,
)
from heads.evaluation.decisions.search import (
    MIN_DOCUMENTS,
    best_threshold,
    f1_changes,
    f1_changes_of_label,
    shrink_to_common,
)
from heads.evaluation.metrics import macro_f1
from heads.evaluation.score_matrix import row_blocks

Scores = NDArray[np.float64]
Codes = NDArray[np.int64]

SIZES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)
STRENGTHS = (0.0, *(signed for size in SIZES for signed in (size, -size)))  # smallest adjustment first
SWEEPS = 3  # later sweeps move little, and less of their gain generalizes


@dataclass(frozen=True, eq=False)
class Sample:
    """Documents that rules are fitted to: the rows of all documents that `rows` selects.

    all_scores: float64 (documents, labels), shifted per row to a maximum of 0; for ordinal labels the columns go from
        the lowest label to the highest.
    all_truth: int64 (documents,).
    rows: bool (documents,).
    """

    all_scores: Scores
    all_truth: Codes
    rows: NDArray[np.bool_]

    @classmethod
    def of_all(cls, scores: Scores, truth: Codes) -> Self:
        """The sample of all documents."""
        return cls(scores, truth, np.ones(len(truth), dtype=bool))

    @property
    def scores(self) -> Scores:
        """The scores of these documents; a copy is not kept, because every fold of every repeat would keep one."""
        return self.all_scores if self.rows.all() else np.asarray(self.all_scores[self.rows])

    @property
    def truth(self) -> Codes:
        """The labels of these documents."""
        return np.asarray(self.all_truth[self.rows])

    @cached_property
    def adjustment(self) -> LogitAdjustment:
        """The logit adjustment with the highest macro-F1; among ties the smallest."""
        return _best_adjustment(self.scores, self.truth)


def argmax(sample: Sample) -> list[DecisionRule]:
    """The rule without a fitted parameter."""
    del sample
    return [Argmax()]


def logit_adjustment(sample: Sample) -> list[DecisionRule]:
    """The strength with the highest macro-F1; among ties the smallest."""
    return [sample.adjustment]


def per_label_offsets(sample: Sample) -> list[DecisionRule]:
    """Offsets by coordinate ascent on macro-F1, started at those of logit adjustment and then shrunk to them."""
    common, scores, truth = sample.adjustment.offsets, sample.scores, sample.truth
    documents = np.bincount(truth, minlength=scores.shape[1])
    flexible = _CoordinateAscent(scores, truth, common).run()
    return [PerLabelOffsets(offsets) for offsets in shrink_to_common(flexible, common, documents)]


def weighted_median(sample: Sample) -> list[DecisionRule]:
    """The rule with the lowest expected absolute error for ordinal labels; it has no fitted parameter."""
    del sample
    return [WeightedMedian()]


def _best_adjustment(scores: Scores, truth: Codes) -> LogitAdjustment:
    labels = scores.shape[1]
    # a label without documents counts as one document, because log(0) would be an infinite offset
    documents = np.maximum(np.bincount(truth, minlength=labels), 1)
    log_prior = tuple(np.log(documents / documents.sum()).tolist())
    priors, columns, highest = _best_of_equal_priors(scores, log_prior)
    metrics = []
    for strength in STRENGTHS:
        prior, _ = best_columns(highest, -strength * priors)
        predicted = np.take_along_axis(columns, prior[:, None], axis=1)[:, 0]
        metrics.append(macro_f1(truth, predicted, labels))
    return LogitAdjustment(STRENGTHS[int(np.argmax(metrics))], log_prior)


def _best_of_equal_priors(
    scores: Scores, log_prior: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.int64], Scores]:
    """Of labels with equal priors, whatever the strength, only the one with the highest score can win a document.

    With thousands of labels, most have one of a few counts of documents.

    Returns:
        The distinct priors, in the order of their first label; and for each document and prior, (documents, priors),
        the column of the best label and its score.
    """
    priors, first, group = np.unique(np.array(log_prior), return_index=True, return_inverse=True)
    columns = np.empty((len(scores), len(priors)), dtype=np.int64)
    order = np.argsort(first)
    for place, prior in enumerate(order):
        members = np.flatnonzero(group == prior)
        for rows in row_blocks(scores.shape):
            columns[rows, place] = members[scores[rows][:, members].argmax(axis=1)]
    return priors[order], columns, np.take_along_axis(scores, columns, axis=1)


class _CoordinateAscent:
    """Maximizes macro-F1 over one label's offset at a time, with the other offsets fixed.

    As the offset of a label grows, documents flip to that label one after the other, each at the offset at which the
    label's score exceeds the best other one. So one sort gives the sum of F1 at every offset.
    """

    def __init__(self, scores: Scores, truth: Codes, common: NDArray[np.float64]) -> None:
        self.scores, self.truth, self.common = scores, truth, common
        self.offsets = common.copy()
        self.predicted, self.highest = best_columns(scores, common)
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
        gains = f1_changes_of_label(label, self.truth[rows] == label, before)
        gains += f1_changes(rival[rows], self.truth[rows] == rival[rows], before, -1)
        self.offsets[label] = best_threshold(flip_points, gains, self.common[label])
        flipped = score + self.offsets[label] > highest
        self.predicted = np.where(flipped, label, rival)
        self.highest = np.where(flipped, score + self.offsets[label], highest)

    def _best_other_label(self, label: int) -> tuple[Codes, NDArray[np.float64]]:
        """The best of the other labels for each document, and its adjusted score."""
        rival, highest = self.predicted.copy(), self.highest.copy()
        rows = np.flatnonzero(rival == label)
        offsets = self.offsets.copy()
        offsets[label] = -np.inf
        rival[rows], highest[rows] = best_columns(self.scores[rows], offsets)
        rival[rows] = np.where(np.isfinite(highest[rows]), rival[rows], label)
        return rival, highest
