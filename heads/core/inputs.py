"""The input of `fit`, checked: labels and sample weights as callers of scikit-learn pass them, and Examples of them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from featurestore import Bags

__all__ = [
    "Examples",
    "as_flags",
    "as_groups",
    "as_labels",
    "as_sample_weight",
    "encode",
    "format_dims",
    "vector_length",
]


@dataclass(frozen=True, eq=False)
class Examples:
    """The checked training documents of `fit`; documents of weight 0 are removed.

    bags: the documents.
    y: int64 (documents,), indices into classes_; if multi-label, bool (documents, labels).
    sample_weight: float64 (documents,), above 0.
    loss_weight: float64, sample weight times class weight: (documents,), or (documents, labels) if multi-label. Its
        mean is that of sample_weight, for each label.
    groups: int64 (documents,), numbers of groups, or None.
    fit_only: bool (documents,), documents that never validate, see `Head.fit`; None if there are none.
    detailed: the codes of detailed labels, in the shape of `y`, that a head learns too; None if there are none.
    """

    bags: Bags
    y: NDArray[Any]
    sample_weight: NDArray[np.float64]
    loss_weight: NDArray[np.float64]
    groups: NDArray[np.int64] | None
    fit_only: NDArray[np.bool_] | None = None
    detailed: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.bags)

    def __getitem__(self, rows: NDArray[np.int64]) -> "Examples":
        """The documents of `rows`."""
        optional: tuple[Any, ...] = (self.groups, self.fit_only, self.detailed)
        weights = self.sample_weight[rows], self.loss_weight[rows]
        return Examples(
            self.bags[rows], self.y[rows], *weights, *(None if each is None else each[rows] for each in optional)
        )

    @property
    def multilabel(self) -> bool:
        """Whether a document may have more than one label."""
        return self.y.ndim == 2

    def indicator_matrix(self, labels: int) -> NDArray[np.bool_]:
        """bool (documents, labels): which labels each document has. labels: their number."""
        return self.y if self.multilabel else np.eye(labels, dtype=bool)[self.y]


def as_labels(y: Any, documents: int) -> NDArray[Any]:
    """y as an array (documents,) of strings or integers, or (documents, labels) of 0 and 1.

    Raises CallError for other shapes, lengths and values.
    """
    if y is None:
        raise CallError("This classifier requires y to be passed, but the target y is None.")
    try:
        labels = np.asarray(y)
    except ValueError as error:
        raise CallError("y is ragged. Pass multi-label y as a matrix (documents, labels) of 0 and 1.") from error
    if labels.ndim == 2 and labels.shape[1] == 1 and labels.dtype != bool:
        from sklearn.utils import column_or_1d

        labels = column_or_1d(labels, warn=True)
    if labels.ndim not in (1, 2) or len(labels) != documents:
        raise CallError(
            f"y has shape {labels.shape} for {documents} documents. Pass (documents,) or (documents, labels)."
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise CallError("Input y contains NaN or infinity.")
    _check_values(labels)
    return labels


def _check_values(labels: NDArray[Any]) -> None:
    if labels.ndim == 2:
        if not np.isin(labels, (0, 1)).all():
            raise CallError("y is a matrix with values other than 0 and 1. A multi-label matrix has only these.")
        return
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise CallError("Unknown label type: continuous. Labels must be strings or integers.")


def encode(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Checked labels as (classes, y).

    (documents,) -> the sorted labels, and int64 (documents,) indices into them.
    (documents, labels) -> the column numbers, and bool (documents, labels).
    """
    if labels.ndim == 2:
        return np.arange(labels.shape[1]), labels.astype(bool)
    try:
        if labels.dtype == object:  # sorting the labels of all documents takes ten times as long
            names = sorted(set(labels.tolist()))
            code_of = {name: code for code, name in enumerate(names)}
            codes = np.fromiter(map(code_of.__getitem__, labels.tolist()), np.int64, len(labels))
            # scalars of NumPy have no form in head.json
            plain = [name.item() if isinstance(name, np.generic) else name for name in names]
            return np.array(plain, dtype=object), codes
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise CallError("y mixes labels of different types. Convert all of them to strings.") from error
    return classes, codes.astype(np.int64)


def as_sample_weight(sample_weight: Any, documents: int) -> NDArray[np.float64]:
    """float64 (documents,), 1 for each if None. Raises CallError for weights that are negative, not finite or all 0."""
    if sample_weight is None:
        return np.ones(documents)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (documents,):
        raise CallError(f"sample_weight has shape {weight.shape}. Pass ({documents},), one weight per document.")
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise CallError("sample_weight has negative or non-finite values. Weights must be at least 0.")
    if not weight.any():
        raise CallError("Every sample_weight is zero: no document is left to learn from.")
    return weight


def as_groups(groups: Any, documents: int) -> NDArray[np.int64]:
    """The number of each document's group, int64 (documents,); integers stay as they are.

    A document whose group is None or NaN is a group of its own. Raises CallError for another number of groups.
    """
    if len(groups) != documents:
        raise CallError(f"There are {len(groups)} groups for {documents} documents. Pass one for each document.")
    if isinstance(groups, np.ndarray) and groups.dtype.kind in "iu":
        return groups.astype(np.int64, copy=False)
    values = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)
    # by their text, so that numbers depend neither on the order of documents nor on types that can be compared
    names = sorted({group for group in values if group is not None and group == group}, key=repr)
    numbers = {group: number for number, group in enumerate(names)}
    return np.array([numbers.get(group, len(names) + row) for row, group in enumerate(values)], dtype=np.int64)


def as_flags(fit_only: Any, documents: int) -> NDArray[np.bool_]:
    """fit_only as bool (documents,). Raises CallError for another shape."""
    flags = np.asarray(fit_only, dtype=bool)
    if flags.shape != (documents,):
        raise CallError(f"fit_only has shape {flags.shape}. Pass ({documents},), one value per document.")
    return flags


def vector_length(bags: Bags, view: str) -> int:
    """The length of a vector of a view, of all its layers together."""
    shape = bags.view(view).item_shape
    return math.prod(shape) if shape else 0


def format_dims(dims: dict[str, int]) -> str:
    """Lengths of vectors by view, in words."""
    return ", ".join(f"{view} of {dim}" for view, dim in dims.items())
