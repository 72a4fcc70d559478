"""Average precision and AUROC of each label, and their macro averages, as functions of the weights of documents.

Only the documents that have a label set its thresholds, so a label needs the order of these and, for every other
document, between which two of them it is. Equal probabilities share a threshold, as in scikit-learn's
average_precision_score and roc_auc_score: a tie between a document with and one without the label counts half in the
AUROC. The macro averages are over the labels for which they are defined: with a document, for the AUROC also with one
that does not have the label.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelRanking", "rank_labels"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelRanking:
    """The documents of one label by threshold: the distinct probabilities of those that have it, the highest first.

    Attributes:
        has_label: bool (documents,).
        step: int64 (documents,), the first threshold that a document reaches; the number of thresholds if it reaches
            none.
        tied: bool (documents,), whether a document without the label is exactly at its threshold.
        thresholds: their number.
    """

    has_label: NDArray[np.bool_]
    step: NDArray[np.int64]
    tied: NDArray[np.bool_]
    thresholds: int

    @classmethod
    def of(cls, has_label: NDArray[np.bool_], probabilities: NDArray[Any]) -> Self:
        """Rank the documents of a label. probabilities: (documents,)."""
        ascending = np.unique(probabilities[has_label])
        reached = np.searchsorted(ascending, probabilities, side="right")
        step = len(ascending) - reached
        tied = np.zeros(len(step), dtype=bool)
        if len(ascending):
            tied = ~has_label & (reached > 0) & (ascending[reached - 1] == probabilities)
        return cls(has_label, step, tied, len(ascending))

    def _count(self, rows: NDArray[np.bool_]) -> FloatArray:
        """How many of some documents are first at each threshold: float64 (thresholds,)."""
        return np.bincount(self.step[rows], minlength=self.thresholds + 1)[: self.thresholds].astype(np.float64)

    @cached_property
    def positives(self) -> int:
        """The documents that have the label."""
        return int(np.count_nonzero(self.has_label))

    @cached_property
    def negatives(self) -> int:
        """The documents that do not have it."""
        return len(self.has_label) - self.positives

    @cached_property
    def _at(self) -> FloatArray:
        return self._count(self.has_label)

    @cached_property
    def _true(self) -> FloatArray:
        return np.cumsum(self._at)

    @cached_property
    def _false(self) -> FloatArray:
        return np.cumsum(self._count(~self.has_label))

    @property
    def average_precision(self) -> float:
        """The sum over thresholds of precision times the gain in recall; NaN without a document that has the label."""
        if not self.positives:
            return np.nan
        return float(self._at @ (self._true / (self._true + self._false))) / self.positives

    @property
    def auroc(self) -> float:
        """The share of pairs in which the document with the label is first; NaN without such a pair."""
        if not self.positives or not self.negatives:
            return np.nan
        above = self._false - self._count(self.tied) / 2
        return 1 - float(self._at @ above) / (self.positives * self.negatives)

    def average_precision_influence(self) -> FloatArray:
        """The derivative of the average precision by the weight of each document: float64 (documents,)."""
        if not self.positives:
            return np.zeros(len(self.step))
        reached = self._true + self._false
        by_true, by_false = self._at * self._false / reached**2, -self._at * self._true / reached**2
        below_true, below_false = (np.append(np.cumsum(each[::-1])[::-1], 0.0) for each in (by_true, by_false))
        own = np.append(self._true / reached, 0.0) - self.average_precision
        change = np.where(self.has_label, own[self.step] + below_true[self.step], below_false[self.step])
        return np.asarray(change / self.positives)

    def auroc_influence(self) -> FloatArray:
        """The derivative of the AUROC by the weight of each document: float64 (documents,)."""
        if not self.positives or not self.negatives:
            return np.zeros(len(self.step))
        above = np.append(self._false - self._count(self.tied) / 2, 0.0)
        strictly = np.append(0.0, self._true)[self.step]  # documents with the label that are above
        ranked_below = strictly + np.where(self.tied, np.append(self._at, 0.0)[self.step] / 2, 0.0)
        of_positive = 1 - above[self.step] / self.negatives - self.auroc
        of_negative = ranked_below / self.positives - self.auroc
        return np.where(self.has_label, of_positive / self.positives, of_negative / self.negatives)


def rank_labels(truth: NDArray[Any], probabilities: NDArray[Any]) -> Iterator[LabelRanking]:
    """The ranking of each label.

    truth: int codes (documents,), or bool (documents, labels). probabilities: (documents, labels).
    """
    for label in range(probabilities.shape[1]):
        has_label = truth == label if truth.ndim == 1 else truth[:, label]
        yield LabelRanking.of(has_label, np.ascontiguousarray(probabilities[:, label]))
