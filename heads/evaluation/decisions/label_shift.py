"""Decisions for documents among which labels have other frequencies than in training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelShift"]


@dataclass(frozen=True)
class LabelShift:
    """Offsets of a rule's scores, one per label, that follow from new frequencies of labels."""

    offsets: tuple[float, ...]

    def shift_scores(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """Scores for a rule that was fitted without the shift, float64 (documents, labels)."""
        return np.asarray(scores.astype(np.float64) + np.array(self.offsets))

    def shift_probabilities(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities under the new frequencies, float32 (documents, labels)."""
        shifted = probabilities * np.exp(self.offsets)
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The label shift that `to_json` returned."""
        return cls(tuple(content["offsets"]))
