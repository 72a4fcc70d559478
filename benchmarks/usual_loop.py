"""The usual training loop over stored vectors: a Dataset that reads one document, a DataLoader that pads a batch.

Documents are read one by one, in random order, through h5py from the store's own files. The networks are those of our
heads, with their layers applied to padded batches and masks. Optimizer, learning rate, clipping and loss are those of
our training.
"""

from collections.abc import Iterator, Sequence

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from featurestore import Bags
from featurestore.shards.layout import VIEWS
from featurestore.shards.mapped import MappedArray
from heads.classifiers.attention import GatedAttention
from heads.classifiers.mil import InstanceMLP
from heads.classifiers.mlp import PooledMLP
from heads.classifiers.recurrent import Recurrence
from heads.classifiers.transformer import Transformer
from heads.training.config import Optimization
from heads.training.length import TrainingLength
from heads.training.network_head import Standardized
from heads.training.optimizers import learning_rate_factor

Item = tuple[torch.Tensor, int]


class DocumentDataset(Dataset[Item]):
    """Document i as float32 (positions, dim) and its class; `views` concatenated, at most `most` positions."""

    def __init__(self, bags: Bags, views: Sequence[str], codes: NDArray[np.int64], most: int | None) -> None:
        self.ragged = {name: bags.view(name) for name in views}
        self.codes = codes.tolist()
        self.most = most
        self.files: dict[tuple[str, int], h5py.Dataset] = {}

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> Item:
        arrays = [torch.from_numpy(self._read(name, row)) for name in self.ragged]
        return torch.cat(arrays, dim=1)[: self.most].float(), self.codes[row]

    def _read(self, name: str, row: int) -> NDArray[np.floating]:
        ragged = self.ragged[name]
        shard = int(ragged.array_index[row])
        if (name, shard) not in self.files:
            mapped = ragged.arrays[shard]
            assert isinstance(mapped, MappedArray)
            self.files[name, shard] = h5py.File(mapped.file.path)[VIEWS[name]]
        start = int(ragged.start[row])
        vectors: NDArray[np.floating] = self.files[name, shard][start : start + int(ragged.length[row])]
        return vectors


def collate(items: Sequence[Item]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Padded vectors (documents, longest, dim), int64 lengths, int64 classes."""
    vectors, codes = zip(*items, strict=True)
    lengths = torch.tensor([len(document) for document in vectors])
    return nn.utils.rnn.pad_sequence(list(vectors), batch_first=True), lengths, torch.tensor(codes)


def train(
    network: Standardized, dataset: DocumentDataset, training: Optimization, length: TrainingLength, workers: int
) -> None:
    """Train `network` in place for `length.epochs`.

    Args:
        network: the network.
        dataset: the documents.
        training: optimizer and learning rate.
        length: epochs and batch size.
        workers: reading processes.
    """
    loader = DataLoader(dataset, length.batch_size, shuffle=True, collate_fn=collate, num_workers=workers)
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.lr, weight_decay=training.weight_decay)
    steps = len(loader) * length.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, steps, training.warmup_ratio)
    )
    network.train()
    for _ in range(length.epochs):
        for vectors, lengths, codes in loader:
            optimizer.zero_grad()
            standard = (vectors - network.mean) / network.deviation
            loss = nn.functional.cross_entropy(padded_logits(network.network, standard, lengths), codes)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own gap
            nn.utils.clip_grad_norm_(network.parameters(), training.max_grad_norm)
            optimizer.step()
            schedule.step()


def iter_batches(dataset: DocumentDataset, batch: int, workers: int) -> Iterator[object]:
    """The batches of one epoch, without training."""
    yield from DataLoader(dataset, batch, shuffle=True, collate_fn=collate, num_workers=workers)


def padded_logits(network: nn.Module, vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The logits of `network` for padded vectors, float32 (documents, labels); padding is computed too."""
    mask = torch.arange(vectors.shape[1]) < lengths[:, None]
    logits: torch.Tensor
    match network:
        case PooledMLP():
            pooled = (vectors * mask[:, :, None]).sum(dim=1)
            logits = network.layers(pooled if network.summed else pooled / lengths[:, None])
        case InstanceMLP():
            logits = (network.layers(vectors) * mask[:, :, None]).sum(dim=1) / lengths[:, None]
        case GatedAttention():
            positions = network.input(vectors)
            scores = network.query(torch.tanh(network.content(positions)) * torch.sigmoid(network.gate(positions)))
            weights = scores.masked_fill(~mask[:, :, None], -torch.inf).softmax(dim=1)
            logits = network.output(torch.einsum("dsq,dsw->dqw", weights, positions).flatten(1))
        case Recurrence():
            packed = nn.utils.rnn.pack_padded_sequence(
                network.dropout(vectors), lengths, batch_first=True, enforce_sorted=False
            )
            states = nn.utils.rnn.pad_packed_sequence(
                network.layer(packed)[0], batch_first=True, padding_value=-torch.inf
            )
            logits = network.output(network.dropout(states[0].amax(dim=1)))
        case Transformer():
            positions = network.input(network.dropout(vectors))
            encoded = network.encoder(positions + network._position_embedding(positions), src_key_padding_mask=~mask)
            logits = network.output(network.dropout((encoded * mask[:, :, None]).sum(dim=1) / lengths[:, None]))
        case _:
            raise TypeError(f"no padded form of {type(network).__name__}")
    return logits
