"""Why a calibration was selected: the log loss of each method, and metrics of probabilities before and after it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from numpy.typing import NDArray

from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.calibration.reliability import ReliabilityDiagram
from heads.evaluation.probability_table import probability_intervals

__all__ = ["CalibrationEvidence", "MethodComparison"]


@dataclass(frozen=True)
class MethodComparison:
    """One method compared with the method selected before it.

    Attributes:
        method: its name.
        baseline: the method selected before it; None for the first.
        log_loss: cross-fitted, mean over documents.
        gain: by how much it lowers the cross-fitted log loss of the baseline.
        standard_error: of the gain, over documents.
        selected: whether it replaced the baseline.
    """

    method: str
    baseline: str | None
    log_loss: float
    gain: float
    standard_error: float
    selected: bool


@dataclass(frozen=True)
class CalibrationEvidence:
    """Why a calibration was selected.

    Attributes:
        documents: number of documents that the methods were compared on.
        folds: number of cross-fitting folds; 1 if nothing was fitted.
        comparisons: one comparison per method, from the most constrained to the most flexible.
        before: the log loss, Brier score and ECE (those of CALIBRATION_METRICS) of probabilities without calibration.
        after: those of calibrated probabilities, cross-fitted; equal to `before` without calibration.
        reliability_before: the reliability diagram of the probabilities without calibration.
        reliability_after: that of the calibrated ones, cross-fitted.
    """

    documents: int
    folds: int
    comparisons: tuple[MethodComparison, ...]
    before: Mapping[str, ConfidenceInterval]
    after: Mapping[str, ConfidenceInterval]
    reliability_before: ReliabilityDiagram
    reliability_after: ReliabilityDiagram

    @classmethod
    def of(
        cls,
        truth: NDArray[Any],
        before: NDArray[Any],
        after: NDArray[Any],
        folds: int,
        comparisons: tuple[MethodComparison, ...],
    ) -> Self:
        """Measure the probabilities of documents.

        Args:
            truth: int codes (documents,), or bool (documents, labels).
            before: (documents, labels), without calibration.
            after: (documents, labels), cross-fitted.
            folds: number of folds.
            comparisons: of the methods.

        Returns:
            The evidence.
        """
        measured = [probability_intervals(truth, each, tuple(CALIBRATION_METRICS)) for each in (before, after)]
        diagrams = [ReliabilityDiagram.of(truth, each) for each in (before, after)]
        return cls(len(truth), folds, comparisons, measured[0], measured[1], diagrams[0], diagrams[1])

    @property
    def selected(self) -> MethodComparison:
        """The comparison of the selected method."""
        return [comparison for comparison in self.comparisons if comparison.selected][-1]

    @property
    def sentence(self) -> str:
        """What was selected and what it changes out of fold, in one sentence."""
        if self.selected.method == "none":
            tried = len(self.comparisons) > 1
            reason = "no method lowers the log loss by more than noise" if tried else "no method was tried"
            return f"Probabilities are not calibrated: {reason}; {_format(self.before)} out of fold."
        name = LONG_NAMES[self.selected.method]
        return (
            f"Probabilities are calibrated by {name}: {_format(self.after)} out of fold, without it "
            f"{_format(self.before)}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`, and the sentence."""
        diagrams = {name: getattr(self, name).to_json() for name in _DIAGRAMS}
        return {**asdict(self), **diagrams, "sentence": self.sentence}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The evidence that `to_json` returned."""
        values = {name: value for name, value in content.items() if name != "sentence"}
        values["comparisons"] = tuple(MethodComparison(**comparison) for comparison in content["comparisons"])
        for name in ("before", "after"):
            values[name] = {metric: ConfidenceInterval(**interval) for metric, interval in content[name].items()}
        values |= {name: ReliabilityDiagram.from_json(content[name]) for name in _DIAGRAMS}
        return cls(**values)


def _format(metrics: Mapping[str, ConfidenceInterval]) -> str:
    """The metrics with their confidence intervals, as in "ECE 0.012 (0.010-0.014)"."""
    return ", ".join(
        f"{CALIBRATION_METRICS[name]} {interval.value:.3f} ({max(interval.low, 0):.3f}-{interval.high:.3f})"
        for name, interval in metrics.items()
    )


_DIAGRAMS = ("reliability_before", "reliability_after")
CALIBRATION_METRICS: Mapping[str, str] = {"log_loss": "log loss", "brier": "Brier score", "ece": "ECE"}
LONG_NAMES: Mapping[str, str] = {
    "temperature": "temperature scaling",
    "vector": "vector scaling",
    "isotonic": "isotonic regression",
}
