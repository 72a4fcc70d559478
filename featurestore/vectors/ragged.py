"""Rows of unequal length over flat arrays: a document's chunks, segments or tokens, gathered without a Python loop."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from data.errors import BadData
from featurestore.vectors.number_types import numpy_dtype, widen

Rows = slice | NDArray[Any]
# bytes; rows that are contiguous in pieces of this size are copied piece by piece
_PIECE = 1 << 20
# bytes of several arrays that are ordered at a time, while they are in the CPU's cache
_BLOCK = 1 << 21


class StoredArray(Protocol):
    """A flat array of items in a file: mapped by `np.asarray`, or read without the map by `read`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(items, ...)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The stored number type."""

    def __array__(self, dtype: Any = None, /) -> NDArray[Any]:
        """The array itself."""

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Copy the items from `start` on into `out`, a C-contiguous array of the stored type."""


ItemArray = NDArray[Any] | StoredArray


class Float32Array(ABC):
    """A StoredArray of float32 that a subclass loads or computes as a whole, on first use."""

    dtype: np.dtype[Any] = np.dtype(np.float32)

    @property
    @abstractmethod
    def _values(self) -> NDArray[np.float32]:
        """The array itself, kept after the first use."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the array itself, or a copy of another type."""
        return self._values if dtype is None and not copy else np.array(self._values, dtype=dtype, copy=copy)

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Copy the items from `start` on into `out`."""
        out[...] = self._values[start : start + len(out)]


@dataclass(frozen=True, eq=False, repr=False)
class Ragged:
    """Row i is arrays[array_index[i]][start[i] : start[i] + length[i]]; nothing is read before it is used.

    arrays: (items, *item_shape) each, of one shape and type per item. array_index: int32 (rows,). start, length: int64
    (rows,). bfloat16: the arrays are uint16, the upper halves of float32 numbers.

    Use `from_flat` or `from_rows`, which check their arguments; the constructor trusts that rows lie inside arrays.
    """

    arrays: tuple[ItemArray, ...]
    array_index: NDArray[np.int32]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    bfloat16: bool = False

    @classmethod
    def from_flat(cls, values: ItemArray, offsets: Any, *, bfloat16: bool = False) -> Self:
        """Make rows values[offsets[i] : offsets[i + 1]], no copy. Raises BadData for offsets that do not fit."""
        offsets = np.asarray(offsets, dtype=np.int64)
        if not are_offsets(offsets, values.shape[0]):
            raise BadData(f"Offsets must rise from 0 to {values.shape[0]}, the number of items.")
        length = np.diff(offsets)
        return cls((values,), np.zeros(len(length), dtype=np.int32), offsets[:-1], length, bfloat16)

    @classmethod
    def from_rows(cls, rows: Sequence[NDArray[Any]]) -> Self:
        """Copy one or more arrays (items, *item_shape), one per row."""
        return cls.from_flat(np.concatenate(rows), offsets_from_lengths(np.array([len(row) for row in rows])))

    @classmethod
    def concatenate(cls, ragged_rows: Sequence["Ragged"]) -> Self:
        """Concatenate the rows of one or more Ragged, in order; items are not copied.

        Raises BadData if items differ in shape or type.
        """
        first = ragged_rows[0]
        numbers: dict[int, int] = {}  # an array that several share is listed once, so a gather passes over it once
        arrays: list[ItemArray] = []
        for ragged in ragged_rows:
            if ragged._item_type() != first._item_type():
                raise BadData(f"Rows of {first._item_type()} and rows of {ragged._item_type()} cannot be concatenated.")
            for array in ragged.arrays:
                if numbers.setdefault(id(array), len(arrays)) == len(arrays):
                    arrays.append(array)
        array_index = np.concatenate(
            [
                np.array([numbers[id(array)] for array in ragged.arrays], dtype=np.int32)[ragged.array_index]
                for ragged in ragged_rows
            ]
        )
        start = np.concatenate([ragged.start for ragged in ragged_rows])
        length = np.concatenate([ragged.length for ragged in ragged_rows])
        return cls(tuple(arrays), array_index, start, length, first.bfloat16)

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, key: Any) -> Self:
        """Select rows by index array, mask, slice or integer (a Ragged of one row), without a copy of items."""
        rows = row_index(key, len(self))
        # `dataclasses.replace` takes longer than the three arrays of a batch
        return type(self)(self.arrays, self.array_index[rows], self.start[rows], self.length[rows], self.bfloat16)

    def __repr__(self) -> str:
        return f"<Ragged of {len(self):,} rows of {self._item_type()}>"

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape of one item: (dim,) for vectors, () for ids."""
        return self.arrays[0].shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The narrowest NumPy type that holds every item exactly: float16, float32 (also for bfloat16), int32."""
        return numpy_dtype(self.arrays[0].dtype, bfloat16=self.bfloat16)

    def row(self, index: int) -> NDArray[Any]:
        """Return row `index` in `dtype`: (items, *item_shape), a read-only view if nothing has to be converted."""
        start = int(self.start[index])
        items = as_array(self.arrays[self.array_index[index]])[start : start + int(self.length[index])]
        return widen(items, self.dtype, bfloat16=self.bfloat16)

    def gather(self, dtype: DTypeLike | None = None) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Copy all rows into one array: values (items, *item_shape), and int64 (rows + 1,) offsets into them.

        dtype: None is float32 for vectors and the stored type for ids; `ragged.dtype` keeps the stored numbers.
        Long contiguous pieces are read from the file, everything else from the maps, in one pass over each array.
        """
        offsets = offsets_from_lengths(self.length)
        return widen(self._items(offsets), self._result_type(dtype), bfloat16=self.bfloat16), offsets

    def contiguous(self) -> NDArray[Any] | None:
        """All items in the stored type as a read-only view, if they are one piece of one array; else None."""
        if not len(self) or self.bfloat16 or len(self._pieces()) > 1:
            return None
        items = as_array(self.arrays[self.array_index[0]])[self.start[0] : self.start[-1] + self.length[-1]].view()
        items.flags.writeable = False
        return items

    def padded(self, dtype: DTypeLike | None = None) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Copy all rows, padded with zeros: values (rows, longest, *item_shape), and int64 (rows,) lengths.

        dtype: as in `gather`.
        """
        values, offsets = self.gather(dtype)
        longest = int(self.length.max(initial=0))
        if len(values) == len(self) * longest:
            return values.reshape(len(self), longest, *self.item_shape), self.length
        filled = np.zeros((len(self) * longest, *self.item_shape), dtype=values.dtype)
        filled[_positions(np.arange(len(self)) * longest, self.length, offsets)] = values
        return filled.reshape(len(self), longest, *self.item_shape), self.length

    def _items(self, offsets: NDArray[np.int64]) -> NDArray[Any]:
        """The items of all rows in the stored type."""
        item = math.prod(self.item_shape) * self.arrays[0].dtype.itemsize
        size = int(offsets[-1]) * item
        if size >= _PIECE:
            pieces = self._pieces()
            if len(pieces) * _PIECE <= size:
                return self._copy_pieces(pieces, offsets)
        if len(self.arrays) == 1 or not len(self):
            return _take(as_array(self.arrays[0]), _positions(self.start, self.length, offsets))
        values = self._empty(int(offsets[-1]))
        cuts = np.searchsorted(offsets, np.arange(0, offsets[-1], max(_BLOCK // item, 1))) if size > _BLOCK else [0]
        # a row longer than a block is the end of several blocks
        for first, end in pairwise(dict.fromkeys([*map(int, cuts), len(self)])):
            block = offsets[first : end + 1]
            self[first:end]._fill(values[block[0] : block[-1]], block - block[0])
        return values

    def _pieces(self) -> NDArray[np.int64]:
        """The first row of each piece of contiguous rows in one array; at least one row."""
        ends = self.start + self.length
        follows = (self.array_index[1:] == self.array_index[:-1]) & (self.start[1:] == ends[:-1])
        return np.concatenate([[0], np.flatnonzero(~follows) + 1])

    def _copy_pieces(self, pieces: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[Any]:
        values = self._empty(int(offsets[-1]))
        indices, starts = self.array_index[pieces].tolist(), self.start[pieces].tolist()
        bounds = pairwise([*offsets[pieces].tolist(), len(values)])
        for number, start, (first, end) in zip(indices, starts, bounds, strict=True):
            array, out = self.arrays[number], values[first:end]
            if isinstance(array, np.ndarray):
                out[...] = array[start : start + len(out)]
            else:
                array.read(start, out)
        return values

    def _fill(self, out: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        """Copy the items of all rows, in any order of arrays, into `out`."""
        if (self.array_index[1:] >= self.array_index[:-1]).all():
            self._fill_in_order(out, offsets)
            return
        order = self.array_index.argsort(kind="stable")
        packed, packed_offsets = np.empty_like(out), offsets_from_lengths(self.length[order])
        self[order]._fill_in_order(packed, packed_offsets)
        start = np.empty_like(self.start)
        start[order] = packed_offsets[:-1]
        # the default mode would fill a buffer and copy it; no position is out of range, so nothing is clipped
        packed.take(_positions(start, self.length, offsets), 0, out, "clip")

    def _fill_in_order(self, out: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        """As `_fill`, for one or more rows in the order of their arrays."""
        source = _positions(self.start, self.length, offsets)
        firsts = np.concatenate([[0], (self.array_index[1:] != self.array_index[:-1]).nonzero()[0] + 1])
        bounds = pairwise([*offsets[firsts].tolist(), len(source)])
        for number, (first, end) in zip(self.array_index[firsts].tolist(), bounds, strict=True):
            array = as_array(self.arrays[number])
            if array.flags.c_contiguous:
                array.take(source[first:end], 0, out[first:end], "clip")
            else:
                out[first:end] = array[source[first:end]]

    def _empty(self, items: int) -> NDArray[Any]:
        return np.empty((items, *self.item_shape), dtype=self.arrays[0].dtype)

    def _result_type(self, dtype: DTypeLike | None) -> DTypeLike:
        if dtype is not None:
            return dtype
        return np.float32 if self.dtype.kind == "f" else self.dtype

    def _item_type(self) -> str:
        shape = "×".join(map(str, self.item_shape)) or "single"
        return f"{shape} {'bfloat16' if self.bfloat16 else self.arrays[0].dtype} numbers"


def as_array(array: ItemArray) -> NDArray[Any]:
    """Return `np.asarray(array)`, without its search for other protocols, which costs a microsecond per array."""
    return array if isinstance(array, np.ndarray) else array.__array__()


def are_offsets(offsets: NDArray[np.int64], items: int) -> bool:
    """Whether offsets start at 0, never fall and end at `items`."""
    if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != items:
        return False
    return bool((offsets[1:] >= offsets[:-1]).all())


def row_index(key: Any, rows: int) -> Rows:
    """Return `key` as a slice or array that indexes `rows` rows. Raises IndexError for an integer out of range."""
    if isinstance(key, slice):
        return key
    index: NDArray[Any] = np.asarray(key)
    if index.ndim == 0:
        return np.atleast_1d(np.arange(rows)[index])
    return index if index.size or index.dtype == bool else index.astype(np.int64)


def offsets_from_lengths(length: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each row of a concatenation begins, and its end: int64 (rows + 1,)."""
    offsets = np.zeros(len(length) + 1, dtype=np.int64)
    length.cumsum(out=offsets[1:])
    return offsets


def _positions(start: NDArray[np.int64], length: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Concatenate start[i], start[i] + 1, ... of all rows: int64 (items,)."""
    positions = (start - offsets[:-1]).repeat(length)
    positions += np.arange(len(positions))
    return positions


def _take(array: NDArray[Any], source: NDArray[np.int64]) -> NDArray[Any]:
    # `take` would first copy all of a strided array, such as one layer of several
    return array.take(source, 0) if array.flags.c_contiguous else array[source]
