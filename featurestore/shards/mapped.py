"""Arrays in files, mapped when they are read. A map holds a descriptor, so the least recently used ones are closed."""

import hashlib
import math
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import open_regular_file
from data.errors import StoreDamaged
from featurestore.vectors.ragged import ItemArray, as_array

MOST_MAPS = 256
_OTHER_FILES = 64  # what a process with torch in it keeps open, and some


@dataclass(frozen=True, eq=False)
class MappedFile:
    """A shard's file as it was when its hash was checked; one that was changed since is not read. path: absolute."""

    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True, eq=False)
class MappedArray:
    """An array of shape `stored` at `offset` in a file, a Part of a Ragged; pickled as its place, not its content.

    layer: the place on the second axis, where one of several layers was chosen; `shape` lacks that axis then.
    """

    file: MappedFile
    dtype: np.dtype[Any]
    stored: tuple[int, ...]
    offset: int
    layer: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what `np.asarray` gives."""
        return self.stored if self.layer is None else (self.stored[0], *self.stored[2:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The array, read-only. Raises StoreDamaged when the file is gone or was changed."""
        opened = _opened(self.file)
        array = opened.arrays.get(self)
        if array is None:
            array = opened.arrays[self] = self._over(opened.map)
        return array if dtype is None and not copy else np.array(array, dtype=dtype, copy=copy)

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Copy the items from `start` on into `out`, a C-contiguous array of the kept type, past the map.

        A page of a map costs a fault when it is first touched: reading a whole file took twice as long that way.
        Raises StoreDamaged when the file is gone or was changed.
        """
        if self.layer is not None:
            out[...] = as_array(self)[start : start + len(out)]
            return
        with _unchanged(self.file) as plain:
            plain.seek(self.offset + start * math.prod(self.shape[1:]) * self.dtype.itemsize)
            if plain.readinto(out.reshape(-1).view(np.uint8).data) != out.nbytes:
                raise _changed(self.file)

    def _over(self, buffer: mmap.mmap) -> NDArray[Any]:
        array = np.frombuffer(buffer, self.dtype, math.prod(self.stored), self.offset).reshape(self.stored)
        return array if self.layer is None else array[:, self.layer]


def one_layer(part: ItemArray, layer: int) -> ItemArray:
    """`part` [:, layer], not read yet if it is mapped."""
    return replace(part, layer=layer) if isinstance(part, MappedArray) else as_array(part)[:, layer]


@dataclass(frozen=True, eq=False)
class _Open:
    map: mmap.mmap
    arrays: dict[MappedArray, NDArray[Any]] = field(default_factory=dict)


def _room() -> int:
    """How many maps may be open at once."""
    try:
        import resource  # not on Windows
    except ImportError:
        return MOST_MAPS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_MAPS if soft == resource.RLIM_INFINITY else max(1, min(MOST_MAPS, soft - _OTHER_FILES))


@lru_cache(maxsize=_room())
def _opened(file: MappedFile) -> _Open:
    with _unchanged(file) as plain:
        return _Open(mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ))


@contextmanager
def _unchanged(file: MappedFile) -> Iterator[BufferedReader]:
    """The file, open, as it was when its hash was checked."""
    try:
        with open_regular_file(file.path) as plain:
            found = os.fstat(plain.fileno())
            # another writer may have put the same shard in its place
            if (found.st_size, found.st_mtime_ns) != (file.size, file.mtime_ns) and not has_matching_hash(
                plain, file.path
            ):
                raise _changed(file)
            yield plain
    except OSError as error:
        raise StoreDamaged(f"{file.path} cannot be read any more: {error.strerror or error}.") from error


def _changed(file: MappedFile) -> StoreDamaged:
    return StoreDamaged(f"{file.path} was changed while it was in use. Run `embedonce store verify`.")


def has_matching_hash(file: BufferedReader, path: Path) -> bool:
    """Whether a file, open at its start, has the bytes that its name is the hash of."""
    return hashlib.file_digest(file, "sha256").hexdigest() == path.stem
