"""Significance tests of two predictions of the same documents.

Paired approximate randomization (Noreen 1989, Computer-intensive methods for testing hypotheses; Yeh 2000, More
accurate tests for the statistical significance of result differences): if two predictions are equally good, it does not
matter which of them was made for a document by which head. So both are exchanged for each document with probability
1/2, and the p-value is the share of exchanges after which they differ by at least as much. It holds for every metric.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.count_table import CountTable, DistinctRows, block_sizes
from heads.evaluation.document_measures import is_right
from heads.evaluation.metrics import Metric

__all__ = ["EXCHANGES", "ROUNDING", "adjust_holm", "mcnemar_p_value", "randomization_p_value", "sign_p_value"]

EXCHANGES = 10_000
ROUNDING = 1e-12  # differences of metrics that are equal but for the order of a sum


def randomization_p_value(
    truth: NDArray[Any],
    first: Sequence[NDArray[Any]],
    second: Sequence[NDArray[Any]],
    labels: int,
    metric: Metric,
    *,
    hierarchy: Hierarchy | None = None,
    seed: int = 0,
    exchanges: int = EXCHANGES,
) -> float:
    """Test whether two predictions, or the means of several seeds of each, differ by a metric.

    Several seeds of a document are exchanged together. Only the documents that are predicted differently matter, and
    documents with equal labels are exchanged by their number, so the cost does not grow with the corpus.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        first: predictions of the same shape and kind, one per seed.
        second: the same of the other prediction.
        labels: number of labels.
        metric: the metric, of labels.
        hierarchy: of the labels, which hierarchical metrics need.
        seed: the same seed draws the same exchanges.
        exchanges: how many are drawn.

    Returns:
        The two-sided p-value, at least 1 / (exchanges + 1).
    """
    pairs = [(first[i % len(first)], second[i % len(second)]) for i in range(lcm(len(first), len(second)))]
    differs = np.any([(one != other).reshape(len(truth), -1).any(axis=1) for one, other in pairs], axis=0)
    if not differs.any():
        return 1.0
    rows = DistinctRows.of([values[differs] for values in (truth, *first, *second)])
    masks, row_of_mask = _bit_masks(rows.multiplicity)
    changes = [
        _Exchange.of(truth, *pair, labels, hierarchy, np.flatnonzero(differs)[rows.first[row_of_mask]])
        for pair in pairs
    ]

    def difference(exchanged: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.mean([change.difference(metric, exchanged) for change in changes], axis=0))

    observed = abs(difference(np.zeros((len(masks), 1)))[0]) - ROUNDING
    extreme = [
        np.count_nonzero(np.abs(difference(exchanged)) >= observed)
        for exchanged in _draw_exchanges(masks, labels, exchanges, seed)
    ]
    return (int(sum(extreme)) + 1) / (exchanges + 1)


@dataclass(frozen=True)
class _Exchange:
    """The counts of two predictions, and what exchanging documents changes in those of the first."""

    first: ConfusionCounts
    second: ConfusionCounts
    change: CountTable

    @classmethod
    def of(
        cls,
        truth: NDArray[Any],
        first: NDArray[Any],
        second: NDArray[Any],
        labels: int,
        hierarchy: Hierarchy | None,
        documents: NDArray[np.int64],
    ) -> Self:
        """documents: those that are exchanged."""
        one, other = (ConfusionCounts.from_predictions(truth, each, labels, hierarchy) for each in (first, second))
        rows = truth[documents]
        old, new = (CountTable.build(rows, each[documents], labels, hierarchy) for each in (first, second))
        return cls(one, other, new - old)

    def difference(self, metric: Metric, exchanged: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much better the first is then, (exchanges,). exchanged: (documents, exchanges) how many of each."""
        moved = self.change.count(exchanged, 0)
        return np.asarray(metric.signed_value(self.first + moved) - metric.signed_value(self.second - moved))


def sign_p_value(parts: NDArray[np.float64], seed: int = 0, exchanges: int = EXCHANGES) -> float:
    """Test whether a sum over documents differs from 0, if exchanging a document turns the sign of its part.

    The parts of a metric of probabilities are its influences, so this is exact for a mean over documents, and else a
    first approximation.

    Args:
        parts: float64 (documents,), of each document in the difference of two predictions.
        seed: the same seed draws the same exchanges.
        exchanges: how many are drawn.

    Returns:
        The two-sided p-value, at least 1 / (exchanges + 1).
    """
    random, extreme = np.random.default_rng(seed), 0
    for size in block_sizes(exchanges, len(parts)):
        bits = random.integers(2, size=(size, len(parts)), dtype=np.int8)
        differences = (2 * bits - 1).astype(np.float64) @ parts
        extreme += int(np.count_nonzero(np.abs(differences) >= abs(parts.sum()) - ROUNDING))
    return (extreme + 1) / (exchanges + 1)


def _bit_masks(multiplicity: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bytes with one set bit per document of a row, uint8 (masks,), and the row of each, int64 (masks,)."""
    whole, rest = np.divmod(multiplicity, 8)
    row_of = np.concatenate([np.repeat(np.arange(len(whole)), whole), np.flatnonzero(rest)])
    masks = np.full(len(row_of), 255, dtype=np.uint8)
    masks[whole.sum() :] = (1 << rest[rest > 0]) - 1
    return masks, row_of


def _draw_exchanges(masks: NDArray[np.uint8], labels: int, exchanges: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Blocks of (masks, exchanges of the block): how many documents of each mask are exchanged."""
    random = np.random.default_rng(seed)
    for size in block_sizes(exchanges, max(len(masks), labels)):
        bits = random.integers(256, size=(len(masks), size), dtype=np.uint8)
        yield np.bitwise_count(bits & masks[:, None]).astype(np.float64)


def mcnemar_p_value(truth: NDArray[Any], first: NDArray[Any], second: NDArray[Any]) -> float:
    """Test whether two predictions have the same accuracy: McNemar's test, exact and two-sided.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        first: predictions of the same shape and kind; multi-label ones are correct if all labels are.
        second: the other predictions.

    Returns:
        The probability that the documents that only one gets right are divided at least as unevenly by chance (McNemar
        1947, Note on the sampling error of the difference between correlated proportions).
    """
    from scipy.special import bdtr

    correct, other = (is_right(truth, each) for each in (first, second))
    only_first, only_second = np.count_nonzero(correct & ~other), np.count_nonzero(other & ~correct)
    fewer = min(only_first, only_second)
    return min(1.0, 2 * float(bdtr(fewer, only_first + only_second, 0.5)))


def adjust_holm(p_values: Sequence[float], family: int | None = None) -> list[float]:
    """Adjust p-values for the number of tests (Holm 1979, A simple sequentially rejective multiple test procedure).

    Args:
        p_values: of tests.
        family: how many tests there are in all; None for as many as p-values. Tests whose p-values are not known count
            as if theirs were larger, so that the result is never too small.

    Returns:
        The adjusted p-values, in the same order.
    """
    order = np.argsort(p_values, kind="stable")
    factors = (len(p_values) if family is None else family) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * np.asarray(p_values, dtype=np.float64)[order]), 1)
    return [float(value) for value in adjusted]
