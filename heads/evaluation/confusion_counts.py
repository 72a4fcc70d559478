"""Hits, predictions and documents of each label, and the figures that follow from them: their one definition."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class ConfusionCounts:
    """What every figure is made of, for one sample or, with a leading axis, for many resamples of it.

    hits, predicted, support: (..., labels) documents that have and are given a label, are given it, have it.
    exact: (...) documents all of whose labels are right. documents: of the sample.
    distance, squared: (...) sums over documents of how many columns the label given is from the one held, and of its
    square. They mean something where a document has one label and the columns stand in an order; of several both are 0.
    """

    hits: NDArray[Any]
    predicted: NDArray[Any]
    support: NDArray[Any]
    exact: NDArray[Any]
    documents: int
    distance: NDArray[Any] = field(default_factory=lambda: np.zeros((), dtype=np.int64))
    squared: NDArray[Any] = field(default_factory=lambda: np.zeros((), dtype=np.int64))

    @classmethod
    def from_predictions(cls, truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> Self:
        """Count one sample: int codes (documents,), or bool (documents, labels) for several labels.

        Raises ValueError when the two do not match in shape, or a code names no label.
        """
        check(truth, predicted, labels)
        right = truth == predicted
        if truth.ndim == 2:
            hits, given, held = (np.count_nonzero(of, axis=0) for of in (truth & predicted, predicted, truth))
            right = right.all(axis=1)
        else:
            hits, given, held = (np.bincount(codes, minlength=labels) for codes in (truth[right], predicted, truth))
        apart = distances(truth, predicted)
        exact = np.asarray(np.count_nonzero(right))
        return cls(hits, given, held, exact, len(truth), np.asarray(apart.sum()), np.asarray((apart**2).sum()))

    @property
    def precision(self) -> Numbers:
        """(..., labels) share of the documents given a label that have it; 0 where none was given it."""
        return np.asarray(self.hits / np.maximum(self.predicted, 1))

    @property
    def recall(self) -> Numbers:
        """(..., labels) share of a label's documents that were given it; 0 where it has none."""
        return np.asarray(self.hits / np.maximum(self.support, 1))

    @property
    def f1(self) -> Numbers:
        """(..., labels) harmonic mean of precision and recall; 0 where a label neither occurs nor is given."""
        return np.asarray(2 * self.hits / np.maximum(self.predicted + self.support, 1))

    @property
    def macro_f1(self) -> Numbers:
        """(...) mean F1 over the labels that occur in truth or prediction; 0 when none does."""
        occurring = np.count_nonzero(self.predicted + self.support, axis=-1)
        return np.asarray(self.f1.sum(axis=-1) / np.maximum(occurring, 1))

    @property
    def micro_f1(self) -> Numbers:
        """(...) F1 over all pairs of document and label at once; of single labels it is the accuracy."""
        pairs = (self.predicted + self.support).sum(axis=-1)
        return np.asarray(2 * self.hits.sum(axis=-1) / np.maximum(pairs, 1))

    @property
    def accuracy(self) -> Numbers:
        """(...) share of documents all of whose labels are right."""
        return np.asarray(self.exact / max(self.documents, 1))

    @property
    def absolute_error(self) -> Numbers:
        """(...) mean number of columns between the label given and the one held: ordered labels."""
        return np.asarray(self.distance / max(self.documents, 1))

    @property
    def quadratic_kappa(self) -> Numbers:
        """(...) 1 - the mean squared distance over what chance would have with as many of each label: ordered labels.

        Cohen 1968, Weighted kappa, with squared distances as weights. 0 where every document has, and is given, one
        and the same label: chance does as well.
        """
        place = np.arange(self.support.shape[-1], dtype=np.float64)
        spread = (self.support + self.predicted) @ place**2
        by_chance = spread - 2 * (self.support @ place) * (self.predicted @ place) / max(self.documents, 1)
        return np.asarray(np.where(by_chance > 0, 1 - self.squared / np.where(by_chance > 0, by_chance, 1), 0.0))


def distances(truth: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.int64]:
    """How many columns apart the labels of each document are, int64 (documents,); 0 for several labels."""
    if truth.ndim == 2:
        return np.zeros(len(truth), dtype=np.int64)
    return np.asarray(np.abs(truth.astype(np.int64) - predicted))


def check(truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> None:
    """Raise ValueError unless both say the same documents, in the same form, of the labels that there are."""
    if truth.shape != predicted.shape or (truth.dtype == np.bool_) != (predicted.dtype == np.bool_):
        raise ValueError(f"truth is {truth.dtype} {truth.shape}, prediction is {predicted.dtype} {predicted.shape}")
    if truth.ndim == 2 and (truth.dtype != np.bool_ or truth.shape[1] != labels):
        raise ValueError(f"several labels are bool (documents, {labels}), this is {truth.dtype} {truth.shape}")
    if truth.ndim == 1 and len(truth):
        lowest, highest = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
        if lowest < 0 or highest >= labels:
            raise ValueError(f"codes are 0 to {labels - 1}, these are {lowest} to {highest}")
