"""Mean or sum pooling followed by a small perceptron."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from heads.core.hyperparameters import Help, Range, Search
from heads.training.document_batches import Batch, Sequences
from heads.training.dropout import Dropout
from heads.training.network_head import NetworkHead

__all__ = ["MLPHead"]


@dataclass(eq=False, repr=False, kw_only=True)
class MLPHead(NetworkHead):
    """A multi-layer perceptron on the mean or sum of a document's chunk vectors: cls, mean and max concatenated.

    Sum pooling keeps the document's length as a signal; mean pooling does not (Pappagari et al. 2019, arXiv 1910.10781,
    section 3.2).
    """

    name: ClassVar[str] = "mlp"
    views: ClassVar[tuple[str, ...]] = ("cls", "mean", "max")
    uses_tabular: ClassVar[bool] = True

    pooling: Annotated[Literal["mean", "sum"], Help("pooling over a document's chunks"), Search()] = "mean"
    hidden: Annotated[int, Range(0), Help("units of the hidden layer; 0 for none"), Search(64, 1024, log=True)] = 256
    dropout: Annotated[float, Range(0, below=1), Help("dropout rate of inputs and hidden units"), Search(0, 0.6)] = 0.2

    def build(self, dim: int, labels: int) -> nn.Module:
        """A network that maps a Batch of chunks to logits, float32 (documents, labels)."""
        return PooledMLP(dim + self._tabular_width, labels, self.hidden, self.dropout, summed=self.pooling == "sum")

    def _prepare_sequences(self, sequences: Sequences, mean: torch.Tensor) -> Sequences:
        """Pool the chunks once instead of in every epoch."""
        if self.pooling == "mean" or sequences.have_one_position:
            return sequences.means()
        # the mean is subtracted from a document once, but its n chunks would each have had it subtracted
        summed = sequences.sums() - (sequences.length.clamp(min=1)[:, None] - 1) * mean
        return Sequences.of(summed.numpy(), np.arange(len(summed) + 1), sequences.tabular)


class PooledMLP(nn.Module):
    """Pooling, one hidden layer or none, logits. Tabular columns join the pooled vector."""

    def __init__(self, dim: int, labels: int, hidden: int, dropout: float, *, summed: bool) -> None:
        super().__init__()
        self.summed = summed
        inner = [nn.Linear(dim, hidden), nn.ReLU(), Dropout(dropout)] if hidden else []
        self.layers = nn.Sequential(Dropout(dropout), *inner, nn.Linear(hidden or dim, labels))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        pooled = batch.padded_vectors.sum(dim=1) if self.summed else batch.mean(batch.vectors)
        logits: torch.Tensor = self.layers(pooled if batch.tabular is None else torch.cat([pooled, batch.tabular], 1))
        return logits
