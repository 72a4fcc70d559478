"""Confusion counts of a prediction, and the one definition of each metric computed from them."""

from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ConfusionCounts:
    """The counts behind every metric, for one sample or, with a leading axis, for many resamples of it.

    Attributes:
        true_positives: (..., labels) documents that have a label and are predicted to have it.
        predicted: (..., labels) documents that are predicted to have a label.
        support: (..., labels) documents that have a label.
        exact_matches: (...) documents whose predicted labels are all correct.
        documents: number of documents in the sample.
        absolute_distance: (...) sum over documents of the number of columns between the predicted and the true label.
            It is meaningful for ordinal labels only, and 0 for multi-label targets.
        squared_distance: (...) the same sum with squared distances.
    """

    true_positives: NDArray[Any]
    predicted: NDArray[Any]
    support: NDArray[Any]
    exact_matches: NDArray[Any]
    documents: int
    absolute_distance: NDArray[Any] = field(default_factory=lambda: np.zeros((), dtype=np.int64))
    squared_distance: NDArray[Any] = field(default_factory=lambda: np.zeros((), dtype=np.int64))

    @classmethod
    def from_predictions(cls, truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> Self:
        """Count one sample.

        Args:
            truth: int label codes (documents,), or bool (documents, labels) for multi-label targets.
            predicted: predictions of the same shape and kind.
            labels: number of labels.

        Returns:
            The counts, without a leading axis.

        Raises:
            ValueError: the shapes differ, or a code is not a label.
        """
        check_labels(truth, predicted, labels)
        correct = truth == predicted
        if truth.ndim == 2:
            matrices = (truth & predicted, predicted, truth)
            true_positives, positives, support = (np.count_nonzero(matrix, axis=0) for matrix in matrices)
            correct = correct.all(axis=1)
        else:
            arrays = (truth[correct], predicted, truth)
            true_positives, positives, support = (np.bincount(codes, minlength=labels) for codes in arrays)
        distance = label_distances(truth, predicted)
        return cls(
            true_positives,
            positives,
            support,
            np.asarray(np.count_nonzero(correct)),
            len(truth),
            np.asarray(distance.sum()),
            np.asarray((distance**2).sum()),
        )

    def __add__(self, other: Self) -> Self:
        """The counts of both samples together."""
        pairs = ((getattr(self, part.name), getattr(other, part.name)) for part in fields(self))
        return type(self)(*(one + two for one, two in pairs))

    def __sub__(self, other: Self) -> Self:
        """The counts of this sample without the other one, which is part of it."""
        pairs = ((getattr(self, part.name), getattr(other, part.name)) for part in fields(self))
        return type(self)(*(one - two for one, two in pairs))

    @property
    def precision(self) -> FloatArray:
        """(..., labels) true positives over predicted documents; 0 if none is predicted."""
        return np.asarray(self.true_positives / np.maximum(self.predicted, 1))

    @property
    def recall(self) -> FloatArray:
        """(..., labels) true positives over the label's documents; 0 if it has none."""
        return np.asarray(self.true_positives / np.maximum(self.support, 1))

    @property
    def f1(self) -> FloatArray:
        """(..., labels) harmonic mean of precision and recall; 0 if a label is in neither truth nor prediction."""
        return np.asarray(2 * self.true_positives / np.maximum(self.predicted + self.support, 1))

    @property
    def macro_f1(self) -> FloatArray:
        """(...) mean F1 over the labels that are in truth or prediction; 0 if there is none."""
        present = np.count_nonzero(self.predicted + self.support, axis=-1)
        return np.asarray(self.f1.sum(axis=-1) / np.maximum(present, 1))

    @property
    def micro_f1(self) -> FloatArray:
        """(...) F1 over all pairs of document and label; for single-label targets it equals the accuracy."""
        pairs = (self.predicted + self.support).sum(axis=-1)
        return np.asarray(2 * self.true_positives.sum(axis=-1) / np.maximum(pairs, 1))

    @property
    def accuracy(self) -> FloatArray:
        """(...) share of documents whose labels are all correct."""
        return np.asarray(self.exact_matches / max(self.documents, 1))

    @property
    def absolute_error(self) -> FloatArray:
        """(...) mean absolute error: mean number of columns between the predicted and the true ordinal label."""
        return np.asarray(self.absolute_distance / max(self.documents, 1))

    @property
    def quadratic_kappa(self) -> FloatArray:
        """(...) 1 - the mean squared distance over that of chance with the same label counts, for ordinal labels.

        Cohen 1968, Weighted kappa, with squared distances as weights. It is 0 if truth and prediction are one and the
        same label for every document: chance is as good.
        """
        position = np.arange(self.support.shape[-1], dtype=np.float64)
        spread = (self.support + self.predicted) @ position**2
        by_chance = spread - 2 * (self.support @ position) * (self.predicted @ position) / max(self.documents, 1)
        safe = np.where(by_chance > 0, by_chance, 1)
        return np.asarray(np.where(by_chance > 0, 1 - self.squared_distance / safe, 0.0))


def label_distances(truth: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.int64]:
    """Number of columns between the two labels of each document, int64 (documents,); 0 for multi-label targets."""
    if truth.ndim == 2:
        return np.zeros(len(truth), dtype=np.int64)
    return np.asarray(np.abs(truth.astype(np.int64) - predicted))


def check_labels(truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> None:
    """Check that truth and prediction have one shape and kind, and contain known labels only.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        predicted: the same.
        labels: number of labels.

    Raises:
        ValueError: one of these does not hold.
    """
    if truth.shape != predicted.shape or (truth.dtype == np.bool_) != (predicted.dtype == np.bool_):
        raise ValueError(f"truth is {truth.dtype} {truth.shape}, but prediction is {predicted.dtype} {predicted.shape}")
    if truth.ndim == 2 and (truth.dtype != np.bool_ or truth.shape[1] != labels):
        raise ValueError(
            f"multi-label targets must be bool (documents, {labels}), but they are {truth.dtype} {truth.shape}"
        )
    if truth.ndim == 1 and len(truth):
        lowest, highest = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
        if lowest < 0 or highest >= labels:
            raise ValueError(f"label codes must be 0 to {labels - 1}, but they are {lowest} to {highest}")
