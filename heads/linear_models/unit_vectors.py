"""Standardized features scaled to unit length, and class priors: shared by the heads that compare by cosine."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.linear_models.standardizer import Standardizer

__all__ = ["class_prior", "to_unit_vectors"]

BLOCK = 1024  # documents that are standardized at a time, in a core's cache


def to_unit_vectors(features: NDArray[Any], standardizer: Standardizer) -> NDArray[np.float32]:
    """Standardize each feature, then scale each document to length 1.

    Standardization removes the component that all documents share, which makes every cosine of an encoder's vectors
    close to 1 (Mu & Viswanath 2018, arXiv 1702.01417), and gives every view the same weight.

    Returns:
        float32 (documents, dims); a document equal to the mean stays 0.
    """
    unit_vectors = np.empty(features.shape, np.float32)
    for first in range(0, len(features), BLOCK):
        standard = standardizer.transform(features[first : first + BLOCK])
        length = np.sqrt(np.einsum("ij,ij->i", standard, standard))[:, None]
        np.divide(
            standard, np.where(length > 0, length, 1.0), out=unit_vectors[first : first + BLOCK], casting="same_kind"
        )
    return unit_vectors


def class_prior(y: NDArray[Any], loss_weight: NDArray[np.float64], labels: int) -> NDArray[np.float64]:
    """The share of each class in the weighted documents.

    Args:
        y: int (documents,), or bool (documents, labels). For the latter, half a document is added to the documents
            with each label, and half to those without it.
        loss_weight: weights of the shape of y.
        labels: number of classes.

    Returns:
        float64 (labels,).
    """
    if y.ndim == 1:
        counts = np.bincount(y, weights=loss_weight, minlength=labels)
        return np.asarray(counts / counts.sum())
    return np.asarray(((loss_weight * y).sum(axis=0) + 0.5) / (loss_weight.sum(axis=0) + 1))
