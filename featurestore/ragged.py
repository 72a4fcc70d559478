"""Rows of unequal length over flat arrays: a document's chunks, segments or tokens, gathered without a loop a row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from data.errors import BadData
from featurestore.widening import held, widened

Rows = slice | NDArray[Any]


class Part(Protocol):
    """A flat array of items, in memory or a promise to map it: `np.asarray` gives it without a copy."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(items, ...)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The kept number type."""

    def __array__(self, dtype: Any = None, /) -> NDArray[Any]:
        """The array itself."""


@dataclass(frozen=True, eq=False, repr=False)
class Ragged:
    """Row i is parts[part[i]][start[i] : start[i] + length[i]]; nothing is read before `gather`, `padded` or `row`.

    parts: arrays (items, *item_shape) of one shape and type an item. part: int32 (rows,). start, length: int64 (rows,).
    bfloat16: the parts are uint16, the upper halves of float32 numbers.

    Made by `from_flat` or `from_rows`, which check what they get; the constructor trusts that rows lie inside parts.
    """

    parts: tuple[Part, ...]
    part: NDArray[np.int32]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    bfloat16: bool = False

    @classmethod
    def from_flat(cls, values: Part, offsets: Any, *, bfloat16: bool = False) -> Self:
        """Rows values[offsets[i] : offsets[i + 1]], no copy. Raises BadData where offsets do not cut `values` whole."""
        offsets = np.asarray(offsets, dtype=np.int64)
        if not cuts(offsets, values.shape[0]):
            raise BadData(f"Offsets must rise from 0 to {values.shape[0]}, the number of items that they cut.")
        length = np.diff(offsets)
        return cls((values,), np.zeros(len(length), dtype=np.int32), offsets[:-1], length, bfloat16)

    @classmethod
    def from_rows(cls, rows: Sequence[NDArray[Any]]) -> Self:
        """Rows given as arrays (items, *item_shape), copied once; at least one, to know the shape of an item."""
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return cls.from_flat(np.concatenate(rows), offsets)

    @classmethod
    def concatenate(cls, several: Sequence["Ragged"]) -> Self:
        """The rows of all, in order, no copy of items; at least one. Raises BadData where items are not alike."""
        numbers: dict[int, int] = {}  # a part that several share is listed once, so that a gather passes over it once
        parts: list[Part] = []
        for ragged in several:
            if ragged._item() != several[0]._item():
                raise BadData(f"Rows of {several[0]._item()} and rows of {ragged._item()} cannot be one.")
            for part in ragged.parts:
                if numbers.setdefault(id(part), len(parts)) == len(parts):
                    parts.append(part)
        part = np.concatenate(
            [np.array([numbers[id(each)] for each in one.parts], dtype=np.int32)[one.part] for one in several]
        )
        start, length = (np.concatenate([getattr(one, name) for one in several]) for name in ("start", "length"))
        return cls(tuple(parts), part, start, length, several[0].bfloat16)

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, key: Any) -> Self:
        """Some rows, no copy of items: by index array, mask, slice, or an integer for a Ragged of one row."""
        rows = chosen(key, len(self))
        return replace(self, part=self.part[rows], start=self.start[rows], length=self.length[rows])

    def __repr__(self) -> str:
        return f"<Ragged of {len(self):,} rows of {self._item()}>"

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape of one item: (dim,) for vectors, () for ids."""
        return self.parts[0].shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The narrowest NumPy type that holds every item exactly: float16, float32 (of bfloat16 too), int32."""
        return held(self.parts[0].dtype, bfloat16=self.bfloat16)

    def row(self, index: int) -> NDArray[Any]:
        """Row `index` in `dtype`: (items, *item_shape), a read-only view where nothing has to be converted."""
        start = int(self.start[index])
        items = array_of(self.parts[self.part[index]])[start : start + int(self.length[index])]
        return widened(items, self.dtype, bfloat16=self.bfloat16)

    def gather(self, dtype: DTypeLike | None = None) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """All rows one after the other: values (items, *item_shape), a copy, and int64 (rows + 1,) offsets into them.

        dtype: float32 for vectors and the kept type for ids if None; `ragged.dtype` for the kept numbers as they are.
        One pass over each part that the rows lie in.
        """
        offsets = np.zeros(len(self) + 1, dtype=np.int64)
        np.cumsum(self.length, out=offsets[1:])
        return widened(self._items(offsets), self._wanted(dtype), bfloat16=self.bfloat16), offsets

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
        if len(self.parts) == 1 or len(self) == 0 or (self.part == self.part[0]).all():
            array = array_of(self.parts[self.part[0] if len(self) else 0])
            return _taken(array, self.start, self.length, offsets)
        if (self.part[1:] >= self.part[:-1]).all():
            return self._by_part(offsets)
        order = np.argsort(self.part, kind="stable")
        packed_offsets = np.zeros_like(offsets)
        np.cumsum(self.length[order], out=packed_offsets[1:])
        packed = self[order]._by_part(packed_offsets)
        start = np.empty_like(self.start)
        start[order] = packed_offsets[:-1]
        return packed.take(_positions(start, self.length, offsets), axis=0)

    def _by_part(self, offsets: NDArray[np.int64]) -> NDArray[Any]:
        """The items of rows whose parts stand in order; at least one row."""
        values = np.empty((offsets[-1], *self.item_shape), dtype=self.parts[0].dtype)
        shift = self.start - offsets[:-1]
        other_part, other_place = self.part[1:] != self.part[:-1], shift[1:] != shift[:-1]
        runs = np.concatenate([[0], np.flatnonzero(other_part) + 1])
        in_order = not (other_place & ~other_part).any()  # all of a part's rows stand one behind the other
        source = None if in_order else _positions(self.start, self.length, offsets)
        bounds = pairwise([*offsets[runs].tolist(), len(values)])
        for (first, end), part, by in zip(bounds, self.part[runs].tolist(), shift[runs].tolist(), strict=True):
            array = array_of(self.parts[part])
            if source is None:
                values[first:end] = array[first + by : end + by]
            elif array.flags.c_contiguous:
                # the default mode would fill a buffer and copy it; rows lie inside parts, so nothing is clipped
                array.take(source[first:end], axis=0, out=values[first:end], mode="clip")
            else:
                values[first:end] = array[source[first:end]]
        return values

    def _wanted(self, dtype: DTypeLike | None) -> DTypeLike:
        if dtype is not None:
            return dtype
        return np.float32 if self.dtype.kind == "f" else self.dtype

    def _item(self) -> str:
        shape = "×".join(map(str, self.item_shape)) or "single"
        return f"{shape} {'bfloat16' if self.bfloat16 else self.parts[0].dtype} numbers"


