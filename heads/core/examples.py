"""What a head learns from, checked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore import Bags

__all__ = ["Examples"]


@dataclass(frozen=True, eq=False)
class Examples:
    """What `fit` was given, checked; rows of weight 0 are left out.

    bags: the documents.
    y: int64 (documents,), indices into classes_; or bool (documents, labels) where a document may have several.
    sample_weight: float64 (documents,), above 0.
    loss_weight: float64, sample weight times class weight: (documents,), or (documents, labels) where y is a matrix.
        Its mean is that of sample_weight, for each label.
    groups: (documents,) or None.
    """

    bags: Bags
    y: NDArray[Any]
    sample_weight: NDArray[np.float64]
    loss_weight: NDArray[np.float64]
    groups: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.bags)

    def __getitem__(self, rows: NDArray[np.int64]) -> "Examples":
        """Some of the documents."""
        groups = None if self.groups is None else self.groups[rows]
        return Examples(self.bags[rows], self.y[rows], self.sample_weight[rows], self.loss_weight[rows], groups)

    @property
    def multilabel(self) -> bool:
        """Whether a document may have several labels."""
        return self.y.ndim == 2

    def present(self, labels: int) -> NDArray[np.bool_]:
        """bool (documents, labels), of so many labels: which each document has."""
        return self.y if self.multilabel else np.eye(labels, dtype=bool)[self.y]
