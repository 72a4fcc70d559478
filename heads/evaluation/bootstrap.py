"""Metrics of resampled documents.

Documents are resampled with replacement (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 13).
One resample is one multinomial draw over the distinct pairs of truth and prediction. The interval of a single metric is
that of `bca`; those of other values are percentiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any, Self

import numpy as np

from heads.evaluation.confusion_counts import ConfusionCounts, FloatArray
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
        """The percentile interval of the resampled values (resamples,)."""
        low, high = np.quantile(resampled, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
        return cls(float(value), float(low), float(high))


@dataclass(frozen=True)
class ResampledMetrics:
    """The metrics of one prediction in each resample, float64 (resamples,).

    A metric that needs sums over documents is None if the counts lack them: those of single labels for multi-label
    targets and the reverse, the hierarchical ones without a hierarchy. `level_accuracy` is (resamples, levels), and NaN
    in a resample without a document at a level.
    """

    macro_f1: FloatArray
    micro_f1: FloatArray
    accuracy: FloatArray
    weighted_f1: FloatArray
    macro_precision: FloatArray
    macro_recall: FloatArray
    micro_precision: FloatArray
    micro_recall: FloatArray
    weighted_precision: FloatArray
    weighted_recall: FloatArray
    balanced_accuracy: FloatArray | None = None
    mcc: FloatArray | None = None
    kappa: FloatArray | None = None
    decided_share: FloatArray | None = None
    selective_accuracy: FloatArray | None = None
    hamming_loss: FloatArray | None = None
    samples_f1: FloatArray | None = None
    samples_precision: FloatArray | None = None
    samples_recall: FloatArray | None = None
    absolute_error: FloatArray | None = None
    quadratic_kappa: FloatArray | None = None
    hf1: FloatArray | None = None
    hierarchical_precision: FloatArray | None = None
    hierarchical_recall: FloatArray | None = None
    macro_hf1: FloatArray | None = None
    tree_distance: FloatArray | None = None
    lca_f1: FloatArray | None = None
    wu_palmer: FloatArray | None = None
    consistency: FloatArray | None = None
    level_accuracy: FloatArray | None = None

    @classmethod
    def from_counts(cls, counts: ConfusionCounts) -> Self:
        """The metrics of counts of some resamples."""
        return cls(**{name: getattr(counts, name) for name in counts.metrics})

    @classmethod
    def join(cls, blocks: Sequence[Self]) -> Self:
        """The metrics of all blocks of resamples."""
        names = [each.name for each in fields(cls) if getattr(blocks[0], each.name) is not None]
        return cls(**{name: np.concatenate([getattr(block, name) for block in blocks]) for name in names})


def resample_metrics(tables: CountTables, seed: int = 0, resamples: int = RESAMPLES) -> list[ResampledMetrics]:
    """Compute the metrics of several predictions in the same resamples, so that their differences are paired.

    Memory grows with the number of distinct rows, not with the number of resamples.

    Args:
        tables: of the predictions.
        seed: the same seed draws the same resamples.
        resamples: number of resamples.

    Returns:
        One `ResampledMetrics` per prediction.
    """
    # the counts of a block are larger than its metrics by the number of labels, so they are not kept
    blocks = [
        [ResampledMetrics.from_counts(counts) for counts in tables.count(weights)]
        for weights in draw_resamples(tables.rows, tables.first.labels, resamples, seed)
    ]
    return [ResampledMetrics.join(of_prediction) for of_prediction in zip(*blocks, strict=True)]
