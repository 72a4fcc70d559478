"""Memory-mapped arrays in files, mapped on first use; the least recently used maps are closed to free descriptors."""

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

MAX_MAPS = 256
_OTHER_FILES = 64  # descriptors that a process with torch keeps open, with a margin


@dataclass(frozen=True, eq=False)
class MappedFile:
    """A shard's file as it was when its hash was checked; a file changed since is not read. path: absolute."""

    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True, eq=False)
class MappedArray:
    """An array of shape `stored` at `offset` in a file, used as an ItemArray; pickled as its location, not its content.

    layer: the index on the second axis if one of several layers was selected; `shape` lacks that axis then.
    """

    file: MappedFile
    dtype: np.dtype[Any]
    stored: tuple[int, ...]
    offset: int
    layer: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `np.asarray` of it."""
        return self.stored if self.layer is None else (self.stored[0], *self.stored[2:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the array, read-only. Raises StoreDamaged if the file is gone or was changed."""
        opened = _open_map(self.file)
        array = opened.arrays.get(self)
        if array is None:
            array = opened.arrays[self] = self._view_of(opened.map)
        return array if dtype is None and not copy else np.array(array, dtype=dtype, copy=copy)

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Read the items from `start` on into `out`, a C-contiguous array of the stored type, without the map.

        The first access to each page of a map costs a page fault: reading a whole file took twice as long through it.
        Raises StoreDamaged if the file is gone or was changed.
        """
        if self.layer is not None:
            out[...] = as_array(self)[start : start + len(out)]
            return
        with _open_unchanged(self.file) as plain:
            plain.seek(self.offset + start * math.prod(self.shape[1:]) * self.dtype.itemsize)
            if plain.readinto(out.reshape(-1).view(np.uint8).data) != out.nbytes:
                raise _changed_error(self.file)

    def _view_of(self, buffer: mmap.mmap) -> NDArray[Any]:
        array = np.frombuffer(buffer, self.dtype, math.prod(self.stored), self.offset).reshape(self.stored)
        return array if self.layer is None else array[:, self.layer]


def one_layer(array: ItemArray, layer: int) -> ItemArray:
    """Return `array[:, layer]`; a mapped array is not read yet."""
    return replace(array, layer=layer) if isinstance(array, MappedArray) else as_array(array)[:, layer]


@dataclass(frozen=True, eq=False)
class _OpenMap:
    map: mmap.mmap
    arrays: dict[MappedArray, NDArray[Any]] = field(default_factory=dict)


def _max_open_maps() -> int:
    """The number of maps that may be open at once."""
    try:
        import resource  # not on Windows
    except ImportError:
        return MAX_MAPS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_MAPS if soft == resource.RLIM_INFINITY else max(1, min(MAX_MAPS, soft - _OTHER_FILES))


@lru_cache(maxsize=_max_open_maps())
def _open_map(file: MappedFile) -> _OpenMap:
    with _open_unchanged(file) as plain:
        return _OpenMap(mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ))


@contextmanager
def _open_unchanged(file: MappedFile) -> Iterator[BufferedReader]:
    """Open the file, if it is as it was when its hash was checked. Raises StoreDamaged."""
    try:
        with open_regular_file(file.path) as plain:
            stat = os.fstat(plain.fileno())
            # another writer may have replaced it by the same shard
            if (stat.st_size, stat.st_mtime_ns) != (file.size, file.mtime_ns) and not has_matching_hash(
                plain, file.path
            ):
                raise _changed_error(file)
            yield plain
    except OSError as error:
        raise StoreDamaged(f"{file.path} can no longer be read: {error.strerror or error}.") from error


def _changed_error(file: MappedFile) -> StoreDamaged:
    return StoreDamaged(f"{file.path} was changed while it was used. Run `embedonce store verify`.")


def has_matching_hash(file: BufferedReader, path: Path) -> bool:
    """Whether the name of a file, open at its start, is the hash of its bytes."""
    return hashlib.file_digest(file, "sha256").hexdigest() == path.stem
