"""BCa confidence intervals: bias-corrected and accelerated percentiles of resampled values.

Efron 1987, Better bootstrap confidence intervals (JASA 82); Efron & Tibshirani 1993, An Introduction to the Bootstrap,
section 14.3. The percentiles are moved by the bias, which is the share of resampled values below the value, and by the
acceleration, which is the skewness of the documents' influence on the metric over 6. For the accuracy, both are small.

The bias of macro-F1 comes from rare labels: one with a single document is missing from a third of all resamples, and
macro-F1 then ignores it. The correction moves the wrong way if that hides most of the distribution, so it is limited.
The limit was chosen on 400 simulated test sets of each of five populations whose true macro-F1 is known. With the label
counts of Reuters-52, intervals contain it in 86 % of test sets with a limit of 0.5, in 84 % without one, and percentile
intervals in 82 %; with 20 equally frequent labels in 94.5, 94.5 and 94 %. What is missing from 95 % is what no resample
shows: the documents of rare labels that the test set does not have.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.bootstrap import CONFIDENCE_LEVEL, ConfidenceInterval, join_blocks
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.count_table import BLOCK_CELLS, CountTables

__all__ = ["acceleration_of", "accelerations", "bca_interval"]

FloatArray = NDArray[np.float64]
GROUPS = 500  # of the jackknife; with 500, the skewness of influences is known to a tenth
MAX_BIAS = 0.5  # standard errors
MAX_ACCELERATION = 0.3  # with more, percentiles would pass 1 and come back


def bca_interval(value: Any, resampled: FloatArray, acceleration: float) -> ConfidenceInterval:
    """The BCa interval of a value; it contains the value.

    Args:
        value: of the sample.
        resampled: float64 (resamples,), the values of resamples; those that are NaN are left out.
        acceleration: as from `acceleration_of`.

    Returns:
        The interval; the value alone if there is no resample.
    """
    from scipy.special import ndtr, ndtri

    draws, value = np.asarray(resampled)[~np.isnan(resampled)], float(value)
    if not len(draws):
        return ConfidenceInterval(value, value, value)
    # resampled values that equal the value are half below: metrics of few documents have few values
    below = (np.count_nonzero(draws < value) + np.count_nonzero(draws <= value)) / (2 * len(draws))
    bias = np.clip(ndtri(below), -MAX_BIAS, MAX_BIAS)
    limits = bias + ndtri([(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    slope = np.clip(acceleration, -MAX_ACCELERATION, MAX_ACCELERATION)
    low, high = np.quantile(draws, ndtr(bias + limits / (1 - slope * limits)))
    return ConfidenceInterval(value, min(float(low), value), max(float(high), value))


def acceleration_of(influence: FloatArray, count: NDArray[Any] | None = None) -> float:
    """The acceleration: a sixth of the skewness of the sum of influences (Efron & Tibshirani 1993, equation 14.15).

    influence: float64 (rows,), how much a document changes the metric, up to a common factor. count: how many documents
    each row is, one if it is None.
    """
    weight = np.ones(len(influence)) if count is None else count.astype(np.float64)
    if not weight.sum():
        return 0.0
    centered = influence - np.average(influence, weights=weight)
    squares = float(weight @ centered**2)
    return float(weight @ centered**3) / (6 * squares**1.5) if squares > 0 else 0.0


def accelerations(tables: CountTables, counts: ConfusionCounts) -> dict[str, NDArray[np.float64]]:
    """The acceleration of each metric of a prediction, from the jackknife.

    A document of each distinct row is left out in turn, or if there are many rows, a group of them: the sums of the
    influences of random groups have the same skewness as the sum of all.

    Args:
        tables: of one prediction.
        counts: of this prediction.

    Returns:
        By the name of the metric, float64 () or (levels,).
    """
    rows, table = tables.rows, tables.first
    removed, weight = _removals(rows.multiplicity)
    block = max(1, BLOCK_CELLS // max(len(removed), table.labels))
    documents = len(rows.row_of) - removed.sum(axis=0)
    blocks = [
        table.count(rows.multiplicity[:, None] - removed[:, turns], documents[turns]).values()
        for turns in (slice(start, start + block) for start in range(0, len(weight), block))
    ]
    values = counts.values()
    if not blocks:
        return {name: np.zeros(np.shape(value)) for name, value in values.items()}
    without, found = join_blocks(blocks), {}
    for name, value in values.items():
        change = np.nan_to_num(value - without[name])
        slopes = [acceleration_of(column, weight) for column in np.atleast_2d(change.T * documents)]
        found[name] = np.array(slopes).reshape(change.shape[1:])
    return found


def _removals(multiplicity: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The documents that are left out in each turn, (distinct rows, turns), and how often a turn counts."""
    rows = len(multiplicity)
    if rows <= GROUPS:
        return np.eye(rows), multiplicity
    group = np.random.default_rng(0).permutation(rows) % GROUPS
    removed = np.zeros((rows, GROUPS))
    removed[np.arange(rows), group] = multiplicity
    return removed, np.ones(GROUPS, dtype=np.int64)
