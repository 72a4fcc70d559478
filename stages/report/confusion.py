"""Which labels were taken for which: the confusion matrix, its worst pairs, and its picture.

Documents with several labels have no such matrix; they have a tally a label instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.report.formatting import display_width, shorten

__all__ = ["Cell", "HeatMap", "Tally", "cells", "confusion", "heat_map", "most_confused", "tallies"]

SPELLED_OUT = 25  # labels up to which a matrix has names and counts in it
PICTURE = 520  # units of the picture's side, about
NAME = 22  # columns of a name beside the matrix


@dataclass(frozen=True)
class Cell:
    """Documents of label `truth` that were given label `predicted`; `share` of all documents of `truth`."""

    truth: int
    predicted: int
    documents: int
    share: float

    @property
    def right(self) -> bool:
        """Whether the cell lies on the diagonal."""
        return self.truth == self.predicted


@dataclass(frozen=True)
class Tally:
    """One label of many: documents that have it and were given it, have it only, were given it only."""

    label: str
    right: int
    missed: int
    added: int


@dataclass(frozen=True)
class HeatMap:
    """A drawing: cells of `side` units, `left` and `top` kept free for the names, which may be empty."""

    cells: tuple[Cell, ...]
    names: tuple[str, ...]
    labels: int
    side: float
    left: float
    top: float

    @property
    def width(self) -> float:
        """Units across; the last slanted name hangs over the right edge as far as it rises."""
        return round(self.left + self.labels * self.side + max(0, self.top - self.side / 2), 2)

    @property
    def height(self) -> float:
        """Units from top to bottom."""
        return round(self.top + self.labels * self.side, 2)

    @property
    def has_names(self) -> bool:
        """Whether names stand at the rows and counts in the cells."""
        return bool(self.names)

    def strength(self, cell: Cell) -> float:
        """How strongly a cell is coloured, in [0, 1]: its share, but never too faint to be seen."""
        faintest = 0.1 if self.has_names else 0.25
        return round(faintest + (1 - faintest) * cell.share, 2)


def confusion(truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> NDArray[np.int64]:
    """Documents by truth (rows) and prediction (columns): int64 (labels, labels), from int codes (documents,)."""
    pairs = np.bincount(truth.astype(np.int64) * labels + predicted, minlength=labels * labels)
    return pairs.reshape(labels, labels)


def cells(matrix: NDArray[np.int64]) -> tuple[Cell, ...]:
    """The cells that hold a document, row by row."""
    support = matrix.sum(axis=1)
    return tuple(
        Cell(int(row), int(column), int(matrix[row, column]), float(matrix[row, column] / support[row]))
        for row, column in np.argwhere(matrix)
    )


def most_confused(found: Sequence[Cell], most: int) -> tuple[Cell, ...]:
    """The mistakes that cost most documents, at most `most`; of equals first the one of the smaller label."""
    wrong = (cell for cell in found if not cell.right)
    return tuple(sorted(wrong, key=lambda cell: (-cell.documents, -cell.share))[:most])


def tallies(truth: NDArray[np.bool_], predicted: NDArray[np.bool_], labels: Sequence[str]) -> tuple[Tally, ...]:
    """One tally a label from bool (documents, labels), the most frequent label first."""
    right, missed, added = (truth & predicted).sum(0), (truth & ~predicted).sum(0), (~truth & predicted).sum(0)
    every = (Tally(label, int(right[at]), int(missed[at]), int(added[at])) for at, label in enumerate(labels))
    return tuple(sorted(every, key=lambda one: (-one.right - one.missed, one.label)))


def heat_map(found: Sequence[Cell], labels: Sequence[str]) -> HeatMap:
    """The picture of a matrix: with names and counts for few labels, scaled down to a fixed side for many."""
    if len(labels) > SPELLED_OUT:
        return HeatMap(tuple(found), (), len(labels), round(PICTURE / len(labels), 3), 0, 0)
    names = tuple(shorten(label, NAME) for label in labels)
    room = 7.2 * max(map(display_width, names), default=0) + 14
    side = max(24, min(48, PICTURE // max(1, len(labels))))
    return HeatMap(tuple(found), names, len(labels), side, round(room, 1), round(0.72 * room, 1))
