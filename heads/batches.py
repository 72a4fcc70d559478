"""Documents as sequences of vectors in memory, and mini-batches of them.

No step here loops over documents in Python: a batch is one index, made by arithmetic and gathered once. It holds no
padding, so that what a network does to each step by itself costs what the documents are long, not what the longest is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

# steps that are widened to float64 at a time
BLOCK = 1_024
# documents that are summed at a time
SUMMED = 1_024
# positions a step from which on documents of other lengths are padded apart: a second pass costs about as much
PADDED = 1.5


class Batch(NamedTuple):
    """What a network reads: the steps of its documents one after the other, without padding, and how many each has.

    steps: float32 (all steps, dim). lengths: int64 (documents,), at least 1.
    """

    steps: torch.Tensor
    lengths: torch.Tensor

    @classmethod
    def of(cls, vectors: torch.Tensor, lengths: torch.Tensor) -> Self:
        """From padded vectors (documents, longest, dim)."""
        own = torch.arange(vectors.shape[1], device=lengths.device) < lengths[:, None]
        return cls(vectors[own], lengths)

    @property
    def vectors(self) -> torch.Tensor:
        """float32 (documents, longest, dim), zeros behind a document's end; made anew at each call."""
        return self.padded(self.steps)

    def mask(self) -> torch.Tensor:
        """bool (documents, longest): True where a step is the document's own and not padding."""
        return torch.arange(int(self.lengths.max()), device=self.lengths.device) < self.lengths[:, None]

    def padded(self, values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        """Values of the steps, (all steps, width), as (documents, longest, width), `fill` behind a document's end."""
        documents, width = len(self.lengths), values.shape[1]
        if len(values) == documents:
            return values[:, None]
        longest = int(self.lengths.max())
        places = positions(torch.arange(documents, device=values.device) * longest, self.lengths)
        return (
            values.new_full((documents * longest, width), fill).index_copy(0, places, values).view(-1, longest, width)
        )

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of each document's values: (all steps, width) -> (documents, width)."""
        return self.padded(values).sum(dim=1) / self.lengths[:, None]

    def alike(self) -> Iterator[tuple[torch.Tensor, Self]]:
        """Rows of documents of like length and a batch of them, the longest less than twice as long as the shortest.

        All at once where that leaves little padding: a network that pads should not pay for one long document.
        """
        if len(self.lengths) * int(self.lengths.max()) <= PADDED * len(self.steps):
            yield torch.arange(len(self.lengths), device=self.lengths.device), self
            return
        size = torch.frexp(self.lengths.float()).exponent
        for each in torch.unique(size):
            own = size == each
            yield own.nonzero()[:, 0], type(self)(self.steps[own.repeat_interleave(self.lengths)], self.lengths[own])


def positions(start: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """int64 (sum of length,): start[i], start[i] + 1, ... of each row, one after the other."""
    if len(length) == int(length.sum()) and bool((length == 1).all()):
        return start
    first = torch.repeat_interleave(start + length - length.cumsum(0), length)
    return first + torch.arange(len(first), device=first.device)


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

    def on(self, device: torch.device) -> Self:
        """The same with its steps on `device`, where that is a CUDA device of which they take less than half."""
        if device.type != "cuda" or 2 * self.steps.nbytes > torch.cuda.mem_get_info(device)[0]:
            return self
        return replace(self, steps=self.steps.to(device))

    def batch(self, rows: torch.Tensor, device: torch.device) -> Batch:
        """The documents of `rows`; one without steps has one zero step.

        This is the one way from the features to the training loop: what streams from disk instead would replace it.
        """
        length = self.length[rows]
        lengths = length.clamp(min=1)
        index = positions(self.start[rows], lengths).clamp(max=len(self.steps) - 1)
        steps = self.steps.index_select(0, index.to(self.steps.device)).to(device, torch.float32)
        if int(length.min()) == 0:
            empty = (length == 0).repeat_interleave(lengths)
            steps = steps.masked_fill(empty.to(device)[:, None], 0.0)
        return Batch(steps, lengths.to(device))

    def batches(self, rows: torch.Tensor, budget: int) -> Iterator[torch.Tensor]:
        """`rows`, which stand in order of length, in parts: as many as `budget` positions hold when padded, or one."""
        lengths, first = self.length[rows].clamp(min=1), 0
        while first < len(rows):
            ahead = lengths[first : first + budget]
            positions_of = ahead * torch.arange(1, len(ahead) + 1)
            count = max(int(torch.searchsorted(positions_of, budget, right=True)), 1)
            yield rows[first : first + count]
            first += count

    def sums(self) -> torch.Tensor:
        """float32 (documents, dim): the sum of each document's steps."""
        found = torch.empty(len(self), self.dim)
        for rows in torch.split(torch.arange(len(self)), SUMMED):
            batch = self.batch(rows, torch.device("cpu"))
            found[rows] = torch.segment_reduce(batch.steps, "sum", lengths=batch.lengths)
        return found

    def moments(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation, float32 (dim,), over the steps of `rows`; a number that never varies has deviation 1."""
        index = positions(self.start[rows], self.length[rows])
        total = squares = torch.zeros(self.dim, dtype=torch.float64)
        for part in torch.split(index, BLOCK):
            block = self.steps.index_select(0, part).double()
            total, squares = total + block.sum(dim=0), squares + block.square().sum(dim=0)
        count = max(len(index), 1)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        return mean.float(), torch.where(deviation > 1e-6, deviation, 1.0).float()
