"""How far a figure would move with other documents: percentile bootstrap intervals.

Documents are resampled with replacement (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 13).
Documents with the same truth and the same prediction cannot be told apart by any figure, so a resample is one
multinomial draw over the distinct pairs: the same distribution, at the price of a confusion matrix.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts, Numbers, check, distances

RESAMPLES = 1000
LEVEL = 0.95
CELLS_AT_ONCE = 2**21  # of the largest table held while resampling: 16 MB


@dataclass(frozen=True)
class ConfidenceInterval:
    """A figure, and the bounds between which 95 % of its resampled values lie.

    A figure that resampling biases may lie outside: a label of one document is missing from a third of all
    resamples, and macro-F1 then does not count it.
    """

    value: float
    low: float
    high: float

    @classmethod
    def from_resamples(cls, value: Any, resample_metrics: Numbers) -> Self:
        """The percentile interval of `resample_metrics`, (resamples,)."""
        low, high = np.quantile(resample_metrics, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(float(value), float(low), float(high))


@dataclass(frozen=True)
class ResampledMetrics:
    """The figures of one prediction in each resample, each float64 (resamples,); the last two are of ordered labels."""

    macro_f1: Numbers
    micro_f1: Numbers
    accuracy: Numbers
    absolute_error: Numbers
    quadratic_kappa: Numbers

    @classmethod
    def from_blocks(cls, blocks: Sequence[ConfusionCounts]) -> Self:
        """The figures of counts that hold a block of resamples each."""
        return cls(*(np.concatenate([getattr(counts, each.name) for counts in blocks]) for each in fields(cls)))


def resample_metrics(
    truth: NDArray[Any], predictions: Sequence[NDArray[Any]], labels: int, seed: int = 0, resamples: int = RESAMPLES
) -> list[ResampledMetrics]:
    """Figures of each prediction in the same resamples of documents, so that their differences are paired.

    truth and each prediction: int codes (documents,), or bool (documents, labels). Memory grows with the number of
    distinct rows, not of resamples. The same seed draws the same resamples.
    """
    for predicted in predictions:
        check(truth, predicted, labels)
    distinct, times = _distinct([truth, *predictions])
    tables = [_Table.of(distinct[0], predicted, labels) for predicted in distinct[1:]]
    blocks = [[table.counts(drawn) for table in tables] for drawn in _draws(times, labels, seed, resamples)]
    return [ResampledMetrics.from_blocks(of_one) for of_one in zip(*blocks, strict=True)]


def _distinct(columns: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], NDArray[np.int64]]:
    """The distinct documents of several columns, and how often each occurs."""
    if columns[0].ndim == 2:
        rows = np.concatenate([np.packbits(column, axis=1) for column in columns], axis=1)
    else:
        rows = np.stack([column.astype(np.int32) for column in columns], axis=1).view(np.uint8)
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1]))).ravel()
    _, first, times = np.unique(keys, return_index=True, return_counts=True)
    return [column[first] for column in columns], times


def _draws(times: NDArray[np.int64], labels: int, seed: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """How often each distinct document is drawn, (resamples of a block, distinct)."""
    random = np.random.default_rng(seed)
    documents = times.sum()
    if not documents:
        yield np.zeros((resamples, 0), dtype=np.int64)
        return
    block = max(1, CELLS_AT_ONCE // max(len(times), labels))
    for start in range(0, resamples, block):
        yield random.multinomial(documents, times / documents, size=min(block, resamples - start))


@dataclass(frozen=True)
class _Table:
    """Which labels each distinct document hits, is given and has: sparse (distinct, labels)."""

    hits: Any
    predicted: Any
    support: Any
    exact: NDArray[np.bool_]
    apart: NDArray[np.int64]

    @classmethod
    def of(cls, truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> Self:
        given, held = _sparse(predicted, labels), _sparse(truth, labels)
        right = truth == predicted
        exact = right.all(axis=1) if right.ndim == 2 else right
        return cls(held.multiply(given).tocsr(), given, held, exact, distances(truth, predicted))

    def counts(self, drawn: NDArray[np.int64]) -> ConfusionCounts:
        hits, given, held = (np.asarray(drawn @ table) for table in (self.hits, self.predicted, self.support))
        sums = (drawn @ of_each for of_each in (self.apart, self.apart**2))
        return ConfusionCounts(hits, given, held, drawn @ self.exact, int(drawn[0].sum()), *sums)


def _sparse(values: NDArray[Any], labels: int) -> Any:
    from scipy.sparse import csr_array

    if values.ndim == 2:
        return csr_array(values).astype(np.int64)
    rows = np.arange(len(values) + 1)
    return csr_array((np.ones(len(values), dtype=np.int64), values, rows), shape=(len(values), labels))
