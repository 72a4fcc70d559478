"""What `fit` is told beside the documents, checked: labels and sample weights as scikit-learn's callers give them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError

__all__ = ["as_labels", "as_sample_weight", "encode"]


def as_labels(y: Any, documents: int) -> NDArray[Any]:
    """y as an array (documents,) of strings or whole numbers, or (documents, labels) of 0 and 1.

    Raises CallError for other shapes, lengths and values.
    """
    if y is None:
        raise CallError("This classifier requires y to be passed, but the target y is None.")
    try:
        labels = np.asarray(y)
    except ValueError as error:
        raise CallError("y is ragged; several labels are a matrix (documents, labels) of 0 and 1.") from error
    if labels.ndim == 2 and labels.shape[1] == 1 and labels.dtype != bool:
        from sklearn.utils import column_or_1d

        labels = column_or_1d(labels, warn=True)
    if labels.ndim not in (1, 2) or len(labels) != documents:
        raise CallError(
            f"y has shape {labels.shape} for {documents} documents; it is (documents,) or (documents, labels)."
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise CallError("Input y contains NaN or infinity.")
    _check_values(labels)
    return labels


def _check_values(labels: NDArray[Any]) -> None:
    if labels.ndim == 2:
        if not np.isin(labels, (0, 1)).all():
            raise CallError("y is a matrix with other values than 0 and 1; several labels are a matrix of these.")
        return
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise CallError("Unknown label type: continuous. Labels are strings or whole numbers.")


def encode(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(classes, y) of checked labels.

    (documents,) -> the labels, sorted, and int64 (documents,) indices into them.
    (documents, labels) -> the columns' numbers, and bool (documents, labels).
    """
    if labels.ndim == 2:
        return np.arange(labels.shape[1]), labels.astype(bool)
    try:
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise CallError("y mixes labels of different types; make all of them strings.") from error
    return classes, codes.astype(np.int64)


def as_sample_weight(sample_weight: Any, documents: int) -> NDArray[np.float64]:
    """Weights (documents,), 1 where none are given. Raises CallError for what is negative, not finite or all zero."""
    if sample_weight is None:
        return np.ones(documents)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (documents,):
        raise CallError(f"sample_weight has shape {weight.shape}; it is ({documents},), one weight a document.")
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise CallError("sample_weight holds numbers that are negative or not finite; a weight is at least 0.")
    if not weight.any():
        raise CallError("Every sample_weight is zero: no document is left to learn from.")
    return weight
