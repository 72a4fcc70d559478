"""HDF5 files larger than memory, of which HDF5 itself writes only the headers.

HDF5 crashes with a segmentation fault if the disk becomes full, so it writes headers into a sparse file in memory; the
arrays, for which it reserved space, are then written as plain bytes.
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
    """An array to reserve space for: its type, its shape and its text attributes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    attributes: Mapping[str, str]


def reserve_arrays(
    file: BinaryIO, arrays: Mapping[str, ReservedArray], texts: Mapping[str, str | Sequence[str]], alignment: int
) -> dict[str, int]:
    """Write the headers and texts of an HDF5 file, and reserve space for arrays.

    Args:
        file: Open for writing.
        arrays: The arrays by dataset name.
        texts: One string, or one string per row, in UTF-8 without NUL, by dataset name.
        alignment: The offset of each array is a multiple of it.

    Returns:
        The offset of each array in the file, 0 for an empty one.

    Raises:
        OSError: The file cannot be written.
    """
    import h5py

    headers = _SparseFile()
    with h5py.File(headers, "w", alignment_threshold=1, alignment_interval=alignment) as parsed:
        for name, text in texts.items():
            parsed.create_dataset(name, data=np.array(text, dtype=object), dtype=h5py.string_dtype())
        offsets = {name: _reserve_array(parsed, name, array) for name, array in arrays.items()}
    headers.write_to(file)
    return offsets


def _reserve_array(parsed: Any, name: str, array: ReservedArray) -> int:
    import h5py

    group, _, dataset_name = name.rpartition("/")
    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    create.set_obj_track_times(False)
    space, kind = h5py.h5s.create_simple(array.shape), h5py.h5t.py_create(array.dtype, logical=True)
    dataset = h5py.Dataset(
        h5py.h5d.create(parsed.require_group(group or "/").id, dataset_name.encode(), kind, space, create)
    )
    for attribute, words in array.attributes.items():
        dataset.attrs[attribute] = words
    return dataset.id.get_offset() or 0


class _SparseFile(io.RawIOBase):
    """A file in memory of any length that stores only written pages; all others are zeros."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._position = self._length = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        return self._position

    def truncate(self, size: int | None = None, /) -> int:
        self._length = self._position if size is None else size
        return self._length

    def write(self, data: Any, /) -> int:
        data = memoryview(data).cast("B")
        for page, page_slice, data_slice in self._pieces(len(data)):
            self._pages.setdefault(page, bytearray(_PAGE))[page_slice] = data[data_slice]
        if data:  # an empty write beyond the end does not extend the file
            self._length = max(self._length, self._position)
        return len(data)

    def readinto(self, buffer: Any, /) -> int:
        buffer = memoryview(buffer).cast("B")
        length = max(min(len(buffer), self._length - self._position), 0)
        for page, page_slice, data_slice in self._pieces(length):
            buffer[data_slice] = self._pages.get(page, _ZEROS)[page_slice]
        return length

    def write_to(self, file: BinaryIO) -> None:
        """Write the pages into a file of this length."""
        for page, data in sorted(self._pages.items()):
            file.seek(page * _PAGE)
            file.write(data)
        file.truncate(self._length)

    def _pieces(self, length: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield page, slice of the page and slice of the data for the next `length` bytes, and advance the position."""
        done = 0
        while done < length:
            page, start = divmod(self._position, _PAGE)
            size = min(_PAGE - start, length - done)
            yield page, slice(start, start + size), slice(done, done + size)
            done += size
            self._position += size
