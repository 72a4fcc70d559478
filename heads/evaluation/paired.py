"""Differences between predictions of the same documents, with confidence intervals.

All predictions are resampled together, so that what makes a document hard for each of them cancels out, and within the
labels, so that no resample lacks a rare label: a paired, stratified bootstrap (Efron & Tibshirani 1993, An Introduction
to the Bootstrap, sections 8.3 and 16.4; Davison & Hinkley 1997, Bootstrap Methods and their Application, section 3.2).
"""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.bootstrap import RESAMPLES, ConfidenceInterval, resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.metrics import MACRO_F1, Metric

__all__ = ["paired_differences"]


def paired_differences(
    truth: NDArray[Any],
    reference: NDArray[Any],
    others: Sequence[NDArray[Any]],
    labels: int,
    metric: Metric = MACRO_F1,
    *,
    hierarchy: Hierarchy | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[ConfidenceInterval]:
    """Compute how much better other predictions are than a reference on the same documents.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        reference: the prediction to compare with, of the same shape and kind.
        others: predictions of the same shape and kind.
        labels: number of labels.
        metric: the metric; a metric that is better if lower has its sign turned.
        hierarchy: of the labels, which hierarchical metrics need.
        seed: the same seed draws the same resamples.
        resamples: number of resamples.

    Returns:
        For each of `others` its metric minus that of `reference`, with a 95 % percentile interval: positive if better.

    Raises:
        ValueError: the arrays do not match, or a code is not a label.
    """
    predictions = [reference, *others]
    counts = [ConfusionCounts.from_predictions(truth, predicted, labels, hierarchy) for predicted in predictions]
    values = [metric.signed_value(one) for one in counts]
    resampled = resample_metrics(truth, predictions, labels, seed, resamples, hierarchy=hierarchy, stratified=True)
    first, *rest = [metric.signed_value(metrics) for metrics in resampled]
    return [
        ConfidenceInterval.from_resamples(value - values[0], draws - first)
        for value, draws in zip(values[1:], rest, strict=True)
    ]
