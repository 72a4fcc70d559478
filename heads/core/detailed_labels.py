"""Detailed labels as a teacher: each belongs to one of the labels that a head scores, and says more about a document.

A head declares in `detail_use` what it does with them:

    none        it learns the scored labels alone
    auxiliary   it learns both at once: a network has an output for each, and the loss is a weighted sum
    sum         it learns the detailed labels, and the probability of a scored label is the sum over those below it
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from heads.core.inputs import Examples, as_labels, encode

__all__ = ["DetailUse", "DetailedLabels", "sum_scores"]

DetailUse: TypeAlias = Literal["none", "auxiliary", "sum"]


@dataclass(frozen=True, eq=False)
class DetailedLabels:
    """The detailed labels of the training documents.

    classes: (detailed,), sorted; the column numbers if multi-label.
    counts: float64 (detailed,), the sum of sample weights of each.
    class_of: int64 (detailed,), the index of the scored label that each belongs to; empty if multi-label.
    """

    classes: NDArray[Any]
    counts: NDArray[np.float64]
    class_of: NDArray[np.int64]

    @classmethod
    def of(cls, labels: Any, examples: Examples, classes: NDArray[Any]) -> tuple[Self, NDArray[Any]]:
        """Check detailed labels, and return them with the code of each document, in the shape of `examples.y`.

        Args:
            labels: (documents,), or a matrix (documents, detailed) of 0 and 1 if multi-label.
            examples: the documents with their scored labels.
            classes: the scored labels.

        Raises:
            CallError: for labels of another kind, or a detailed label that occurs with two scored labels.
        """
        checked = as_labels(labels, len(examples))
        if checked.ndim != examples.y.ndim:
            raise CallError("The detailed labels and y must both be multi-label, or both one label per document.")
        detailed, codes = encode(checked)
        weight = examples.sample_weight
        if examples.multilabel:
            return cls(detailed, np.asarray(weight @ codes), np.zeros(0, dtype=np.int64)), codes
        class_of = np.zeros(len(detailed), dtype=np.int64)
        class_of[codes] = examples.y
        differs = np.flatnonzero(class_of[codes] != examples.y)
        if len(differs):
            code, other = codes[differs[0]], examples.y[differs[0]]
            raise CallError(
                f"The detailed label '{detailed[code]}' occurs with '{classes[class_of[code]]}' and with "
                f"'{classes[other]}', but it must belong to one label."
            )
        return cls(detailed, np.bincount(codes, weights=weight).astype(np.float64), class_of), codes

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "classes": self.classes.tolist(),
            "dtype": self.classes.dtype.str,
            "counts": self.counts.tolist(),
            "class_of": self.class_of.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read the result of `to_json`."""
        classes = np.array(content["classes"], dtype=np.dtype(content["dtype"]))
        return cls(classes, np.array(content["counts"], np.float64), np.array(content["class_of"], np.int64))


def sum_scores(scores: NDArray[Any], class_of: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Add the probabilities of detailed labels: float64 (documents, classes), logits or log-probabilities as `scores`.

    Args:
        scores: (documents, detailed).
        class_of: int64 (detailed,), as in `DetailedLabels`.
        classes: their number.
    """
    order = np.argsort(class_of, kind="stable")
    starts = np.searchsorted(class_of[order], np.arange(classes))
    return np.asarray(np.logaddexp.reduceat(scores.astype(np.float64)[:, order], starts, axis=1))
