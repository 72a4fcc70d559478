"""Where the vectors of documents are stored: in memory, or in the store's files until a batch needs them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from featurestore import Ragged, free_memory

__all__ = ["InMemory", "MemoryMapped", "PositionStorage", "flat_positions", "open_storage"]

# fraction of the free memory to use: the rest is for the network, its gradients and other processes
MEMORY_FRACTION = 0.6
# documents that are gathered at a time
BLOCK = 8_192


class PositionStorage(Protocol):
    """Gives the vectors of a document's positions."""

    @property
    def dim(self) -> int:
        """The length of a vector."""

    def take(self, rows: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """The first `length` positions of each document of `rows`: float16 or float32 (sum of length, dim)."""

    def on(self, device: torch.device) -> "PositionStorage":
        """The same on `device`, if it fits."""


@dataclass(frozen=True)
class InMemory:
    """Vectors in memory, one document after the other.

    vectors: float16 or float32 (positions, dim). start: int64 (documents,), the first position of each document.
    """

    vectors: torch.Tensor
    start: torch.Tensor

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return int(self.vectors.shape[1])

    def take(self, rows: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """As in `PositionStorage`."""
        return self.vectors.index_select(0, flat_positions(self.start[rows], length).to(self.vectors.device))

    def on(self, device: torch.device) -> Self:
        """The same with its vectors on `device` if that is a CUDA device and they take less than half its memory."""
        if device.type != "cuda" or 2 * self.vectors.nbytes > torch.cuda.mem_get_info(device)[0]:
            return self
        return replace(self, vectors=self.vectors.to(device))


@dataclass(frozen=True)
class MemoryMapped:
    """Views of a store, concatenated, read from its memory-mapped files with each batch.

    The system's cache keeps recently read pages as far as memory allows. A batch costs a few operations per shard that
    it touches, none per document. A thread that prefetched one batch made attention 1.5 times as slow: if a batch takes
    milliseconds, so does each switch of the interpreter's lock.
    """

    views: Sequence[Ragged]

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return sum(math.prod(view.item_shape) for view in self.views)

    def take(self, rows: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """As in `PositionStorage`."""
        return torch.from_numpy(_concatenate([_truncate(view[rows.numpy()], length.numpy()) for view in self.views]))

    def on(self, device: torch.device) -> Self:
        """Itself: vectors that do not fit into memory stay in their files."""
        del device
        return self


def open_storage(views: Sequence[Ragged], length: NDArray[np.int64]) -> PositionStorage:
    """The first `length` positions of each document, views concatenated: in memory if they fit, else memory-mapped."""
    free = free_memory()
    needed = sum(int(length.sum()) * math.prod(view.item_shape) * _number_type(view).itemsize for view in views)
    if free is not None and needed > MEMORY_FRACTION * free:
        return MemoryMapped(views)
    ends = length.cumsum()
    truncated = [_truncate(view, length) for view in views]
    if len(views) == 1:
        return InMemory(torch.from_numpy(_concatenate(truncated)), torch.from_numpy(ends - length))
    # block by block, because concatenating all positions of several views at once would take their memory twice
    number_type = np.result_type(*map(_number_type, views))
    vectors = np.empty((int(ends[-1]), sum(math.prod(view.item_shape) for view in views)), number_type)
    for start in range(0, len(length), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(length)))
        block = _concatenate([view[rows] for view in truncated])
        vectors[ends[rows[-1]] - len(block) : ends[rows[-1]]] = block
    return InMemory(torch.from_numpy(vectors), torch.from_numpy(ends - length))


def flat_positions(start: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """int64 (sum of length,): start[i], start[i] + 1, ... of each row, one row after the other."""
    if len(length) == int(length.sum()) and bool((length == 1).all()):
        return start
    first = torch.repeat_interleave(start + length - length.cumsum(0), length)
    return first + torch.arange(len(first), device=first.device)


def _truncate(view: Ragged, length: NDArray[np.int64]) -> Ragged:
    """The first items of each row."""
    return replace(view, length=length)


def _concatenate(views: Sequence[Ragged]) -> NDArray[np.floating]:
    """The items of all rows with the layers of each, views concatenated: (positions, dim)."""
    gathered = [view.gather(_number_type(view))[0] for view in views]
    flat = [values.reshape(len(values), math.prod(values.shape[1:])) for values in gathered]
    return flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1)


def _number_type(view: Ragged) -> np.dtype[np.floating]:
    """The type in which a view's numbers are read."""
    return np.dtype(np.float16 if view.dtype == np.float16 else np.float32)
