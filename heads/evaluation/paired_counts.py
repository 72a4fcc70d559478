"""Two predictions of the same documents, as the number of documents that each of them gets right."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.bootstrap import NORMAL_QUANTILE, ConfidenceInterval

__all__ = ["PairedCounts"]


@dataclass(frozen=True)
class PairedCounts:
    """How many documents both predictions get right, only the first or the second of them, and none of them."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @classmethod
    def of(cls, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Self:
        """Count documents. first, second: bool (documents,), whether each prediction is right."""
        counts = (first & second, first & ~second, ~first & second, ~(first | second))
        return cls(*(int(np.count_nonzero(each)) for each in counts))

    @property
    def documents(self) -> int:
        """The number of documents."""
        return sum(astuple(self))

    @property
    def first_accuracy(self) -> float:
        """The share of documents that the first prediction gets right."""
        return (self.both + self.only_first) / self.documents

    @property
    def second_accuracy(self) -> float:
        """The share of documents that the second prediction gets right."""
        return (self.both + self.only_second) / self.documents

    @property
    def difference(self) -> ConfidenceInterval:
        """The accuracy of the first prediction minus that of the second, with its 95 % confidence interval.

        The interval of Agresti & Min 2005, "Simple improved confidence intervals for comparing matched proportions":
        that of the normal distribution with half a document added to each count, so that it has a width if the
        predictions agree on all documents.
        """
        first, second, documents = self.only_first + 0.5, self.only_second + 0.5, self.documents + 2
        center = (first - second) / documents
        half = NORMAL_QUANTILE * sqrt(max(first + second - (first - second) ** 2 / documents, 0)) / documents
        value = (self.only_first - self.only_second) / max(self.documents, 1)
        return ConfidenceInterval(value, max(center - half, -1.0), min(center + half, 1.0))

    def to_json(self) -> list[int]:
        """The four counts, for `from_json`."""
        return list(astuple(self))

    @classmethod
    def from_json(cls, content: Sequence[int]) -> Self:
        """The counts that `to_json` returned."""
        return cls(*content)
