"""A metric of several predictions in weighted samples of the same documents.

A metric of labels is computed from the counts of each sample. One of probabilities is linear in the weights of
documents to a first approximation: its value for all documents, plus the sum of its influences (Efron & Tibshirani
1993, An Introduction to the Bootstrap, chapter 22). For log loss and Brier score, which are means, that is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.confusion_counts import check_labels
from heads.evaluation.count_table import CountTables, DistinctRows
from heads.evaluation.metrics import Metric
from heads.evaluation.probability_table import ProbabilityTable

__all__ = ["SampledMetric", "influences"]


@dataclass(frozen=True)
class SampledMetric:
    """The metric of several entries, each the mean of one or more predictions.

    rows: what samples are drawn from. values: float64 (entries,), of all documents, positive if higher is better.
    """

    rows: DistinctRows
    values: NDArray[np.float64]
    metric: Metric
    mean: NDArray[np.float64]
    tables: CountTables | NDArray[np.float64]

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
        """
        predictions = [each for seeds in entries for each in seeds]
        seeds = [len(of_entry) for of_entry in entries]
        mean = np.repeat(np.diag(1 / np.array(seeds)), seeds, axis=1)  # (entries, predictions)
        if metric.needs == "probabilities":
            each_alone = np.arange(len(truth))
            rows = DistinctRows(each_alone, np.ones_like(each_alone), each_alone)
            values, slopes = influences(truth, predictions, metric)
            return cls(rows, mean @ values, metric, mean, slopes)
        for predicted in predictions:
            check_labels(truth, predicted, labels, hierarchy)
        rows = DistinctRows.of([truth, *predictions])
        tables = CountTables.build(truth[rows.first], [each[rows.first] for each in predictions], labels, hierarchy)
        if metric.needs != "order":
            tables = tables.without(("absolute_distance", "squared_distance"))
        alone = cls(rows, np.zeros(0), metric, mean, tables)
        return cls(rows, alone.of_samples(rows.multiplicity[:, None].astype(np.float64))[:, 0], metric, mean, tables)

    def of_samples(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The metric in samples, float64 (entries, samples). weights: (rows, samples) how often each row is drawn."""
        documents = len(self.rows.row_of)
        if isinstance(self.tables, CountTables):
            counts = self.tables.count(weights, documents)
            return np.asarray(self.mean @ [self.metric.signed_value(each) for each in counts])
        return np.asarray(self.values[:, None] + self.mean @ (self.tables @ weights))


def influences(
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
        ValueError: the shapes differ, or the metric is not defined for these documents.
    """
    name = metric.attribute
    tables = [ProbabilityTable.of(truth, each, [name]) for each in predictions]
    if any(name not in table.values for table in tables):
        raise ValueError(f"the {metric.name} of these documents is not defined")
    values = metric.sign * np.array([table.values[name] for table in tables])
    return values, metric.sign * np.array([table.influences[name] for table in tables])
