"""A plain HDF5 file larger than memory, of which HDF5 itself writes only the headers.

HDF5 dies of a segmentation fault when a disk fills under it, so it is given a file in memory that keeps just what was
written; the arrays, whose places it reserved, are then written as plain bytes.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

_PAGE = 4096
_ZEROS = bytes(_PAGE)


@dataclass(frozen=True)
class ReservedArray:
    """An array that is to be in the file: its type and shape, and attributes in words."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    attributes: Mapping[str, str]


def reserve_arrays(
    file: BinaryIO, arrays: Mapping[str, ReservedArray], texts: Mapping[str, str | Sequence[str]], alignment: int
) -> dict[str, int]:
    """Write the headers and texts of an HDF5 file; returns where the bytes of each array belong, 0 for an empty one.

    texts: a string, or a string a row, in UTF-8 without NUL. Raises OSError.
    """
    import h5py

    headers = _Sparse()
    with h5py.File(headers, "w", alignment_threshold=1, alignment_interval=alignment) as made:
        for name, text in texts.items():
            made.create_dataset(name, data=np.array(text, dtype=object), dtype=h5py.string_dtype())
        offsets = {name: _reserved(made, name, array) for name, array in arrays.items()}
    headers.write_to(file)
    return offsets


def _reserved(made: Any, name: str, array: ReservedArray) -> int:
    import h5py

    group, _, own = name.rpartition("/")
    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    create.set_obj_track_times(False)
    space, kind = h5py.h5s.create_simple(array.shape), h5py.h5t.py_create(array.dtype, logical=True)
    dataset = h5py.Dataset(h5py.h5d.create(made.require_group(group or "/").id, own.encode(), kind, space, create))
    for attribute, words in array.attributes.items():
        dataset.attrs[attribute] = words
    return dataset.id.get_offset() or 0


class _Sparse(io.RawIOBase):
    """A file in memory of any length, which holds the pages that were written; the others are zeros."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._place = self._length = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._length}[whence]
        return self._place

    def truncate(self, size: int | None = None, /) -> int:
        self._length = self._place if size is None else size
        return self._length

    def write(self, data: Any, /) -> int:
        data = memoryview(data).cast("B")
        for page, inside, taken in self._pieces(len(data)):
            self._pages.setdefault(page, bytearray(_PAGE))[inside] = data[taken]
        if data:  # writing nothing behind the end does not move it
            self._length = max(self._length, self._place)
        return len(data)

    def readinto(self, buffer: Any, /) -> int:
        buffer = memoryview(buffer).cast("B")
        length = max(min(len(buffer), self._length - self._place), 0)
        for page, inside, taken in self._pieces(length):
            buffer[taken] = self._pages.get(page, _ZEROS)[inside]
        return length

    def write_to(self, file: BinaryIO) -> None:
        """Write a file of this length with these pages."""
        for page, data in sorted(self._pages.items()):
            file.seek(page * _PAGE)
            file.write(data)
        file.truncate(self._length)

    def _pieces(self, length: int) -> Iterator[tuple[int, slice, slice]]:
        """Page, part of it and part of the data, of `length` bytes from the place on, which moves behind them."""
        done = 0
        while done < length:
            page, start = divmod(self._place, _PAGE)
            size = min(_PAGE - start, length - done)
            yield page, slice(start, start + size), slice(done, done + size)
            done += size
            self._place += size
