"""Documents for torch's DataLoader. This module imports torch, so it is itself imported where it is used."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from data.errors import CallError
from featurestore.vectors.ragged import Ragged

__all__ = ["BagDataset"]

# a document's items, and its target where there are targets
Item = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


class BagDataset(Dataset[Item]):
    """One view of some documents, read when they are asked for; goes to worker processes as its files' paths.

    Item i is float32 (items, dim), or of token ids int32 (items,); with targets it is (that, targets[i]). A batch is
    read at once, so let batches be drawn outside:

        dataset, batches = bags.dataset("segments", y), list(bags.batches(64, by="segments", rng=epoch))
        DataLoader(dataset, batch_sampler=batches, collate_fn=dataset.collate, num_workers=2)

    targets: a tensor or array, (documents, ...). Raises CallError where there are more or fewer.
    """

    def __init__(self, ragged: Ragged, targets: Any = None) -> None:
        self.ragged = ragged
        self.targets = None if targets is None else torch.as_tensor(targets)
        if self.targets is not None and self.targets.shape[:1] != (len(ragged),):
            raise CallError(f"{len(ragged):,} documents need as many targets, got {tuple(self.targets.shape)}.")

    def __len__(self) -> int:
        return len(self.ragged)

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[Item]:
        # DataLoader asks for a batch by this name
        index = np.asarray(rows, dtype=np.int64)
        taken = self.ragged[index]
        values = torch.split(torch.from_numpy(taken.gather()[0]), taken.length.tolist())
        return list(values) if self.targets is None else list(zip(values, self.targets[index], strict=True))

    @staticmethod
    def collate(items: Sequence[Item]) -> tuple[torch.Tensor, ...]:
        """A batch: vectors with zeros behind a document's end (documents, longest, dim), int64 lengths, targets if any.

        A batch without items has longest 0.
        """
        targets: tuple[torch.Tensor, ...] = ()
        vectors: Sequence[torch.Tensor] = [item if isinstance(item, torch.Tensor) else item[0] for item in items]
        if not isinstance(items[0], torch.Tensor):
            targets = (torch.stack([target for _, target in items]),)
        lengths = torch.tensor([len(each) for each in vectors])
        return pad_sequence(list(vectors), batch_first=True), lengths, *targets
