"""Metrics of resampled documents.

Documents are resampled with replacement (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 13).
One resample is one multinomial draw over the distinct pairs of truth and prediction. The interval of a single metric is
that of `bca`; those of other values are percentiles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Self

import numpy as np

from heads.evaluation.confusion_counts import FloatArray
from heads.evaluation.count_table import CountTables
from heads.evaluation.resampling import draw_resamples

RESAMPLES = 2000
CONFIDENCE_LEVEL = 0.95
NORMAL_QUANTILE = NormalDist().inv_cdf((1 + CONFIDENCE_LEVEL) / 2)  # 1.96 standard errors


@dataclass(frozen=True)
class ConfidenceInterval:
    """A value and its 95 % confidence interval.

    The value may be outside the percentiles of its resampled values if resampling biases it.
    """

    value: float
    low: float
    high: float

    @classmethod
    def from_resamples(cls, value: Any, resampled: FloatArray) -> Self:
        """The percentile interval of the resampled values (resamples,), extended to the value.

        Resamples lack rare labels, so that a difference in macro-F1 can be outside the percentiles.
        """
        low, high = np.quantile(resampled, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
        return cls(float(value), min(float(low), float(value)), max(float(high), float(value)))


def resample_metrics(tables: CountTables, seed: int = 0, resamples: int = RESAMPLES) -> list[dict[str, FloatArray]]:
    """Compute the metrics of several predictions in the same resamples, so that their differences are paired.

    Memory grows with the number of distinct rows, not with the number of resamples.

    Args:
        tables: of the predictions.
        seed: the same seed draws the same resamples.
        resamples: number of resamples.

    Returns:
        For each prediction its metrics by name, those of `ConfusionCounts.metrics`, float64 (resamples,) each.
        `level_accuracy` is (resamples, levels), and NaN in a resample without a document at a level.
    """
    # the counts of a block are larger than its metrics by the number of labels, so they are not kept
    blocks = [
        [counts.values() for counts in tables.count(weights)]
        for weights in draw_resamples(tables.rows, tables.first.labels, resamples, seed)
    ]
    return [join_blocks(of_prediction) for of_prediction in zip(*blocks, strict=True)]


def join_blocks(blocks: Sequence[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """The metrics of all blocks of samples, by name."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
