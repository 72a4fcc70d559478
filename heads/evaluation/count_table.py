"""Confusion counts of many weighted samples of the same documents at once.

Counts are sums over documents, so those of any sample are a product of one sparse matrix with the number of times that
each document is in it. No metric distinguishes documents with equal truth and predictions, so one row stands for all
of these.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.confusion_counts import ConfusionCounts, check_labels
from heads.evaluation.document_measures import is_right, measure_documents

__all__ = ["BLOCK_CELLS", "CountTable", "CountTables", "DistinctRows", "block_sizes"]

BLOCK_CELLS = 2**20  # cells of the largest array in memory while resampling: 8 MB


@dataclass(frozen=True)
class DistinctRows:
    """The distinct documents of several columns of labels.

    first: int64 (rows,) a document of each row. multiplicity: int64 (rows,) how many documents are like it.
    row_of: int64 (documents,) the row of each document.
    """

    first: NDArray[np.int64]
    multiplicity: NDArray[np.int64]
    row_of: NDArray[np.int64]

    @classmethod
    def of(cls, columns: Sequence[NDArray[Any]]) -> Self:
        """Find them. columns: int codes (documents,), or bool (documents, labels) each."""
        if columns[0].ndim == 2:
            cells = np.concatenate([np.packbits(column, axis=1) for column in columns], axis=1)
        else:
            cells = np.stack([column.astype(np.int32) for column in columns], axis=1).view(np.uint8)
        cells = np.ascontiguousarray(np.pad(cells, ((0, 0), (0, -cells.shape[1] % 8))))
        keys = cells.view(np.uint64 if cells.shape[1] == 8 else np.dtype((np.void, cells.shape[1]))).ravel()
        _, first, row_of, multiplicity = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        return cls(first, multiplicity, row_of)


@dataclass(frozen=True)
class CountTable:
    """What each row adds to the counts of one prediction.

    columns: sparse float64 (counts, rows): true positives, predicted and support per label, exact matches, and the
        measures of documents. measures: the shape of each of these per document, by name: (), or (levels,).
    """

    columns: Any
    labels: int
    measures: Mapping[str, tuple[int, ...]]

    @classmethod
    def build(
        cls, truth: NDArray[Any], predicted: NDArray[Any], labels: int, hierarchy: Hierarchy | None = None
    ) -> Self:
        """The table of these rows.

        Args:
            truth: int codes (rows,), or bool (rows, labels).
            predicted: the same; with a hierarchy, codes of nodes; a negative code is no label.
            labels: number of labels.
            hierarchy: of the labels; None if they have none.

        Returns:
            The table.
        """
        from scipy.sparse import csr_array, vstack

        positives, support = _indicators(predicted, labels), _indicators(truth, labels)
        exact, measures = is_right(truth, predicted), measure_documents(truth, predicted, hierarchy)
        dense = [np.atleast_2d(np.asarray(values, dtype=np.float64).T) for values in measures.values()]
        stacked = csr_array(np.concatenate([exact[None].astype(np.float64), *dense]))
        columns = vstack([support.multiply(positives), positives, support, stacked], format="csr")
        return cls(columns, labels, {name: values.shape[1:] for name, values in measures.items()})

    def __sub__(self, other: Self) -> Self:
        """What changes in the counts of the other prediction if it is replaced by this one."""
        difference = (self.columns - other.columns).tocsr()
        difference.eliminate_zeros()
        return replace(self, columns=difference)

    def without(self, measures: Collection[str]) -> Self:
        """The table without some measures of documents, which makes it faster."""
        keep, start = np.ones(self.columns.shape[0], dtype=bool), 3 * self.labels + 1
        for name, levels in self.measures.items():
            keep[start : start + prod(levels)] = name not in measures
            start += prod(levels)
        kept = {name: levels for name, levels in self.measures.items() if name not in measures}
        return replace(self, columns=self.columns[keep], measures=kept)

    def count(self, weights: NDArray[np.float64], documents: int | NDArray[Any]) -> ConfusionCounts:
        """Count samples.

        Args:
            weights: (rows, samples) how often each row is in each sample.
            documents: how many documents each sample has, (samples,) if they differ.

        Returns:
            The counts with a leading axis of samples.
        """
        labels, sums = self.labels, np.asarray(self.columns @ weights)
        names, start = dict[str, NDArray[Any]](), 3 * labels + 1
        for name, levels in self.measures.items():
            size = prod(levels)
            names[name] = sums[start : start + size].T.reshape(-1, *levels)
            start += size
        true_positives, predicted, support = (sums[part * labels : (part + 1) * labels].T for part in range(3))
        return ConfusionCounts(true_positives, predicted, support, sums[3 * labels], documents, names)


@dataclass(frozen=True)
class CountTables:
    """The tables of several predictions, as the first one and how each other one differs, which is cheap to count.

    rows: the distinct documents, of which the tables are.
    """

    rows: DistinctRows
    first: CountTable
    changes: tuple[CountTable, ...]

    @classmethod
    def build(
        cls, truth: NDArray[Any], predictions: Sequence[NDArray[Any]], labels: int, hierarchy: Hierarchy | None = None
    ) -> Self:
        """The tables of at least one prediction of the same documents.

        Args:
            truth: int codes (documents,), or bool (documents, labels).
            predictions: arrays of the same shape and kind; with a hierarchy, codes of nodes.
            labels: number of labels.
            hierarchy: of the labels; None if they have none.

        Returns:
            The tables.

        Raises:
            ValueError: the arrays do not match, or a code is not a label.
        """
        for predicted in predictions:
            check_labels(truth, predicted, labels, hierarchy)
        rows = DistinctRows.of([truth, *predictions])
        first, *others = (
            CountTable.build(truth[rows.first], each[rows.first], labels, hierarchy) for each in predictions
        )
        return cls(rows, first, tuple(other - first for other in others))

    def without(self, measures: Collection[str]) -> Self:
        """The tables without some measures of documents."""
        return replace(
            self, first=self.first.without(measures), changes=tuple(each.without(measures) for each in self.changes)
        )

    def count(self, weights: NDArray[np.float64]) -> Iterator[ConfusionCounts]:
        """The counts of each prediction. weights: (rows, samples), as many documents in each sample as there are."""
        first = self.first.count(weights, len(self.rows.row_of))
        yield first
        for change in self.changes:
            yield first + change.count(weights, 0)


def block_sizes(samples: int, cells: int) -> Iterator[int]:
    """How many samples each block has, for arrays with this number of cells per sample."""
    block = max(1, BLOCK_CELLS // max(cells, 1))
    for start in range(0, samples, block):
        yield min(block, samples - start)


def _indicators(values: NDArray[Any], labels: int) -> Any:
    """csr_array float64 (labels, rows) of codes or bools; a code that is no label has an empty column."""
    from scipy.sparse import csc_array, csr_array

    if values.ndim == 2:
        return csr_array(values.T.astype(np.float64))
    is_label = (values >= 0) & (values < labels)
    starts = np.append(0, np.cumsum(is_label))
    ones = np.ones(starts[-1])
    return csc_array((ones, values[is_label], starts), shape=(labels, len(values))).tocsr()
