"""Paired comparisons by a metric of probabilities: all predictions are measured in the same resamples of documents.

A p-value is that of the bootstrap test (Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 16.4): the
share of resampled differences that are as far from the difference as this is from 0. Exchanging probabilities between
two predictions, as for metrics of labels, would rank all documents of each label again for each exchange.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.bootstrap import RESAMPLES, ConfidenceInterval
from heads.evaluation.metrics import Metric
from heads.evaluation.paired import PairedComparison, mean_of_seeds
from heads.evaluation.probability_table import ProbabilityTable, resample_probabilities

__all__ = ["compare_probabilities"]


def compare_probabilities(
    truth: NDArray[Any],
    reference: Sequence[NDArray[Any]],
    others: Sequence[Sequence[NDArray[Any]]],
    metric: Metric,
    *,
    margin: float,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[PairedComparison]:
    """Compare probabilities with a reference. If there are several seeds of one, its metric is their mean.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        reference: probabilities to compare with, one array (documents, labels) per seed.
        others: other probabilities, each like `reference`.
        metric: one of probabilities.
        margin: the largest difference that does not matter in practice, in units of the metric.
        seed: the same seed draws the same resamples.
        resamples: number of resamples.

    Returns:
        A comparison for each of `others`, without McNemar's test.

    Raises:
        ValueError: the shapes differ, or the metric is not defined for these documents.
    """
    entries, name = [reference, *others], metric.attribute
    tables = [ProbabilityTable.of(truth, each, [name]) for seeds in entries for each in seeds]
    if any(name not in table.values for table in tables):
        raise ValueError(f"the {metric.name} of these documents is not defined")
    mean = metric.sign * mean_of_seeds([len(seeds) for seeds in entries])
    values = mean @ np.array([table.values[name] for table in tables])
    resampled = mean @ np.array([drawn[name] for drawn in resample_probabilities(tables, seed, resamples)])
    differences = zip(values[1:] - values[0], resampled[1:] - resampled[0], strict=True)
    return [_compare(float(value), draws[~np.isnan(draws)], margin) for value, draws in differences]


def _compare(value: float, draws: NDArray[np.float64], margin: float) -> PairedComparison:
    as_far = np.count_nonzero(np.abs(draws - value) >= abs(value))
    return PairedComparison(
        difference=ConfidenceInterval.from_resamples(value, draws),
        p_value=(1 + as_far) / (1 + len(draws)),
        mcnemar_p_value=None,
        equivalence=float(np.mean(np.abs(draws) <= margin)),
        not_worse=float(np.mean(draws >= -margin)),
    )
