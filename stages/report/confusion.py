"""Which labels were confused: the confusion matrix, its most frequent errors, and its layout as a heat map.

Multi-label documents have no confusion matrix; their labels have counts of true and false decisions instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.report.formatting import display_width, shorten

__all__ = [
    "Cell",
    "HeatMap",
    "LabelCounts",
    "confusion_cells",
    "count_per_label",
    "heat_map",
    "most_frequent_errors",
]

MAX_NAMED_LABELS = 25  # up to this number of labels, a heat map shows their names and the counts
MAX_SHOWN_LABELS = 300  # in a table; with more labels there is no heat map, whose cells would be smaller than a pixel
MATRIX_SIDE = 520  # approximate side of the heat map, in SVG units
MIN_NAME_WIDTH, MAX_NAME_WIDTH = 4, 22  # columns of a label next to the heat map


@dataclass(frozen=True)
class Cell:
    """The documents of label `truth` that were predicted as label `predicted`.

    Attributes:
        truth: code of the true label.
        predicted: code of the predicted label.
        documents: number of these documents.
        share: their share of all documents of the true label.
    """

    truth: int
    predicted: int
    documents: int
    share: float

    @property
    def is_correct(self) -> bool:
        """Whether the cell is on the diagonal."""
        return self.truth == self.predicted


@dataclass(frozen=True)
class LabelCounts:
    """The decisions about one label of a multi-label problem, as numbers of documents."""

    label: str
    code: int
    true_positives: int
    false_negatives: int
    false_positives: int

    @property
    def total(self) -> int:
        """The documents that have the label, or were given it."""
        return self.true_positives + self.false_negatives + self.false_positives


@dataclass(frozen=True)
class HeatMap:
    """The layout of a confusion matrix, in SVG units.

    Attributes:
        cells: the cells that hold a document.
        names: shortened labels; empty if there are too many of them.
        labels: number of labels.
        side: side of a cell.
        left: space for the names to the left of the matrix.
        top: space for the names above the matrix.
        extra: codes of predictions without a label, which have columns to the right of the labels.
        extra_names: their names.
    """

    cells: tuple[Cell, ...]
    names: tuple[str, ...]
    labels: int
    side: float
    left: float
    top: float
    extra: tuple[int, ...] = ()
    extra_names: tuple[str, ...] = ()

    @property
    def columns(self) -> int:
        """Number of columns: the labels, and predictions without one."""
        return self.labels + len(self.extra)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns; empty if there are too many of them."""
        return (*self.names, *self.extra_names) if self.names else ()

    @property
    def width(self) -> float:
        """The total width; the last slanted name extends beyond the right edge by as much as it rises."""
        return round(self.left + self.columns * self.side + max(0, self.top - self.side / 2), 2)

    @property
    def height(self) -> float:
        """The total height."""
        return round(self.top + self.labels * self.side, 2)

    @property
    def has_names(self) -> bool:
        """Whether the rows have names and the cells have counts."""
        return bool(self.names)

    def column(self, cell: Cell) -> int:
        """The column of a cell, counted from 0."""
        return cell.predicted if cell.predicted < self.labels else self.labels + self.extra.index(cell.predicted)

    def opacity(self, cell: Cell) -> float:
        """The opacity of a cell, in [0, 1]: its share, but never too faint to be seen."""
        minimum = 0.1 if self.has_names else 0.25
        return round(minimum + (1 - minimum) * cell.share, 2)


def confusion_cells(truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> tuple[Cell, ...]:
    """The cells of the confusion matrix that hold a document, row by row; with many labels, nearly all are empty.

    Args:
        truth: int codes (documents,).
        predicted: int codes (documents,), of labels or of other nodes of a hierarchy.
        labels: number of labels.

    Returns:
        The cells.
    """
    codes = max(labels, int(predicted.max(initial=0)) + 1)
    pairs, documents = np.unique(truth.astype(np.int64) * codes + predicted, return_counts=True)
    rows, columns = np.divmod(pairs, codes)
    shares = documents / np.bincount(truth, minlength=labels)[rows]
    values = (array.tolist() for array in (rows, columns, documents, shares))
    return tuple(map(Cell, *values))


def most_frequent_errors(cells: Sequence[Cell], limit: int) -> tuple[Cell, ...]:
    """At most `limit` errors, those with the most documents first; of equal ones first that of the rarer label."""
    errors = (cell for cell in cells if not cell.is_correct)
    return tuple(sorted(errors, key=lambda cell: (-cell.documents, -cell.share))[:limit])


def count_per_label(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], labels: Sequence[str]
) -> tuple[LabelCounts, ...]:
    """The decisions about each label, the most frequent label first.

    Args:
        truth: bool (documents, labels).
        predicted: bool (documents, labels).
        labels: names of the columns.

    Returns:
        One value per label.
    """
    columns = zip(
        labels,
        range(len(labels)),
        (truth & predicted).sum(axis=0).tolist(),
        (truth & ~predicted).sum(axis=0).tolist(),
        (~truth & predicted).sum(axis=0).tolist(),
        strict=True,
    )
    counts = (LabelCounts(*column) for column in columns)
    return tuple(sorted(counts, key=lambda one: (-one.true_positives - one.false_negatives, one.label)))


def heat_map(cells: Sequence[Cell], labels: Sequence[str], extra: Mapping[int, str] | None = None) -> HeatMap:
    """The layout of a matrix: with names and counts for few labels, scaled to a fixed side for many.

    Args:
        cells: the cells that hold a document. Those of predicted nodes that are no labels have no column.
        labels: the labels.
        extra: code -> name of predictions without a label; they have a column each if a cell has them.

    Returns:
        The layout.
    """
    predicted = {cell.predicted for cell in cells}
    named = {code: name for code, name in (extra or {}).items() if code in predicted}
    shown = tuple(cell for cell in cells if cell.predicted < len(labels) or cell.predicted in named)
    if len(labels) > MAX_NAMED_LABELS:
        return HeatMap(shown, (), len(labels), round(MATRIX_SIDE / len(labels), 3), 0, 0, tuple(named))
    names = tuple(shorten(label, MAX_NAME_WIDTH) for label in labels)
    name_length = 7.2 * max(MIN_NAME_WIDTH, max(map(display_width, (*names, *named.values())), default=0)) + 14
    side = max(24, min(48, MATRIX_SIDE // max(1, len(labels))))
    left, top = round(name_length, 1), round(0.72 * name_length, 1)
    return HeatMap(shown, names, len(labels), side, left, top, tuple(named), tuple(named.values()))
