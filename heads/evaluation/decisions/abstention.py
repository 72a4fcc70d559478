"""Documents that are left undecided."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["ABSTAINED", "OTHER", "REASONS", "Abstention"]

ABSTAINED = -1  # the code of a document that is left undecided because of its confidence
OTHER = -2  # the code of a document that is left undecided because it is unlike those of training
REASONS: Mapping[int, str] = {ABSTAINED: "low confidence", OTHER: "unlike training"}


@dataclass(frozen=True)
class Abstention:
    """Leaves documents undecided whose highest probability is below `min_confidence`."""

    min_confidence: float

    def apply(self, predicted: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
        """The predictions with `ABSTAINED` or `OTHER` for documents that are left undecided, int64 (documents,)."""
        return np.where(probabilities.max(axis=1) < self.min_confidence, ABSTAINED, predicted)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The abstention that `to_json` returned."""
        return cls(**content)
