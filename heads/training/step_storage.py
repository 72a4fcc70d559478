"""Where the steps of documents are: held in memory, or left in the store's files until a batch asks for them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from featurestore import Ragged, free_memory

__all__ = ["Held", "Mapped", "Source", "positions", "source_of"]

# of the memory that is free: the rest is for the network, its gradients and whoever else computes here
SHARE = 0.6


class Source(Protocol):
    """What gives the steps of documents."""

    @property
    def dim(self) -> int:
        """Numbers a step."""

    def take(self, rows: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """The first `length` steps of each document of `rows`: float16 or float32 (sum of length, dim)."""

    def on(self, device: torch.device) -> "Source":
        """The same on `device`, where it has room."""


@dataclass(frozen=True)
class Held:
    """Steps in memory, one document's after the other's.

    steps: float16 or float32 (steps, dim). start: int64 (documents,), where each document begins.
    """

    steps: torch.Tensor
    start: torch.Tensor

    @property
    def dim(self) -> int:
        """Numbers a step."""
        return int(self.steps.shape[1])

    def take(self, rows: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """As in `Source`."""
        return self.steps.index_select(0, positions(self.start[rows], length).to(self.steps.device))

    def on(self, device: torch.device) -> Self:
        """The same with its steps on `device`, where that is a CUDA device of which they take less than half."""
        if device.type != "cuda" or 2 * self.steps.nbytes > torch.cuda.mem_get_info(device)[0]:
            return self
        return replace(self, steps=self.steps.to(device))


@dataclass(frozen=True)
class Mapped:
    """Views of a store side by side, read from its memory-mapped files with each batch.

    What is read again soon is in the system's cache as far as memory goes. A batch costs a few operations a shard that
    it touches, none a document. A thread that read one batch ahead made attention half as slow again: where a batch
    costs milliseconds, so does every turn of the interpreter's lock.
    """

    views: Sequence[Ragged]

    @property
    def dim(self) -> int:
        """Numbers a step."""
        return sum(math.prod(view.item_shape) for view in self.views)

    def take(self, rows: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """As in `Source`."""
        return torch.from_numpy(_side_by_side([_first(view[rows.numpy()], length.numpy()) for view in self.views]))

    def on(self, device: torch.device) -> Self:
        """Itself: what memory has no room for stays in its files."""
        del device
        return self


def source_of(views: Sequence[Ragged], length: NDArray[np.int64]) -> Source:
    """The first `length` steps of each document, views side by side: in memory where that has room for them."""
    free = free_memory()
    needed = sum(int(length.sum()) * math.prod(view.item_shape) * _number(view).itemsize for view in views)
    # side by side, views are copied once more
    if free is not None and needed * (2 if len(views) > 1 else 1) > SHARE * free:
        return Mapped(views)
    steps = _side_by_side([_first(view, length) for view in views])
    return Held(torch.from_numpy(steps), torch.from_numpy(length.cumsum() - length))


def positions(start: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """int64 (sum of length,): start[i], start[i] + 1, ... of each row, one after the other."""
    if len(length) == int(length.sum()) and bool((length == 1).all()):
        return start
    first = torch.repeat_interleave(start + length - length.cumsum(0), length)
    return first + torch.arange(len(first), device=first.device)


def _first(view: Ragged, length: NDArray[np.int64]) -> Ragged:
    """The first items of each row."""
    return replace(view, length=length)


def _side_by_side(views: Sequence[Ragged]) -> NDArray[np.floating]:
    """(steps, dim): the items of all rows, and the layers of each, views side by side."""
    gathered = [view.gather(_number(view))[0] for view in views]
    flat = [values.reshape(len(values), math.prod(values.shape[1:])) for values in gathered]
    return flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1)


def _number(view: Ragged) -> np.dtype[np.floating]:
    """What a view's numbers are read as."""
    return np.dtype(np.float16 if view.dtype == np.float16 else np.float32)
