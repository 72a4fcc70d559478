"""What a reliability diagram shows: how often predictions of each confidence are correct, with confidence intervals."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from numpy.typing import NDArray

from heads.evaluation.probability_metrics import BINS, Reliability
from heads.evaluation.proportions import share_bounds

__all__ = ["ReliabilityBin", "ReliabilityDiagram"]


@dataclass(frozen=True)
class ReliabilityBin:
    """Documents of similar confidence; pairs of document and label if multi-label.

    Attributes:
        size: how many there are.
        confidence: their mean confidence.
        correct: the share that is correct.
        low, high: the confidence interval of that share (Wilson 1927), at a level of 95 %.
    """

    size: int
    confidence: float
    correct: float
    low: float
    high: float


@dataclass(frozen=True)
class ReliabilityDiagram:
    """Bins of equally many documents, the least confident first; those of the ECE (`probability_metrics`)."""

    bins: tuple[ReliabilityBin, ...]

    @classmethod
    def of(cls, truth: NDArray[Any], probabilities: NDArray[Any], bins: int = BINS) -> Self:
        """The diagram of a prediction.

        Args:
            truth: int codes (documents,), or bool (documents, labels).
            probabilities: (documents, labels).
            bins: number of bins; equal confidences share one, so there may be fewer.

        Returns:
            The diagram; without documents, it has no bins.
        """
        found = Reliability.of(truth, probabilities, bins)
        low, high = share_bounds(found.correct * found.size, found.size)
        columns = (found.size, found.confidence, found.correct, low, high)
        return cls(tuple(ReliabilityBin(*row) for row in zip(*(column.tolist() for column in columns), strict=True)))

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values for `from_json`: one object per bin."""
        return [asdict(each) for each in self.bins]

    @classmethod
    def from_json(cls, content: list[Mapping[str, Any]]) -> Self:
        """The diagram that `to_json` returned."""
        return cls(tuple(ReliabilityBin(**each) for each in content))
