"""Features scaled to weighted mean 0 and standard deviation 1 over the training documents."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Standardizer"]

FITTED = 1024  # documents whose moments are computed at a time, in a core's cache
# vectors in float16 are rounded to multiples of 6e-8 near zero, and encoders have dead dimensions
LEAST = 1e-6  # deviation of a feature that is scaled


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Weighted mean and standard deviation of each feature, float64 (dims,).

    A feature that is constant but for rounding has deviation 1: scaled up, its rounding could outweigh all other
    features in the scores of a new document.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def fit(cls, features: NDArray[Any], weight: NDArray[np.float64], *, encoded: int = 0) -> Self:
        """Fit on features (documents, dims) with document weights (documents,).

        The last `encoded` features are kept as they are: to give a rare category deviation 1 would scale it up, and so
        nearly exempt its coefficient from the penalty.
        """
        share, first = weight / weight.sum(), features[0].astype(np.float64)
        sums, squares = np.zeros(len(first)), np.zeros(len(first))
        for start in range(0, len(features), FITTED):
            rows = slice(start, start + FITTED)
            shifted = features[rows] - first  # close to the mean, so that the difference of moments loses no digits
            sums += share[rows] @ shifted
            squares += share[rows] @ np.square(shifted, out=shifted)
        mean, deviation = first + sums, np.sqrt(np.maximum(squares - sums**2, 0))
        varies = deviation > np.maximum(LEAST, 1e-9 * np.abs(mean))
        is_encoded = np.arange(len(mean)) >= len(mean) - encoded
        return cls(np.where(is_encoded, 0.0, mean), np.where(varies & ~is_encoded, deviation, 1.0))

    def transform(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Standardized features, a new float64 array (documents, dims)."""
        standard = features - self.mean
        standard /= self.deviation
        return np.asarray(standard)
