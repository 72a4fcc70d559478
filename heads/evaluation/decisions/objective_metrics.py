"""Metrics that only a decision rule is selected for, because they depend on what a user requests."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.document_measures import Measures
from heads.evaluation.metrics import Metric

COST = "cost"  # the name of the measure of documents
CONFIDENCE = 0.95  # of a constraint

Average = Literal["macro", "micro"]


@dataclass(frozen=True)
class FBeta(Metric):
    """F-beta, in which recall counts `beta` times as much as precision."""

    beta: float = 1.0
    average: Average = "macro"

    @classmethod
    def of(cls, average: Average, beta: float) -> Self:
        """The metric; its name has beta in it."""
        return cls(f"{average}-F{beta:g}", "", beta=beta, average=average)

    def value(self, result: Any) -> Any:
        """Its value: a number, or one number per resample; None if the result has no counts."""
        if not isinstance(result, ConfusionCounts):
            return None
        squared, hits = self.beta**2, result.true_positives
        sizes = squared * result.support + result.predicted
        if self.average == "micro":
            return (1 + squared) * hits.sum(axis=-1) / np.maximum(sizes.sum(axis=-1), 1e-9)
        present = np.count_nonzero(sizes, axis=-1)
        return ((1 + squared) * hits / np.maximum(sizes, 1e-9)).sum(axis=-1) / np.maximum(present, 1)


@dataclass(frozen=True)
class MeanCost(Metric):
    """The mean cost of a document, which counts have a sum of."""

    def value(self, result: Any) -> Any:
        """Its value: a number, or one number per resample; None if the result has no sum of costs."""
        if not isinstance(result, ConfusionCounts) or COST not in result.sums:
            return None
        return np.asarray(result.sums[COST] / np.maximum(result.documents, 1))


MEAN_COST = MeanCost("mean cost", COST, sign=-1)


def measure_costs(truth: NDArray[Any], predicted: NDArray[Any], costs: NDArray[np.float64]) -> Measures:
    """The cost of each document.

    Args:
        truth: int64 (documents,).
        predicted: int64 (documents,).
        costs: float64 (true labels, predicted labels).

    Returns:
        float64 (documents,), by name.
    """
    return {COST: costs[truth, predicted]}


@dataclass(frozen=True)
class Constraint:
    """A lowest precision or recall that a rule must have, while the other one is as high as possible.

    Attributes:
        bounded: which of both.
        at: its lowest value.
        label: the column that both are of; None for all labels.
        label_name: its name.
        per_label: whether each label must have it, or all pairs of document and label together.
    """

    bounded: Literal["precision", "recall"]
    at: float
    label: int | None = None
    label_name: str = ""
    per_label: bool = False

    @property
    def maximized(self) -> Literal["precision", "recall"]:
        """The other one."""
        return "recall" if self.bounded == "precision" else "precision"

    def of_counts(self, counts: ConfusionCounts, name: Literal["precision", "recall"]) -> Any:
        """Precision or recall: of the label, the mean over labels, or of all pairs."""
        if self.label is not None:
            return getattr(counts, name)[..., self.label]
        return getattr(counts, f"macro_{name}" if self.per_label else f"micro_{name}")

    @property
    def metric(self) -> Metric:
        """What is maximized."""
        scope = f" of '{self.label_name}'" if self.label is not None else ""
        return ConstrainedMetric(f"{self.maximized}{scope}", "", constraint=self)

    def reordered(self, order: NDArray[np.int64]) -> Self:
        """The same for reordered columns."""
        return self if self.label is None else replace(self, label=int(np.flatnonzero(order == self.label)[0]))


@dataclass(frozen=True)
class ConstrainedMetric(Metric):
    """What a constraint maximizes."""

    constraint: Constraint | None = None

    def value(self, result: Any) -> Any:
        """Its value: a number, or one number per resample; None if the result has no counts."""
        if not isinstance(result, ConfusionCounts) or self.constraint is None:
            return None
        return self.constraint.of_counts(result, self.constraint.maximized)
