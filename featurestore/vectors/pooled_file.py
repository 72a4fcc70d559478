"""Pooled vectors of documents in a temporary file, which several fits and processes read through one memory map."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from featurestore.vectors.bags import Bags
from featurestore.vectors.ragged import Float32Array

__all__ = ["PooledFile", "write_pooled"]


@dataclass(frozen=True, eq=False)
class PooledFile(Float32Array):
    """The rows of a file, used as a StoredArray: pickled as its path, read-only, and unmapped with its last use."""

    path: Path
    shape: tuple[int, int]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.shape)

    @cached_property
    def _values(self) -> NDArray[np.float32]:
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
