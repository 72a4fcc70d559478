"""Pooled vectors of documents in a temporary file, which several fits and processes read through one memory map."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from featurestore.vectors.bags import Bags

__all__ = ["PooledFile", "write_pooled"]


@dataclass(frozen=True, eq=False)
class PooledFile:
    """The float32 rows of a file, used as a StoredArray: pickled as its path, and unmapped with its last use."""

    path: Path
    shape: tuple[int, int]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The stored number type."""
        return np.dtype(np.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the rows, read-only."""
        return self._map if dtype is None and not copy else np.array(self._map, dtype=dtype, copy=copy)

    def read(self, start: int, out: NDArray[Any]) -> None:
        """Copy the rows from `start` on into `out`."""
        out[...] = self._map[start : start + len(out)]

    @cached_property
    def _map(self) -> NDArray[np.float32]:
        return np.asarray(np.memmap(self.path, np.float32, "r", shape=self.shape))


def write_pooled(bags: Bags, names: Sequence[str], file: BinaryIO) -> PooledFile:
    """Pool documents into an empty file.

    Args:
        bags: The documents.
        names: The views, as in `Bags.pooled`.
        file: The file, which has a name.

    Returns:
        The rows, for `Bags.with_pooled`.

    Raises:
        OSError: The file cannot be written.
    """
    for _, block in bags.pooled_blocks(names):
        file.write(np.ascontiguousarray(block).data)
    file.flush()
    return PooledFile(Path(file.name).absolute(), (len(bags), bags.pooled_dim(names)))
