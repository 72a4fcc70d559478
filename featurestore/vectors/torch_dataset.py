"""Documents for torch's DataLoader. This module imports torch, so import it only inside functions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from data.errors import CallError
from featurestore.vectors.ragged import Ragged

__all__ = ["BagDataset"]

# a document's items, and its target if there are targets
Item = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


class BagDataset(Dataset[Item]):
    """One view of some documents, read on access; worker processes receive the paths of the files, not the vectors.

    Item i is float32 (items, dim), or int32 (items,) of token ids; with targets it is (items, targets[i]). A batch is
    read at once, so pass a sampler of batches:

        dataset, batches = bags.dataset("segments", y), list(bags.batches(64, by="segments", rng=epoch))
        DataLoader(dataset, batch_sampler=batches, collate_fn=dataset.collate, num_workers=2)

    targets: a tensor or array, (documents, ...). Raises CallError if their number differs.
    """

    def __init__(self, ragged: Ragged, targets: Any = None) -> None:
        self.ragged = ragged
        self.targets = None if targets is None else torch.as_tensor(targets)
        if self.targets is not None and self.targets.shape[:1] != (len(ragged),):
            raise CallError(f"{len(ragged):,} documents need one target each, got {tuple(self.targets.shape)}.")

    def __len__(self) -> int:
        return len(self.ragged)

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[Item]:
        # DataLoader calls this method for a batch
        index = np.asarray(rows, dtype=np.int64)
        ragged = self.ragged[index]
        values = torch.split(torch.from_numpy(ragged.gather()[0]), ragged.length.tolist())
        return list(values) if self.targets is None else list(zip(values, self.targets[index], strict=True))

    @staticmethod
    def collate(items: Sequence[Item]) -> tuple[torch.Tensor, ...]:
        """Pad items to a batch: vectors (documents, longest, dim), int64 lengths, and targets if any.

        A batch without items has longest 0.
        """
        targets: tuple[torch.Tensor, ...] = ()
        vectors: Sequence[torch.Tensor] = [item if isinstance(item, torch.Tensor) else item[0] for item in items]
        if not isinstance(items[0], torch.Tensor):
            targets = (torch.stack([target for _, target in items]),)
        lengths = torch.tensor([len(vector) for vector in vectors])
        return pad_sequence(list(vectors), batch_first=True), lengths, *targets
