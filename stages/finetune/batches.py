"""What the Trainer reads: batches of documents with their windows, targets and weights, divided to fit into memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import EmbedOnceError
from data.text_format import plural
from heads.training.samplers import EpochBatches, RankBatch
from stages.embed.batching.budget import empty_gpu_cache, is_out_of_memory
from stages.embed.encoder.encoder import Encoder
from stages.embed.windows.window_arrays import Windows
from stages.finetune.classifier import WindowBatch

__all__ = ["DocumentDataset", "EpochSampler", "MicroBatches", "TrainingBatch"]

Rows = NDArray[np.int64]
Result = TypeVar("Result")


@dataclass(frozen=True)
class TrainingBatch:
    """The documents of one step that this process reads.

    targets: int64 (documents,), or float32 (documents, classes). weight: float32, in the shape of targets, 0 for a
    document that is not counted. scale: what the sum of the losses is multiplied by.
    """

    rows: Rows
    targets: torch.Tensor
    weight: torch.Tensor
    scale: float


@dataclass(frozen=True, eq=False)
class DocumentDataset(torch.utils.data.Dataset[TrainingBatch]):
    """The documents that are learned from.

    rows: their rows among all training documents. targets, weight: as in TrainingBatch.
    """

    rows: Rows
    targets: torch.Tensor
    weight: torch.Tensor
    ranks: int = 1

    def __len__(self) -> int:
        return len(self.targets)

    def __getitems__(self, batch: RankBatch) -> TrainingBatch:
        """The documents of a batch; torch calls this with what the sampler yields."""
        rows = torch.from_numpy(batch.rows)
        weight = self.weight[rows].clone()
        weight[torch.from_numpy(~batch.is_counted)] = 0
        # data-parallel training averages the gradients of the processes
        return TrainingBatch(self.rows[batch.rows], self.targets[rows], weight, self.ranks / batch.documents)


class EpochSampler(torch.utils.data.Sampler[RankBatch]):
    """The batches of one epoch for one process; the Trainer sets the epoch."""

    def __init__(self, batches: EpochBatches, rank: int, ranks: int) -> None:
        self._batches, self._rank, self._ranks = batches, rank, ranks
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[RankBatch]:
        return self._batches.of_epoch(self._epoch, self._rank, self._ranks)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that is read next, counted from 0."""
        self._epoch = epoch


class MicroBatches:
    """Divides the documents of a step into parts that fit into memory, one after the other.

    windows: of all documents. limit: positions of a part; halved if memory runs out.
    """

    def __init__(self, windows: Windows, encoder: Encoder, limit: int) -> None:
        self._windows, self._encoder, self.limit = windows, encoder, limit
        self._positions = windows.tokens_to_encode + np.diff(windows.offsets) * encoder.extra_positions
        self.halvings = 0

    def split(self, rows: Rows) -> Iterator[tuple[Rows, WindowBatch]]:
        """Which of `rows`, as numbers from 0, are in each part, and their windows; the longest documents come first."""
        order = np.argsort(-self._positions[rows], kind="stable")
        ends = np.cumsum(self._positions[rows[order]])
        start = 0
        while start < len(order):
            read = ends[start - 1] if start else 0
            stop = max(int(np.searchsorted(ends, read + self.limit, side="right")), start + 1)
            part = order[start:stop]
            yield part, WindowBatch.of(self._windows, rows[part], self._encoder, self.limit)
            start = stop

    def retry(self, rows: Rows, attempt: Callable[[], Result]) -> Result:
        """What `attempt` returns, which reads `rows`; called again with smaller parts whenever memory runs out.

        Raises EmbedOnceError if parts cannot be smaller.
        """
        while True:
            try:
                return attempt()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            empty_gpu_cache()  # behind the block of the error, which keeps the tensors of the attempt
            self.halve(rows)

    def halve(self, rows: Rows) -> None:
        """Make parts smaller, because memory ran out for one of `rows`. Raises EmbedOnceError if none can be."""
        limit = min(self.limit, int(self._positions[rows].sum())) // 2
        if limit < int(self._positions[rows].min()):
            windows = int(np.diff(self._windows.offsets)[rows].max())
            raise EmbedOnceError(
                f"Memory runs out for a single document of {plural(windows, 'window')}. Use fewer with --max-windows, "
                "a shorter --window, or --train last:2."
            )
        self.limit, self.halvings = limit, self.halvings + 1
