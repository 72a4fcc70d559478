"""The figures of a prediction, one definition for every command.

A label without predictions has precision 0 and one without documents has recall 0 (scikit-learn's zero_division=0).
Macro-F1 is the mean over the labels that occur in truth or prediction: scikit-learn's default for single labels, and
its zero_division=nan for several, where a label that nobody has and nobody is given would else count as a miss.
Ordered labels have two figures more, by how many places a prediction is off: scikit-learn's mean_absolute_error of the
places, and its cohen_kappa_score with quadratic weights.
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
    """One label's figures; support counts the documents that have it, predicted those that are given it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True)
class Scorecard:
    """Every figure of one prediction. Accuracy is the share of documents all of whose labels are right.

    absolute_error, quadratic_kappa: of ordered labels, else None. The error counts places, 0 is best.
    """

    documents: int
    macro_f1: ConfidenceInterval
    micro_f1: ConfidenceInterval
    accuracy: ConfidenceInterval
    labels: tuple[LabelMetrics, ...]
    absolute_error: ConfidenceInterval | None = None
    quadratic_kappa: ConfidenceInterval | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `from_json` takes them."""
        return asdict(self)

    @classmethod
    def from_json(cls, card: Mapping[str, Any]) -> Self:
        """The scorecard that `to_json` gave."""
        macro, micro, accuracy = (ConfidenceInterval(**card[name]) for name in ("macro_f1", "micro_f1", "accuracy"))
        labels = tuple(LabelMetrics(**label) for label in card["labels"])
        ordinal = (card.get(name) for name in ("absolute_error", "quadratic_kappa"))
        return cls(
            card["documents"],
            macro,
            micro,
            accuracy,
            labels,
            *(each and ConfidenceInterval(**each) for each in ordinal),
        )


@dataclass(frozen=True)
class Metric:
    """A figure that things are chosen by. attribute: where it is found. sign: -1 where less is better."""

    name: str
    attribute: str
    sign: int = 1

    def value(self, what: ConfusionCounts | ResampledMetrics | Scorecard) -> Any:
        """Its value: a number, one a resample, or an interval."""
        return getattr(what, self.attribute)

    def signed_value(self, what: ConfusionCounts | ResampledMetrics | Scorecard) -> Any:
        """What there should be most of: a number, or one a resample."""
        value = self.value(what)
        return self.sign * (value.value if isinstance(value, ConfidenceInterval) else value)


MACRO_F1 = Metric("macro-F1", "macro_f1")
ABSOLUTE_ERROR = Metric("mean absolute error", "absolute_error", sign=-1)


def ranking_metric(cards: Iterable[Scorecard]) -> Metric:
    """What predictions are compared by: their error where the labels of each are ordered, else macro-F1."""
    ordinal = [card.absolute_error is not None for card in cards]
    return ABSOLUTE_ERROR if ordinal and all(ordinal) else MACRO_F1


def macro_f1(truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> float:
    """Mean F1 over the labels that occur: int codes (documents,), or bool (documents, labels)."""
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
    """All figures, with 95 % percentile bootstrap intervals over documents; ordered: those of the labels' order too.

    truth, predicted: int codes (documents,) into `labels`, or bool (documents, labels) for several labels.
    Raises ValueError when their shapes differ or a code names no label.
    """
    counts = ConfusionCounts.from_predictions(truth, predicted, len(labels))
    (resample,) = resample_metrics(truth, [predicted], len(labels), seed, resamples)

    def interval(metric: str) -> ConfidenceInterval:
        return ConfidenceInterval.from_resamples(getattr(counts, metric), getattr(resample, metric))

    return Scorecard(
        counts.documents,
        interval("macro_f1"),
        interval("micro_f1"),
        interval("accuracy"),
        _of_each(counts, labels),
        interval("absolute_error") if ordinal else None,
        interval("quadratic_kappa") if ordinal else None,
    )


def _of_each(counts: ConfusionCounts, labels: Sequence[str]) -> tuple[LabelMetrics, ...]:
    columns = (counts.precision, counts.recall, counts.f1, counts.support, counts.predicted)
    rows = zip(labels, *(np.asarray(column).tolist() for column in columns), strict=True)
    return tuple(LabelMetrics(*row) for row in rows)
