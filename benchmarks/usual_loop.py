"""The loop that most put over stored features: a Dataset that reads a document, a DataLoader that pads a batch.

Documents are drawn one by one through h5py from the store's own files, in random order; the networks are those of our
heads, with their layers applied to padded batches and masks. Optimiser, rate, clipping and loss are our training's.
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
from heads.classifiers.mil import StepwisePerceptron
from heads.classifiers.mlp import Perceptron
from heads.classifiers.recurrent import Recurrence
from heads.classifiers.transformer import Attention
from heads.training.loop import Training
from heads.training.network_head import Standardised
from heads.training.optimizers import rate

Item = tuple[torch.Tensor, int]


class OneByOne(Dataset[Item]):
    """Document i as float32 (steps, dim) and its class; `views` side by side, the first `most` steps."""

    def __init__(self, bags: Bags, views: Sequence[str], codes: NDArray[np.int64], most: int | None) -> None:
        self.ragged = {name: bags.view(name) for name in views}
        self.codes = codes.tolist()
        self.most = most
        self.files: dict[tuple[str, int], h5py.Dataset] = {}

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> Item:
        parts = [torch.from_numpy(self._read(name, row)) for name in self.ragged]
        return torch.cat(parts, dim=1)[: self.most].float(), self.codes[row]

    def _read(self, name: str, row: int) -> NDArray[np.floating]:
        ragged = self.ragged[name]
        part = int(ragged.array_index[row])
        if (name, part) not in self.files:
            mapped = ragged.arrays[part]
            assert isinstance(mapped, MappedArray)
            self.files[name, part] = h5py.File(mapped.file.path)[VIEWS[name]]
        start = int(ragged.start[row])
        found: NDArray[np.floating] = self.files[name, part][start : start + int(ragged.length[row])]
        return found


def collate(items: Sequence[Item]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Padded vectors (documents, longest, dim), int64 lengths, int64 classes."""
    vectors, codes = zip(*items, strict=True)
    lengths = torch.tensor([len(each) for each in vectors])
    return nn.utils.rnn.pad_sequence(list(vectors), batch_first=True), lengths, torch.tensor(codes)


def learn(network: Standardised, dataset: OneByOne, training: Training, workers: int) -> None:
    """Train `network` in place for `training.epochs`."""
    loader = DataLoader(dataset, training.batch, shuffle=True, collate_fn=collate, num_workers=workers)
    optimiser = torch.optim.AdamW(network.parameters(), lr=training.lr, weight_decay=training.weight_decay)
    steps = len(loader) * training.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, steps, training.warmup))
    network.train()
    for _ in range(training.epochs):
        for vectors, lengths, codes in loader:
            optimiser.zero_grad()
            standard = (vectors - network.mean) / network.deviation
            loss = nn.functional.cross_entropy(padded_logits(network.network, standard, lengths), codes)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own gap
            nn.utils.clip_grad_norm_(network.parameters(), training.clip)
            optimiser.step()
            schedule.step()


def feeding(dataset: OneByOne, batch: int, workers: int) -> Iterator[object]:
    """An epoch's batches and nothing else."""
    yield from DataLoader(dataset, batch, shuffle=True, collate_fn=collate, num_workers=workers)


def padded_logits(network: nn.Module, vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """What `network` says of padded vectors, float32 (documents, labels), computed on padding as well."""
    own = torch.arange(vectors.shape[1]) < lengths[:, None]
    logits: torch.Tensor
    match network:
        case Perceptron():
            pooled = (vectors * own[:, :, None]).sum(dim=1)
            logits = network.layers(pooled if network.summed else pooled / lengths[:, None])
        case StepwisePerceptron():
            logits = (network.layers(vectors) * own[:, :, None]).sum(dim=1) / lengths[:, None]
        case GatedAttention():
            steps = network.input(vectors)
            asked = network.ask(torch.tanh(network.content(steps)) * torch.sigmoid(network.gate(steps)))
            weights = asked.masked_fill(~own[:, :, None], -torch.inf).softmax(dim=1)
            logits = network.output(torch.einsum("dsq,dsw->dqw", weights, steps).flatten(1))
        case Recurrence():
            given = nn.utils.rnn.pack_padded_sequence(
                network.dropout(vectors), lengths, batch_first=True, enforce_sorted=False
            )
            states = nn.utils.rnn.pad_packed_sequence(
                network.layer(given)[0], batch_first=True, padding_value=-torch.inf
            )
            logits = network.output(network.dropout(states[0].amax(dim=1)))
        case Attention():
            steps = network.input(network.dropout(vectors))
            read = network.encoder(steps + network._positions(steps), src_key_padding_mask=~own)
            logits = network.output(network.dropout((read * own[:, :, None]).sum(dim=1) / lengths[:, None]))
        case _:
            raise TypeError(f"no padded form of {type(network).__name__}")
    return logits
