"""The metrics of a prediction, defined once for every command.

A label without predictions has precision 0 and one without documents has recall 0 (scikit-learn's zero_division=0).
Macro-F1 is the mean over the labels that are in truth or prediction. That is scikit-learn's default for single-label
targets, and its zero_division=nan for multi-label ones, where a label in neither would otherwise count as a miss.
Ordinal labels have two more metrics, over label positions: scikit-learn's mean_absolute_error, and its
cohen_kappa_score with quadratic weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.bootstrap import RESAMPLES, ConfidenceInterval, ResampledMetrics, resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts

__all__ = [
    "ABSOLUTE_ERROR",
    "MACRO_F1",
    "ConfidenceInterval",
    "LabelMetrics",
    "Metric",
    "Scorecard",
    "macro_f1",
    "ranking_metric",
    "scorecard",
]


@dataclass(frozen=True)
class LabelMetrics:
    """The metrics of one label; support counts its documents, predicted the documents predicted to have it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True)
class Scorecard:
    """Every metric of one prediction, with 95 % confidence intervals.

    Accuracy is the share of documents whose labels are all correct. `absolute_error` and `quadratic_kappa` are for
    ordinal labels, else None; the error counts label positions, and 0 is best.
    """

    documents: int
    macro_f1: ConfidenceInterval
    micro_f1: ConfidenceInterval
    accuracy: ConfidenceInterval
    labels: tuple[LabelMetrics, ...]
    absolute_error: ConfidenceInterval | None = None
    quadratic_kappa: ConfidenceInterval | None = None

    @property
    def averaged_labels(self) -> int:
        """How many labels macro-F1 is the mean of: those with a document or a prediction."""
        return sum(bool(label.support or label.predicted) for label in self.labels)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The scorecard that `to_json` returned."""
        names = ("macro_f1", "micro_f1", "accuracy", "absolute_error", "quadratic_kappa")
        intervals = {name: ConfidenceInterval(**content[name]) for name in names if content.get(name)}
        labels = tuple(LabelMetrics(**label) for label in content["labels"])
        return cls(documents=content["documents"], labels=labels, **intervals)


@dataclass(frozen=True)
class Metric:
    """A metric that selects or ranks.

    Attributes:
        name: its name for a reader.
        attribute: its attribute of `ConfusionCounts`, `ResampledMetrics` and `Scorecard`.
        sign: -1 if lower is better.
    """

    name: str
    attribute: str
    sign: int = 1

    def value(self, result: ConfusionCounts | ResampledMetrics | Scorecard) -> Any:
        """Its value: a number, one number per resample, or a confidence interval."""
        return getattr(result, self.attribute)

    def signed_value(self, result: ConfusionCounts | ResampledMetrics | Scorecard) -> Any:
        """Its value with the sign for which higher is better: a number, or one number per resample."""
        value = self.value(result)
        return self.sign * (value.value if isinstance(value, ConfidenceInterval) else value)


MACRO_F1 = Metric("macro-F1", "macro_f1")
ABSOLUTE_ERROR = Metric("mean absolute error", "absolute_error", sign=-1)


def ranking_metric(scorecards: Iterable[Scorecard]) -> Metric:
    """The metric that ranks predictions: the mean absolute error if all have ordinal labels, else macro-F1."""
    ordinal = [scorecard.absolute_error is not None for scorecard in scorecards]
    return ABSOLUTE_ERROR if ordinal and all(ordinal) else MACRO_F1


def macro_f1(truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> float:
    """Mean F1 over the labels that are in truth or prediction.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        predicted: the same.
        labels: number of labels.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: the shapes differ, or a code is not a label.
    """
    return float(ConfusionCounts.from_predictions(truth, predicted, labels).macro_f1)


def scorecard(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    labels: Sequence[str],
    seed: int = 0,
    resamples: int = RESAMPLES,
    *,
    ordinal: bool = False,
) -> Scorecard:
    """Compute every metric with a 95 % percentile bootstrap confidence interval over documents.

    Args:
        truth: int codes (documents,) into `labels`, or bool (documents, labels).
        predicted: the same.
        labels: names of the labels; for ordinal labels from the lowest to the highest.
        seed: seed of the resamples.
        resamples: number of resamples.
        ordinal: whether to compute the metrics of ordinal labels.

    Returns:
        The scorecard.

    Raises:
        ValueError: the shapes differ, or a code is not a label.
    """
    counts = ConfusionCounts.from_predictions(truth, predicted, len(labels))
    (resampled,) = resample_metrics(truth, [predicted], len(labels), seed, resamples)

    def interval(metric: str) -> ConfidenceInterval:
        return ConfidenceInterval.from_resamples(getattr(counts, metric), getattr(resampled, metric))

    return Scorecard(
        counts.documents,
        interval("macro_f1"),
        interval("micro_f1"),
        interval("accuracy"),
        _label_metrics(counts, labels),
        interval("absolute_error") if ordinal else None,
        interval("quadratic_kappa") if ordinal else None,
    )


def _label_metrics(counts: ConfusionCounts, labels: Sequence[str]) -> tuple[LabelMetrics, ...]:
    columns = (counts.precision, counts.recall, counts.f1, counts.support, counts.predicted)
    rows = zip(labels, *(np.asarray(column).tolist() for column in columns), strict=True)
    return tuple(LabelMetrics(*row) for row in rows)