def array_of(part: Part) -> NDArray[Any]:
    """What `np.asarray` gives, without its search for other ways that costs a microsecond a part."""
    return part if isinstance(part, np.ndarray) else part.__array__()


def cuts(offsets: NDArray[np.int64], items: int) -> bool:
    """Whether offsets start at 0, never fall and end at `items`."""
    if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != items:
        return False
    return bool((offsets[1:] >= offsets[:-1]).all())


def chosen(key: Any, rows: int) -> Rows:
    """`key` as a slice or an array that indexes `rows` rows. Raises IndexError for an integer out of range."""
    if isinstance(key, slice):
        return key
    index: NDArray[Any] = np.asarray(key)
    if index.ndim == 0:
        return np.atleast_1d(np.arange(rows)[index])
    return index if index.size or index.dtype == bool else index.astype(np.int64)


def _positions(start: NDArray[np.int64], length: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 (items,): start[i], start[i] + 1, ... of each row, one after the other."""
    return np.repeat(start - offsets[:-1], length) + np.arange(offsets[-1])


def _taken(
    array: NDArray[Any], start: NDArray[np.int64], length: NDArray[np.int64], offsets: NDArray[np.int64]
) -> NDArray[Any]:
    """The items of all rows, copied out of one array."""
    first, items = int(start[0]) if len(start) else 0, int(offsets[-1])
    # the ends rule out most rows that do not stand one behind the other; those that do are one slice
    if (len(start) == 0 or start[-1] + length[-1] - first == items) and (start - offsets[:-1] == first).all():
        return array[first : first + items].copy()
    source = _positions(start, length, offsets)
    # of a strided array, one layer of several, `take` would first copy the whole
    return array.take(source, axis=0) if array.flags.c_contiguous else array[source]
