"""A metric of several predictions in weighted samples of the same documents.

A metric of labels is computed from the counts of each sample. One of probabilities is linear in the weights of
documents to a first approximation: its value for all documents, plus the sum of its influences (Efron & Tibshirani
1993, An Introduction to the Bootstrap, chapter 22). For log loss and Brier score, which are means, that is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.count_table import CountTables, DistinctRows
from heads.evaluation.document_measures import ORDINAL_MEASURES
from heads.evaluation.metrics import Metric
from heads.evaluation.probability_table import ProbabilityTable

__all__ = ["SampledMetric", "UndefinedMetric"]


class UndefinedMetric(ValueError):
    """A metric of probabilities is not defined for these documents."""


@dataclass(frozen=True)
class SampledMetric:
    """The metric of several entries, each the mean of one or more predictions.

    Attributes:
        truth, entries, labels, metric, hierarchy: as in `of`.
        rows: what samples are drawn from.
        mean: float64 (entries, predictions), the share of each prediction in an entry.
        tables: of the predictions; for a metric of probabilities float64 (entries, documents), how the value changes
            with the weight of each document. Each row sums to 0.
        values: float64 (entries,), of all documents, positive if higher is better.
    """

    truth: NDArray[Any]
    entries: Sequence[Sequence[NDArray[Any]]]
    labels: int
    metric: Metric
    hierarchy: Hierarchy | None
    rows: DistinctRows
    mean: NDArray[np.float64]
    tables: CountTables | NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        truth: NDArray[Any],
        entries: Sequence[Sequence[NDArray[Any]]],
        labels: int,
        metric: Metric,
        hierarchy: Hierarchy | None = None,
    ) -> Self:
        """Prepare samples of these documents.

        Args:
            truth: int codes (documents,), or bool (documents, labels).
            entries: of each entry its predictions, one per seed: labels like `truth`, or for a metric of probabilities
                float (documents, labels).
            labels: number of labels.
            metric: the metric.
            hierarchy: of the labels, which hierarchical metrics need.

        Returns:
            The metric.

        Raises:
            ValueError: the arrays do not match, or a code is not a label.
            UndefinedMetric: the metric is not defined for these documents.
        """
        predictions = [each for seeds in entries for each in seeds]
        seeds = [len(of_entry) for of_entry in entries]
        mean = np.repeat(np.diag(1 / np.array(seeds)), seeds, axis=1)  # (entries, predictions)
        given = (truth, entries, labels, metric, hierarchy)
        if metric.needs == "probabilities":
            each_alone = np.arange(len(truth))
            rows = DistinctRows(each_alone, np.ones_like(each_alone), each_alone)
            values, slopes = _influences(truth, predictions, metric)
            return cls(*given, rows, mean, mean @ slopes, mean @ values)
        tables = CountTables.build(truth, predictions, labels, hierarchy)
        if metric.needs != "order":
            tables = tables.without(ORDINAL_MEASURES)
        sampled = cls(*given, tables.rows, mean, tables, np.zeros(0))
        all_documents = tables.rows.multiplicity[:, None].astype(np.float64)
        return replace(sampled, values=sampled.of_samples(all_documents)[:, 0])

    def of_samples(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The metric in samples, float64 (entries, samples).

        weights: (rows, samples) how often each row is drawn; as many in each sample as there are documents.
        """
        if isinstance(self.tables, CountTables):
            counts = self.tables.count(weights)
            return np.asarray(self.mean @ [self.metric.signed_value(each) for each in counts])
        return np.asarray(self.values[:, None] + self.tables @ weights)


def _influences(
    truth: NDArray[Any], predictions: Sequence[NDArray[Any]], metric: Metric
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A metric of probabilities, and how it changes with the weight of each document, positive if higher is better.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        predictions: probabilities, float (documents, labels) each.
        metric: the metric.

    Returns:
        The values, float64 (predictions,), and the influences, float64 (predictions, documents); each row sums to 0.

    Raises:
        ValueError: the shapes differ.
        UndefinedMetric: the metric is not defined for these documents.
    """
    name = metric.attribute
    tables = [ProbabilityTable.of(truth, each, [name]) for each in predictions]
    if any(name not in table.values for table in tables):
        raise UndefinedMetric(f"the {metric.name} of these documents is not defined")
    values = metric.sign * np.array([table.values[name] for table in tables])
    return values, metric.sign * np.array([table.influences[name] for table in tables])
