"""Sets of labels that contain the true one with a requested probability."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelSetRule"]


@dataclass(frozen=True)
class LabelSetRule:
    """The labels whose probability is at least `threshold`."""

    threshold: float

    def sets(self, probabilities: NDArray[np.float32], ids: Sequence[str]) -> NDArray[np.bool_]:
        """The labels in the set of each document, bool (documents, labels). ids: of the documents."""
        del ids
        return probabilities >= self.threshold

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The rule that `to_json` returned."""
        return cls(**content)
