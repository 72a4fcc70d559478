"""Documents as sequences of vectors, and mini-batches of them.

No code here loops over documents in Python: a batch is one index, computed by arithmetic and gathered once. It holds no
padding, so that a network that treats each position by itself takes time for the positions that exist, not for padding.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from heads.training.position_storage import InMemory, PositionStorage, flat_positions

# positions that are summed at a time
BLOCK = 2_048
# padded positions per real one above which documents of different lengths are padded separately; a second pass costs
# about as much
MAX_PADDING = 1.5


class Batch(NamedTuple):
    """The input of a network: the vectors of a mini-batch of documents, concatenated without padding.

    A position is a segment, a chunk or a token of a document. With documents of 2 and 3 positions and vectors of length
    384, `vectors` is (5, 384) and `lengths` is [2, 3].

    vectors: float32 (all positions, dim), standardized, one document after the other.
    lengths: int64 (documents,), positions of each document, at least 1; a document without positions has one of zeros.
    tabular: float32 (documents, width), the encoded tabular columns; None if the head uses none.

    `padded_vectors` and `mask()` are the same as a padded tensor with a mask. Both are on the device of the network.
    """

    vectors: torch.Tensor
    lengths: torch.Tensor
    tabular: torch.Tensor | None = None

    @classmethod
    def of_padded(cls, vectors: torch.Tensor, lengths: torch.Tensor) -> Self:
        """A batch of padded vectors, float32 (documents, longest, dim)."""
        is_real = torch.arange(vectors.shape[1], device=lengths.device) < lengths[:, None]
        return cls(vectors[is_real], lengths)

    @property
    def padded_vectors(self) -> torch.Tensor:
        """float32 (documents, longest, dim), with zeros after a document's end; computed at each call."""
        return self.pad(self.vectors)

    def mask(self) -> torch.Tensor:
        """bool (documents, longest): True for a document's positions, False for padding."""
        return torch.arange(int(self.lengths.max()), device=self.lengths.device) < self.lengths[:, None]

    def pad(self, values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        """Values per position, (all positions, width), as (documents, longest, width) with `fill` as padding."""
        documents, width = len(self.lengths), values.shape[1]
        if len(values) == documents:
            return values[:, None]
        longest = int(self.lengths.max())
        index = flat_positions(torch.arange(documents, device=values.device) * longest, self.lengths)
        return values.new_full((documents * longest, width), fill).index_copy(0, index, values).view(-1, longest, width)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean over each document's positions: (all positions, width) -> (documents, width)."""
        if len(values) == len(self.lengths):
            return values
        return self.pad(values).sum(dim=1) / self.lengths[:, None]

    def split_by_length(self) -> Iterator[tuple[torch.Tensor, Self]]:
        """Batches of documents of similar length (the longest less than twice the shortest) and their rows.

        One batch if padding all documents to the longest adds little, so that one long document is not expensive.
        """
        if len(self.lengths) * int(self.lengths.max()) <= MAX_PADDING * len(self.vectors):
            yield torch.arange(len(self.lengths), device=self.lengths.device), self
            return
        exponents = torch.frexp(self.lengths.float()).exponent
        for exponent in torch.unique(exponents):
            selected = exponents == exponent
            vectors = self.vectors[selected.repeat_interleave(self.lengths)]
            tabular = None if self.tabular is None else self.tabular[selected]
            yield selected.nonzero()[:, 0], type(self)(vectors, self.lengths[selected], tabular)


@dataclass(frozen=True)
class Sequences:
    """The positions of all documents.

    storage: where their vectors are. length: int64 (documents,), positions of each document. tabular: float32
    (documents, width), the encoded tabular columns, or None.
    """

    storage: PositionStorage
    length: torch.Tensor
    tabular: torch.Tensor | None = None

    @classmethod
    def of(cls, vectors: NDArray[np.floating], offsets: NDArray[np.int64], tabular: torch.Tensor | None = None) -> Self:
        """From flat vectors, float16 or float32 (positions, dim), and int64 (documents + 1,) offsets."""
        starts = torch.from_numpy(offsets)
        return cls(InMemory(torch.from_numpy(vectors), starts[:-1]), starts.diff(), tabular)

    def __len__(self) -> int:
        return len(self.length)

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self.storage.dim

    @property
    def have_one_position(self) -> bool:
        """Whether each document has one position, so that there is nothing to pool."""
        return bool((self.length == 1).all())

    def on(self, device: torch.device) -> Self:
        """The same with its vectors on `device`, if they fit."""
        return replace(self, storage=self.storage.on(device))

    def batch(self, rows: torch.Tensor, device: torch.device) -> Batch:
        """The documents of `rows`; one without positions has one of zeros."""
        length = self.length[rows]
        vectors = self.storage.take(rows, length).to(device, torch.float32)
        lengths = length.clamp(min=1)
        if len(vectors) != int(lengths.sum()):
            is_real = (length > 0).repeat_interleave(lengths).to(device)
            vectors = vectors.new_zeros(len(is_real), self.dim).masked_scatter(is_real[:, None], vectors)
        return Batch(vectors, lengths.to(device), None if self.tabular is None else self.tabular[rows].to(device))

    def batches(self, rows: torch.Tensor, budget: int) -> Iterator[torch.Tensor]:
        """`rows`, sorted by length, in batches of at most `budget` padded positions, or of one document."""
        lengths, start = self.length[rows].clamp(min=1), 0
        while start < len(rows):
            following = lengths[start : start + budget]
            padded = following * torch.arange(1, len(following) + 1)
            count = max(int(torch.searchsorted(padded, budget, right=True)), 1)
            yield rows[start : start + count]
            start += count

    def sums(self) -> torch.Tensor:
        """The sum of each document's vectors, float32 (documents, dim)."""
        sums = torch.empty(len(self), self.dim)
        for rows, batch in self._blocks(torch.arange(len(self))):
            sums[rows] = torch.segment_reduce(batch.vectors, "sum", lengths=batch.lengths)
        return sums

    def means(self) -> Self:
        """Documents of one position each, the mean of their own."""
        if self.have_one_position:
            return self
        pooled = self.sums() / self.length.clamp(min=1)[:, None]
        return self.of(pooled.numpy(), np.arange(len(pooled) + 1), self.tabular)

    def moments(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation, float32 (dim,), over the positions of `rows`; a constant has deviation 1."""
        total = squares = torch.zeros(self.dim, dtype=torch.float64)
        for _, batch in self._blocks(rows):
            block = batch.vectors.double()
            total, squares = total + block.sum(dim=0), squares + block.square().sum(dim=0)
        # the zero vector of a document without positions adds nothing to either
        count = max(int(self.length[rows].sum()), 1)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        return mean.float(), torch.where(deviation > 1e-6, deviation, 1.0).float()

    def _blocks(self, rows: torch.Tensor) -> Iterator[tuple[torch.Tensor, Batch]]:
        """`rows` in their order, in batches of about BLOCK positions."""
        block = self.length[rows].clamp(min=1).cumsum(0) // BLOCK
        counts = torch.unique_consecutive(block, return_counts=True)[1]
        for block_rows in torch.split(rows, counts.tolist()):
            yield block_rows, self.batch(block_rows, torch.device("cpu"))
