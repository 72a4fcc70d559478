"""Directions of standardised features: what heads that compare by cosine share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.linear_models.logistic import Standardizer

__all__ = ["class_prior", "to_unit_vectors"]


def to_unit_vectors(features: NDArray[Any], scaling: Standardizer) -> NDArray[np.float32]:
    """float32 (documents, dims) of length 1, or 0 where a document is the mean itself.

    Each number is brought to mean 0 and deviation 1 first: what all documents share, which makes every cosine of an
    encoder's vectors near 1, is gone (Mu & Viswanath 2018, arXiv 1702.01417), and no view outweighs another.
    """
    standard = scaling.transform(features)
    length = np.linalg.norm(standard, axis=1, keepdims=True)
    return np.asarray(standard / np.where(length > 0, length, 1.0), dtype=np.float32)


def class_prior(y: NDArray[Any], loss_weight: NDArray[np.float64], labels: int) -> NDArray[np.float64]:
    """Share of each class in the weighted documents, float64 (labels,).

    y: int (documents,); or bool (documents, labels), and then half a document is added to either side of each.
    """
    if y.ndim == 1:
        counts = np.bincount(y, weights=loss_weight, minlength=labels)
        return np.asarray(counts / counts.sum())
    return np.asarray(((loss_weight * y).sum(axis=0) + 0.5) / (loss_weight.sum(axis=0) + 1))
