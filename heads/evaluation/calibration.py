"""How scores become probabilities."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.score_matrix import scores_to_probabilities

__all__ = ["Calibration"]


@dataclass(frozen=True)
class Calibration:
    """A map from scores to probabilities; the default takes the scores as logits or log-probabilities."""

    def probabilities(self, scores: NDArray[Any], *, multilabel: bool) -> NDArray[np.float32]:
        """Probabilities, float32 (documents, labels). scores: (documents, labels), -inf for an unseen label."""
        return scores_to_probabilities(scores, multilabel=multilabel)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The calibration that `to_json` returned."""
        return cls(**content)
