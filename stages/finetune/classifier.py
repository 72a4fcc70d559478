"""The network that is fine-tuned: an encoder, and a linear layer over its window vectors with pooled logits."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.errors import CallError
from heads.training.document_batches import Batch
from stages.adapt.training_defaults import add_lora
from stages.embed.batching.token_batches import split_into_batches
from stages.embed.encoder.encoder import Encoder
from stages.embed.network.pooling import move_to
from stages.embed.network.torch_network import TorchNetwork
from stages.embed.windows.window_arrays import Windows, expand_ranges
from stages.finetune.settings import FinetuneSettings, parse_train

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["EncoderClassifier", "WindowBatch"]

_OF_ALL_LAYERS = (nn.Embedding, nn.ModuleList)


@dataclass(frozen=True)
class WindowBatch:
    """The windows of some documents as the encoder reads them, in bands of similar length; all on the CPU.

    bands: ids, int64 (windows, longest), and lengths, int64 (windows,), of each band. order: int64 (windows,), where
    each window is in the bands together. windows: int64 (documents,), the number of windows of each document.
    """

    bands: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    order: torch.Tensor
    windows: torch.Tensor

    @classmethod
    def of(cls, windows: Windows, documents: NDArray[np.int64], encoder: Encoder, positions: int) -> Self:
        """The windows of these documents, in their order; positions: of a band at most, padding included."""
        counts = np.diff(windows.offsets)[documents]
        rows = expand_ranges(windows.offsets[:-1][documents], counts)
        bands = list(split_into_batches(windows.length[rows] + encoder.extra_positions, positions))
        padded = (map(torch.from_numpy, encoder.padded_batch(windows, rows[band])) for band in bands)
        order = torch.from_numpy(np.argsort(np.concatenate(bands), kind="stable"))
        return cls(tuple((ids, lengths) for ids, lengths in padded), order, torch.from_numpy(counts))


class EncoderClassifier(nn.Module):
    """An encoder and a linear layer. The vectors that the layer reads are those that a store of the encoder keeps.

    Args:
        network: the encoder in float32, with its own linear layers.
        encoder: how a store of the encoder pools.
        classes: how many logits.
        settings: what is trained, and which vector is read.
    """

    def __init__(self, network: TorchNetwork, encoder: Encoder, classes: int, settings: FinetuneSettings) -> None:
        super().__init__()
        self.encoder: Any = network.module
        self.dropout = nn.Dropout(settings.dropout)
        self.layer = nn.Linear(encoder.dim, classes)
        # not the other vectors of a store: they would cost time
        self._network, self._pooling = network, replace(encoder.pooling, keep=(settings.vector,))
        self._vector, self._over = settings.vector, settings.pooling
        self._adapter: PeftModel | None = None
        self._select_trained(settings.train)

    def forward(self, batch: WindowBatch) -> torch.Tensor:
        """Logits, float32 (documents, classes)."""
        vectors = torch.cat([self._encode(ids, lengths) for ids, lengths in batch.bands])
        logits = self.layer(self.dropout(vectors[move_to(batch.order, vectors.device)])).float()
        return pool_logits(logits, move_to(batch.windows, logits.device), self._over)

    def _encode(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        (hidden,) = self._network(ids, lengths)
        return self._pooling.pool(hidden, lengths)[self._vector]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.layer.weight.device

    @property
    def trained_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(weight.numel() for weight in self.parameters() if weight.requires_grad)

    def merge_adapter(self) -> None:
        """Add LoRA's matrices to the encoder's own, so that it is an encoder of its family again."""
        if self._adapter is not None:
            self._adapter.merge_and_unload()
            self._adapter = None

    def _select_trained(self, train: str) -> None:
        layers = parse_train(train)
        self.encoder.requires_grad_(train == "all")
        if train == "lora":
            self._adapter = add_lora(self.encoder)
        elif layers is not None:
            for module in _last_layers(self.encoder, layers):
                module.requires_grad_(True)


def _last_layers(encoder: nn.Module, count: int) -> Iterator[nn.Module]:
    """The last layers of an encoder, and the modules after them, such as a last norm."""
    config: Any = encoder.config
    depth = config.num_hidden_layers
    stacks = [module for module in encoder.modules() if isinstance(module, nn.ModuleList) and len(module) == depth]
    if not stacks:
        raise CallError(
            "This encoder's layers share their weights, so --train last:N is not possible. Use --train all."
        )
    if count > depth:
        raise CallError(f"--train last:{count}: the encoder has {depth} layers. Use at most last:{depth}, or all.")
    inner: nn.Module = stacks[0]
    parents = [module for module in encoder.modules() if inner in list(module.modules())[1:]]
    for stack in parents[-1].children():  # several, if each has a part of every layer (XLM)
        if stack in stacks:
            yield from stack[depth - count :]
    for outer in reversed(parents):
        following = list(outer.named_children())[list(outer.children()).index(inner) + 1 :]
        # embeddings there are of every layer (the positions of MPNet), and a pooler is never read
        yield from (each for name, each in following if name != "pooler" and not isinstance(each, _OF_ALL_LAYERS))
        inner = outer


def pool_logits(logits: torch.Tensor, windows: torch.Tensor, pooling: str) -> torch.Tensor:
    """The mean or the maximum over each document's windows: (all windows, classes) -> (documents, classes)."""
    batch = Batch(logits, windows)
    if pooling == "mean" or len(logits) == len(windows):
        return batch.mean(logits)
    return batch.pad(logits, -math.inf).amax(dim=1)
