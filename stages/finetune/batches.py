"""What the Trainer reads: batches of documents with their windows, targets and weights, divided to fit into memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import EmbedOnceError
from heads.training.samplers import EpochBatches, RankBatch
from stages.embed.encoder.encoder import Encoder
from stages.embed.windows.window_arrays import Windows
from stages.finetune.classifier import WindowBatch

__all__ = ["DocumentDataset", "EpochSampler", "MicroBatches", "TrainingBatch"]

Rows = NDArray[np.int64]


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

    windows: of all documents. limit: positions of a part, padding included; halved if memory runs out.
    """

    def __init__(self, windows: Windows, encoder: Encoder, limit: int) -> None:
        self._windows, self._encoder, self.limit = windows, encoder, limit
        self.halvings = 0
        longest = np.maximum.reduceat(windows.length, windows.offsets[:-1]) if len(windows) else windows.tokens
        self._longest = longest + encoder.extra_positions
        self._counts = np.diff(windows.offsets)

    def split(self, rows: Rows) -> list[tuple[Rows, WindowBatch]]:
        """Which of `rows`, as numbers from 0, are in each part, and their windows; each part has a document."""
        parts, start = [], 0
        while start < len(rows):
            following = rows[start:]
            padded = np.cumsum(self._counts[following]) * np.maximum.accumulate(self._longest[following])
            count = max(int(np.searchsorted(padded, self.limit, side="right")), 1)
            part = np.arange(start, min(start + count, len(rows)))
            parts.append((part, WindowBatch.of(self._windows, rows[part], self._encoder)))
            start += count
        return parts

    def halve(self, rows: Rows) -> None:
        """Make parts smaller, because memory ran out for one of `rows`. Raises EmbedOnceError if none can be."""
        padded = int(self._counts[rows].sum()) * int(self._longest[rows].max())
        limit = min(self.limit, padded) // 2
        if limit < int((self._counts[rows] * self._longest[rows]).min()):
            raise EmbedOnceError(
                f"Memory runs out for a single document of {int(self._counts[rows].max()):,} windows. Use fewer with "
                "--max-windows, a shorter --window, or --train last:2."
            )
        self.limit, self.halvings = limit, self.halvings + 1
