"""Average precision and AUROC of each label, and their macro averages, as functions of the weights of documents.

Only the documents that have a label set its thresholds, so a label needs the order of these and, for every other
document, between which two of them it is. Equal probabilities share a threshold, as in scikit-learn's
average_precision_score and roc_auc_score: a tie between a document with and one without the label counts half in the
AUROC. The macro averages are over the labels for which they are defined: with a document, for the AUROC also with one
that does not have the label.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelRanking", "RankingTable", "rank_labels"]

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


@dataclass(frozen=True, eq=False)
class RankingTable:
    """The rankings of all labels below each other, to be counted for many weights of documents at once.

    Attributes:
        positives, negatives, ties: sparse float32 (thresholds, documents): a document with the label at its threshold,
            one without it at the first threshold that it reaches, and the latter if it is exactly there.
        support: sparse float32 (labels, documents), whether a document has the label.
        starts: int64 (labels,), the first threshold of each label; labels without documents are left out.
    """

    positives: Any
    negatives: Any
    ties: Any
    support: Any
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, rankings: Sequence[LabelRanking]) -> Self:
        """The table of at least one ranking, each with a document that has the label."""
        ends = np.cumsum([ranking.thresholds for ranking in rankings])
        starts, documents = np.append(0, ends[:-1]), len(rankings[0].step)
        reaching = [ranking.step < ranking.thresholds for ranking in rankings]

        def stack(selected: Sequence[NDArray[np.bool_]], rows: Sequence[NDArray[np.int64]], height: int) -> Any:
            from scipy.sparse import csr_array

            columns = [np.flatnonzero(each) for each in selected]
            indices = np.concatenate([row[column] for row, column in zip(rows, columns, strict=True)])
            ones = np.ones(len(indices), dtype=np.float32)
            return csr_array((ones, (indices, np.concatenate(columns))), shape=(height, documents))

        thresholds = [ranking.step + start for ranking, start in zip(rankings, starts.tolist(), strict=True)]
        has_label = [ranking.has_label for ranking in rankings]
        others = [~ranking.has_label & reached for ranking, reached in zip(rankings, reaching, strict=True)]
        tied = [ranking.tied for ranking in rankings]
        labels = [np.full(documents, label) for label in range(len(rankings))]
        height = int(ends[-1])
        return cls(
            positives=stack(has_label, thresholds, height),
            negatives=stack(others, thresholds, height),
            ties=stack(tied, thresholds, height),
            support=stack(has_label, labels, len(rankings)),
            starts=starts,
        )

    def macro(self, weights: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        """The macro average precision and AUROC of samples, float64 (samples,) each.

        weights: (documents, samples), how often each document is in each sample.
        """
        at, false = self.positives @ weights, self.negatives @ weights
        tied = self.ties @ weights / 2 if self.ties.nnz else np.zeros_like(at[:0])
        precision, above = np.empty((2, len(self.starts), weights.shape[1]))
        for label, rows in enumerate(map(slice, self.starts, [*self.starts[1:], len(at)])):
            true_here, false_here = np.cumsum(at[rows], axis=0), np.cumsum(false[rows], axis=0)
            share = true_here / np.maximum(true_here + false_here, 1)
            precision[label] = np.einsum("ts,ts->s", at[rows], share)
            above[label] = np.einsum("ts,ts->s", at[rows], false_here - tied[rows] if len(tied) else false_here)
        positives = np.asarray(self.support @ weights, dtype=np.float64)
        pairs = positives * (weights.sum(axis=0, dtype=np.float64) - positives)
        return _mean_of_defined(precision, positives), _mean_of_defined(pairs - above, pairs)


def _mean_of_defined(numerators: FloatArray, denominators: FloatArray) -> FloatArray:
    """The mean over labels of ratios (labels, samples) whose denominator is not 0; NaN if all are."""
    is_defined = denominators > 0
    ratios = np.divide(numerators, denominators, out=np.zeros_like(numerators), where=is_defined)
    count = np.count_nonzero(is_defined, axis=0)
    return np.asarray(ratios.sum(axis=0) / np.where(count > 0, count, np.nan))
