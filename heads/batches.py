"""Documents as sequences of vectors in memory, and mini-batches of them.

No step here loops over documents in Python: a batch is one index matrix, made by arithmetic and gathered once.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

# steps that are widened to float64 at a time
BLOCK = 16_384


class Batch(NamedTuple):
    """What a network reads: vectors float32 (documents, longest, dim), and lengths int64 (documents,), at least 1."""

    vectors: torch.Tensor
    lengths: torch.Tensor

    def mask(self) -> torch.Tensor:
        """bool (documents, longest): True where a step is the document's own and not padding."""
        return torch.arange(self.vectors.shape[1], device=self.lengths.device) < self.lengths[:, None]


@dataclass(frozen=True)
class Sequences:
    """The steps of all documents, one after the other.

    steps: float16 or float32 (steps, dim). start, length: int64 (documents,), where each begins and how long it is.
    """

    steps: torch.Tensor
    start: torch.Tensor
    length: torch.Tensor

    @classmethod
    def of(cls, steps: NDArray[np.floating], offsets: NDArray[np.int64]) -> Self:
        """From flat steps and int64 (documents + 1,) offsets, as `Ragged.gather` gives them."""
        starts = torch.from_numpy(offsets)
        # no index finds anything in nothing: where no document has a step, one that is nobody's is there
        steps = steps if len(steps) else np.zeros((1, steps.shape[1]), dtype=steps.dtype)
        return cls(torch.from_numpy(steps), starts[:-1], starts.diff())

    def __len__(self) -> int:
        return len(self.start)

    @property
    def dim(self) -> int:
        """Numbers a step."""
        return int(self.steps.shape[1])

    def cut(self, most: int) -> tuple[Self, int]:
        """The first `most` steps of each document, and how many documents were longer."""
        return replace(self, length=self.length.clamp(max=most)), int((self.length > most).sum())

    def batch(self, rows: torch.Tensor, device: torch.device) -> Batch:
        """The documents of `rows`, padded with zeros to the longest of them; one without steps has one zero step.

        This is the one way from the features to the training loop: what streams from disk instead would replace it.
        """
        length = self.length[rows]
        place = torch.arange(max(int(length.max()), 1))
        own = place < length[:, None]
        index = torch.where(own, self.start[rows, None] + place, 0)
        vectors = self.steps.index_select(0, index.flatten()).view(*index.shape, self.dim)
        vectors = vectors.to(device, torch.float32).masked_fill_(~own.to(device)[:, :, None], 0.0)
        return Batch(vectors, length.clamp(min=1).to(device))

    def moments(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation, float32 (dim,), over the steps of `rows`; a number that never varies has deviation 1."""
        index = torch.repeat_interleave(self.start[rows], self.length[rows])
        ends = self.length[rows].cumsum(0)
        index += torch.arange(len(index)) - torch.repeat_interleave(ends - self.length[rows], self.length[rows])
        total = squares = torch.zeros(self.dim, dtype=torch.float64)
        for part in torch.split(index, BLOCK):
            block = self.steps.index_select(0, part).double()
            total, squares = total + block.sum(dim=0), squares + block.square().sum(dim=0)
        count = max(len(index), 1)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        return mean.float(), torch.where(deviation > 1e-6, deviation, 1.0).float()
