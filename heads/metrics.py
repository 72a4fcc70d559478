"""The figures of a prediction, one definition for every command.

A label without predictions has precision 0 and one without documents has recall 0 (scikit-learn's zero_division=0).
Macro-F1 is the mean over the labels that occur in truth or prediction: scikit-learn's default for single labels, and
its zero_division=nan for several, where a label that nobody has and nobody is given would else count as a miss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.counts import Counts
from heads.intervals import RESAMPLES, Interval, resampled

__all__ = ["Interval", "LabelFigures", "Scorecard", "macro_f1", "scorecard"]


@dataclass(frozen=True)
class LabelFigures:
    """One label's figures; support counts the documents that have it, predicted those that are given it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True)
class Scorecard:
    """Every figure of one prediction. Accuracy is the share of documents all of whose labels are right."""

    documents: int
    macro_f1: Interval
    micro_f1: Interval
    accuracy: Interval
    labels: tuple[LabelFigures, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `from_json` takes them."""
        return asdict(self)

    @classmethod
    def from_json(cls, card: Mapping[str, Any]) -> Self:
        """The scorecard that `to_json` gave."""
        macro, micro, accuracy = (Interval(**card[name]) for name in ("macro_f1", "micro_f1", "accuracy"))
        return cls(card["documents"], macro, micro, accuracy, tuple(LabelFigures(**label) for label in card["labels"]))


def macro_f1(truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> float:
    """Mean F1 over the labels that occur: int codes (documents,), or bool (documents, labels)."""
    return float(Counts.of(truth, predicted, labels).macro_f1)


def scorecard(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    labels: Sequence[str],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Scorecard:
    """All figures, with 95 % percentile bootstrap intervals over documents.

    truth, predicted: int codes (documents,) into `labels`, or bool (documents, labels) for several labels.
    Raises ValueError when their shapes differ or a code names no label.
    """
    counts = Counts.of(truth, predicted, len(labels))
    (resample,) = resampled(truth, [predicted], len(labels), seed, resamples)
    return Scorecard(
        counts.documents,
        Interval.of(counts.macro_f1, resample.macro_f1),
        Interval.of(counts.micro_f1, resample.micro_f1),
        Interval.of(counts.accuracy, resample.accuracy),
        _of_each(counts, labels),
    )


def _of_each(counts: Counts, labels: Sequence[str]) -> tuple[LabelFigures, ...]:
    columns = (counts.precision, counts.recall, counts.f1, counts.support, counts.predicted)
    rows = zip(labels, *(np.asarray(column).tolist() for column in columns), strict=True)
    return tuple(LabelFigures(*row) for row in rows)
