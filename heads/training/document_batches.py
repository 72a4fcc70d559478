"""Documents as sequences of vectors, and mini-batches of them.

No step here loops over documents in Python: a batch is one index, made by arithmetic and gathered once. It holds no
padding, so that what a network does to each step by itself costs what the documents are long, not what the longest is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from heads.training.step_storage import Held, Source, positions

# steps that are summed at a time
BLOCK = 2_048
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
        if len(values) == len(self.lengths):
            return values
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


@dataclass(frozen=True)
class Sequences:
    """The steps of all documents.

    length: int64 (documents,), how many each has. source: where they are.
    """

    source: Source
    length: torch.Tensor

    @classmethod
    def of(cls, steps: NDArray[np.floating], offsets: NDArray[np.int64]) -> Self:
        """From flat steps, float16 or float32 (steps, dim), and int64 (documents + 1,) offsets."""
        starts = torch.from_numpy(offsets)
        return cls(Held(torch.from_numpy(steps), starts[:-1]), starts.diff())

    def __len__(self) -> int:
        return len(self.length)

    @property
    def dim(self) -> int:
        """Numbers a step."""
        return self.source.dim

    def on(self, device: torch.device) -> Self:
        """The same with its steps on `device`, where that has room for them."""
        return replace(self, source=self.source.on(device))

    def batch(self, rows: torch.Tensor, device: torch.device) -> Batch:
        """The documents of `rows`; one without steps has one zero step."""
        length = self.length[rows]
        steps = self.source.take(rows, length).to(device, torch.float32)
        lengths = length.clamp(min=1)
        if len(steps) != int(lengths.sum()):
            own = (length > 0).repeat_interleave(lengths).to(device)
            steps = steps.new_zeros(len(own), self.dim).masked_scatter(own[:, None], steps)
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
        for rows, batch in self._blocks(torch.arange(len(self))):
            found[rows] = torch.segment_reduce(batch.steps, "sum", lengths=batch.lengths)
        return found

    def means(self) -> Self:
        """Documents of one step each, the mean of its own."""
        pooled = self.sums() / self.length.clamp(min=1)[:, None]
        return self.of(pooled.numpy(), np.arange(len(pooled) + 1))

    def moments(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation, float32 (dim,), over the steps of `rows`; a number that never varies has deviation 1."""
        total = squares = torch.zeros(self.dim, dtype=torch.float64)
        for _, batch in self._blocks(rows):
            block = batch.steps.double()
            total, squares = total + block.sum(dim=0), squares + block.square().sum(dim=0)
        # the zero step of a document that has none adds nothing to either
        count = max(int(self.length[rows].sum()), 1)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        return mean.float(), torch.where(deviation > 1e-6, deviation, 1.0).float()

    def _blocks(self, rows: torch.Tensor) -> Iterator[tuple[torch.Tensor, Batch]]:
        """`rows` in their order, as many at a time as have about BLOCK steps."""
        block = self.length[rows].clamp(min=1).cumsum(0) // BLOCK
        counts = torch.unique_consecutive(block, return_counts=True)[1]
        for part in torch.split(rows, counts.tolist()):
            yield part, self.batch(part, torch.device("cpu"))
