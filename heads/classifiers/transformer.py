"""A small transformer over a document's vectors: a transformer over BERT."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import nn

from data.errors import CallError
from heads.core.hyperparameters import Help, Range, Search
from heads.training.document_batches import Batch
from heads.training.dropout import Dropout
from heads.training.sequence_head import SequenceHead

__all__ = ["TransformerHead"]


@dataclass(eq=False, repr=False, kw_only=True)
class TransformerHead(SequenceHead):
    """A small transformer encoder over a document's segments, chunks or tokens; ToBERT of Pappagari et al. 2019.

    arXiv 1910.10781, section 3.3, with norms before each sublayer (Xiong et al. 2020), which needs no long warm-up.
    """

    name: ClassVar[str] = "transformer"

    pooling: Annotated[
        Literal["mean", "cls"],
        Help("what is classified: the mean of all positions, or an added cls position"),
        Search(),
    ] = "mean"
    width: Annotated[
        int, Range(1), Help("size of the model; a multiple of attention_heads"), Search(choices=(64, 128, 256))
    ] = 128
    attention_heads: Annotated[int, Range(1), Help("attention heads per layer"), Search(choices=(2, 4, 8))] = 4
    layers: Annotated[
        int, Range(1), Help("encoder layers, whose feed-forward networks have twice the width"), Search(1, 3)
    ] = 1
    position_embedding: Annotated[
        Literal["sinusoidal", "learned"],
        Help("sinusoidal (Vaswani et al. 2017, section 3.5), or learned for max_positions"),
        Search(),
    ] = "sinusoidal"
    dropout: Annotated[
        float, Range(0, below=1), Help("dropout rate of inputs, in each layer and of the output"), Search(0, 0.6)
    ] = 0.2

    def build(self, dim: int, labels: int) -> nn.Module:
        """A network that maps a Batch to logits, float32 (documents, labels).

        Raises CallError for a width that is not a multiple of attention_heads.
        """
        if self.width % self.attention_heads:
            raise CallError(f"width is {self.width}; it must be a multiple of attention_heads={self.attention_heads}.")
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
        learned = self.position_embedding == "learned"
        embedding = nn.Parameter(0.02 * torch.randn(self.max_positions, self.width)) if learned else None
        return Transformer(dim, labels, self.width, encoder, embedding, self.dropout, with_cls=self.pooling == "cls")


class Transformer(nn.Module):
    """Projection, position embedding, encoder, pooling, logits."""

    def __init__(
        self,
        dim: int,
        labels: int,
        width: int,
        encoder: nn.TransformerEncoder,
        position_embedding: nn.Parameter | None,
        dropout: float,
        *,
        with_cls: bool,
    ) -> None:
        super().__init__()
        self.input = nn.Linear(dim, width)
        self.encoder = encoder
        self.position_embedding = position_embedding
        self.cls = nn.Parameter(0.02 * torch.randn(width)) if with_cls else None
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(width, labels)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        batches = batch._replace(vectors=self.input(self.dropout(batch.vectors))).split_by_length()
        rows, pooled = zip(*((rows, self._encode(documents)) for rows, documents in batches), strict=True)
        logits: torch.Tensor = self.output(self.dropout(torch.cat(pooled)[torch.cat(rows).argsort()]))
        return logits

    def _encode(self, batch: Batch) -> torch.Tensor:
        """(documents, width)"""
        vectors, mask = batch.padded_vectors, batch.mask()
        vectors = vectors + self._position_embedding(vectors)
        if self.cls is not None:
            vectors = torch.cat([self.cls.expand(len(vectors), 1, -1), vectors], dim=1)
            mask = nn.functional.pad(mask, (1, 0), value=True)
        return self._pool(self.encoder(vectors, src_key_padding_mask=~mask), mask)

    def _position_embedding(self, vectors: torch.Tensor) -> torch.Tensor:
        """(longest, width)"""
        longest, width = vectors.shape[1:]
        if self.position_embedding is not None:
            return self.position_embedding[:longest]
        return sinusoidal_embedding(longest, width).to(vectors)

    def _pool(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(documents, width)"""
        if self.cls is not None:
            return states[:, 0]
        return (states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def sinusoidal_embedding(positions: int, width: int) -> torch.Tensor:
    """float32 (positions, width): sines and cosines of wavelengths from 2 pi to 10,000 times 2 pi."""
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angle = torch.arange(positions)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :width]
