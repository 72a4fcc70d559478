"""A small transformer over a document's vectors: a transformer over BERT."""

import math
from typing import Annotated, Literal

import torch
from torch import nn

from data.errors import CallError
from heads.core.class_weights import ClassWeight
from heads.core.hyperparameters import Range, Search
from heads.training.document_batches import Batch
from heads.training.dropout import Dropout
from heads.training.loop import Training
from heads.training.sequence_head import Over, SequenceHead

__all__ = ["TransformerHead"]


class TransformerHead(SequenceHead):
    """Scores from a small encoder over a document's segments, chunks or tokens; ToBERT of Pappagari et al. 2019.

    arXiv 1910.10781, section 3.3, with norms before each sublayer (Xiong et al. 2020), which needs no long warm-up.

    Parameters
    ----------
    over : the steps: segments, chunks (cls and mean side by side, those that are kept) or tokens
    pool : what is classified: the mean of all steps, or an extra step that reads them
    width : units of a step; a multiple of `attention_heads`
    attention_heads : a layer
    layers : of self-attention and a feed-forward network of twice the width
    positions : sines (Vaswani et al. 2017, section 3.5), or learned, as many as `max_steps`
    dropout : share of inputs, of units in each layer and of the readout that are dropped in training
    max_steps : steps of a document that are read, from its start
    training : how it learns; its parameters are `training__lr` and so on, as scikit-learn nests them
    class_weight, seed : as in every head
    """

    name = "transformer"

    def __init__(
        self,
        over: Over = "segments",
        pool: Annotated[Literal["mean", "cls"], Search()] = "mean",
        width: Annotated[int, Range(1), Search(choices=(64, 128, 256))] = 128,
        attention_heads: Annotated[int, Range(1), Search(choices=(2, 4, 8))] = 4,
        layers: Annotated[int, Range(1), Search(1, 3)] = 1,
        positions: Annotated[Literal["sines", "learned"], Search()] = "sines",
        dropout: Annotated[float, Range(0, below=1), Search(0, 0.6)] = 0.2,
        max_steps: Annotated[int, Range(1)] = 512,
        training: Training | None = None,
        class_weight: ClassWeight = "effective",
        seed: Annotated[int, Range(0)] = 0,
    ) -> None:
        self.over = over
        self.pool = pool
        self.width = width
        self.attention_heads = attention_heads
        self.layers = layers
        self.positions = positions
        self.dropout = dropout
        self.max_steps: int = max_steps
        self.training = training
        self.class_weight = class_weight
        self.seed = seed

    def build(self, dim: int, labels: int) -> nn.Module:
        """A Batch of (documents, steps, dim) -> (documents, labels) logits.

        Raises CallError for a width that attention_heads does not divide.
        """
        if self.width % self.attention_heads:
            raise CallError(f"width is {self.width}; it is a multiple of attention_heads, {self.attention_heads}.")
        layer = nn.TransformerEncoderLayer(
            self.width,
            self.attention_heads,
            2 * self.width,
            self.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        layer.dropout, layer.dropout1, layer.dropout2 = (Dropout(self.dropout) for _ in range(3))
        encoder = nn.TransformerEncoder(layer, self.layers, nn.LayerNorm(self.width), enable_nested_tensor=False)
        positions = (
            nn.Parameter(0.02 * torch.randn(self.max_steps, self.width)) if self.positions == "learned" else None
        )
        return Attention(dim, labels, self.width, encoder, positions, self.dropout, extra=self.pool == "cls")


class Attention(nn.Module):
    """Projection, positions, encoder, pooling, logits."""

    def __init__(
        self,
        dim: int,
        labels: int,
        width: int,
        encoder: nn.TransformerEncoder,
        positions: nn.Parameter | None,
        dropout: float,
        *,
        extra: bool,
    ) -> None:
        super().__init__()
        self.input = nn.Linear(dim, width)
        self.encoder = encoder
        self.positions = positions
        self.reader = nn.Parameter(0.02 * torch.randn(width)) if extra else None
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(width, labels)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        parts = batch._replace(steps=self.input(self.dropout(batch.steps))).alike()
        rows, read = zip(*((rows, self._read(part)) for rows, part in parts), strict=True)
        logits: torch.Tensor = self.output(self.dropout(torch.cat(read)[torch.cat(rows).argsort()]))
        return logits

    def _read(self, batch: Batch) -> torch.Tensor:
        """(documents, width)"""
        steps, own = batch.vectors, batch.mask()
        steps = steps + self._positions(steps)
        if self.reader is not None:
            steps = torch.cat([self.reader.expand(len(steps), 1, -1), steps], dim=1)
            own = nn.functional.pad(own, (1, 0), value=True)
        return self._pooled(self.encoder(steps, src_key_padding_mask=~own), own)

    def _positions(self, steps: torch.Tensor) -> torch.Tensor:
        """(longest, width)"""
        longest, width = steps.shape[1:]
        if self.positions is not None:
            return self.positions[:longest]
        return sines(longest, width).to(steps)

    def _pooled(self, states: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """(documents, width)"""
        if self.reader is not None:
            return states[:, 0]
        return (states * own[:, :, None]).sum(dim=1) / own.sum(dim=1, keepdim=True)


def sines(steps: int, width: int) -> torch.Tensor:
    """float32 (steps, width): sines and cosines of wavelengths from 2 pi to 10,000 times 2 pi."""
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angle = torch.arange(steps)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :width]
