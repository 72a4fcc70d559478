"""Rows of unequal length over flat arrays: a document's chunks, segments or tokens, gathered without a loop a row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from data.errors import BadData
from featurestore.vectors.number_types import numpy_dtype, widen

Rows = slice | NDArray[Any]
# bytes; where the rows stand one behind the other in pieces of this size, each piece is copied at once
_PIECE = 1 << 20
# bytes of several parts that are put in order at a time, while they are in the processor's cache
_BLOCK = 1 << 21


class StoredArray(Protocol):
    """A flat array of items in a file: mapped by `np.asarray`, or read past the map."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(items, ...)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The kept number type."""

    def __array__(self, dtype: Any = None, /) -> NDArray[Any]:
        """The array itself."""

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Copy the items from `start` on into `out`, a C-contiguous array of the kept type."""


ItemArray = NDArray[Any] | StoredArray


@dataclass(frozen=True, eq=False, repr=False)
class Ragged:
    """Row i is parts[part[i]][start[i] : start[i] + length[i]]; nothing is read before `gather`, `padded` or `row`.

    parts: arrays (items, *item_shape) of one shape and type an item. part: int32 (rows,). start, length: int64 (rows,).
    bfloat16: the parts are uint16, the upper halves of float32 numbers.

    Made by `from_flat` or `from_rows`, which check what they get; the constructor trusts that rows lie inside parts.
    """

    arrays: tuple[ItemArray, ...]
    array_index: NDArray[np.int32]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    bfloat16: bool = False

    @classmethod
    def from_flat(cls, values: ItemArray, offsets: Any, *, bfloat16: bool = False) -> Self:
        """Rows values[offsets[i] : offsets[i + 1]], no copy. Raises BadData where offsets do not cut `values` whole."""
        offsets = np.asarray(offsets, dtype=np.int64)
        if not are_offsets(offsets, values.shape[0]):
            raise BadData(f"Offsets must rise from 0 to {values.shape[0]}, the number of items that they cut.")
        length = np.diff(offsets)
        return cls((values,), np.zeros(len(length), dtype=np.int32), offsets[:-1], length, bfloat16)

    @classmethod
    def from_rows(cls, rows: Sequence[NDArray[Any]]) -> Self:
        """Rows given as arrays (items, *item_shape), copied once; at least one, to know the shape of an item."""
        return cls.from_flat(np.concatenate(rows), _offsets(np.array([len(row) for row in rows])))

    @classmethod
    def concatenate(cls, ragged_rows: Sequence["Ragged"]) -> Self:
        """Concatenate the rows of one or more Ragged, in order; items are not copied.

        Raises BadData if items differ in shape or type.
        """
        first = ragged_rows[0]
        numbers: dict[int, int] = {}  # an array that several share is listed once, so a gather passes over it once
        arrays: list[ItemArray] = []
        for ragged in ragged_rows:
            if ragged._item() != first._item():
                raise BadData(f"Rows of {first._item()} and rows of {ragged._item()} cannot be concatenated.")
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
        """Some rows, no copy of items: by index array, mask, slice, or an integer for a Ragged of one row."""
        rows = row_index(key, len(self))
        # `dataclasses.replace` takes longer than the three arrays of a batch
        return type(self)(self.arrays, self.array_index[rows], self.start[rows], self.length[rows], self.bfloat16)

    def __repr__(self) -> str:
        return f"<Ragged of {len(self):,} rows of {self._item()}>"

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape of one item: (dim,) for vectors, () for ids."""
        return self.arrays[0].shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The narrowest NumPy type that holds every item exactly: float16, float32 (of bfloat16 too), int32."""
        return numpy_dtype(self.arrays[0].dtype, bfloat16=self.bfloat16)

    def row(self, index: int) -> NDArray[Any]:
        """Row `index` in `dtype`: (items, *item_shape), a read-only view where nothing has to be converted."""
        start = int(self.start[index])
        items = as_array(self.arrays[self.array_index[index]])[start : start + int(self.length[index])]
        return widen(items, self.dtype, bfloat16=self.bfloat16)

    def gather(self, dtype: DTypeLike | None = None) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """All rows one after the other: values (items, *item_shape), a copy, and int64 (rows + 1,) offsets into them.

        dtype: float32 for vectors and the kept type for ids if None; `ragged.dtype` for the kept numbers as they are.
        Long pieces are read as a file is, everything else out of the maps in one pass over each part of a block.
        """
        offsets = _offsets(self.length)
        return widen(self._items(offsets), self._wanted(dtype), bfloat16=self.bfloat16), offsets

    def padded(self, dtype: DTypeLike | None = None) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Values (rows, longest, *item_shape), zeros behind a row's end, and int64 (rows,) lengths.

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
        """The items of all rows in the kept type."""
        item = math.prod(self.item_shape) * self.arrays[0].dtype.itemsize
        size = int(offsets[-1]) * item
        if size >= _PIECE:
            pieces = self._pieces()
            if len(pieces) * _PIECE <= size:
                return self._copied(pieces, offsets)
        if len(self.arrays) == 1 or not len(self):
            return _taken(as_array(self.arrays[0]), _positions(self.start, self.length, offsets))
        values = self._empty(int(offsets[-1]))
        cuts = np.searchsorted(offsets, np.arange(0, offsets[-1], max(_BLOCK // item, 1))) if size > _BLOCK else [0]
        # a row that is longer than a block ends several of them
        for first, end in pairwise(dict.fromkeys([*map(int, cuts), len(self)])):
            own = offsets[first : end + 1]
            self[first:end]._fill(values[own[0] : own[-1]], own - own[0])
        return values

    def _pieces(self) -> NDArray[np.int64]:
        """The first row of each piece: rows of one part that stand one behind the other in it; at least one row."""
        ends = self.start + self.length
        follows = (self.array_index[1:] == self.array_index[:-1]) & (self.start[1:] == ends[:-1])
        return np.concatenate([[0], np.flatnonzero(~follows) + 1])

    def _copied(self, pieces: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[Any]:
        values = self._empty(int(offsets[-1]))
        parts, starts = self.array_index[pieces].tolist(), self.start[pieces].tolist()
        bounds = pairwise([*offsets[pieces].tolist(), len(values)])
        for number, start, (first, end) in zip(parts, starts, bounds, strict=True):
            part, out = self.arrays[number], values[first:end]
            if isinstance(part, np.ndarray):
                out[...] = part[start : start + len(out)]
            else:
                part.read(start, out)
        return values

    def _fill(self, out: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        """Put the items of all rows, which may lie in any parts, into `out`."""
        if (self.array_index[1:] >= self.array_index[:-1]).all():
            self._fill_by_part(out, offsets)
            return
        order = self.array_index.argsort(kind="stable")
        packed, packed_offsets = np.empty_like(out), _offsets(self.length[order])
        self[order]._fill_by_part(packed, packed_offsets)
        start = np.empty_like(self.start)
        start[order] = packed_offsets[:-1]
        # the default mode would fill a buffer and copy it; no position is out of range, so nothing is clipped
        packed.take(_positions(start, self.length, offsets), 0, out, "clip")

    def _fill_by_part(self, out: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        """As `_fill`, of rows whose parts stand in order; at least one row."""
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

    def _wanted(self, dtype: DTypeLike | None) -> DTypeLike:
        if dtype is not None:
            return dtype
        return np.float32 if self.dtype.kind == "f" else self.dtype

    def _item(self) -> str:
        shape = "×".join(map(str, self.item_shape)) or "single"
        return f"{shape} {'bfloat16' if self.bfloat16 else self.arrays[0].dtype} numbers"


def as_array(part: ItemArray) -> NDArray[Any]:
    """What `np.asarray` gives, without its search for other ways that costs a microsecond a part."""
    return part if isinstance(part, np.ndarray) else part.__array__()


def are_offsets(offsets: NDArray[np.int64], items: int) -> bool:
    """Whether offsets start at 0, never fall and end at `items`."""
    if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != items:
        return False
    return bool((offsets[1:] >= offsets[:-1]).all())


def row_index(key: Any, rows: int) -> Rows:
    """`key` as a slice or an array that indexes `rows` rows. Raises IndexError for an integer out of range."""
    if isinstance(key, slice):
        return key
    index: NDArray[Any] = np.asarray(key)
    if index.ndim == 0:
        return np.atleast_1d(np.arange(rows)[index])
    return index if index.size or index.dtype == bool else index.astype(np.int64)


def _offsets(length: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 (rows + 1,): where each row begins when all stand one behind the other, and the end."""
    offsets = np.zeros(len(length) + 1, dtype=np.int64)
    length.cumsum(out=offsets[1:])
    return offsets


def _positions(start: NDArray[np.int64], length: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 (items,): start[i], start[i] + 1, ... of each row, one after the other."""
    positions = (start - offsets[:-1]).repeat(length)
    positions += np.arange(len(positions))
    return positions


def _taken(array: NDArray[Any], source: NDArray[np.int64]) -> NDArray[Any]:
    # of a strided array, one layer of several, `take` would first copy the whole
    return array.take(source, 0) if array.flags.c_contiguous else array[source]
