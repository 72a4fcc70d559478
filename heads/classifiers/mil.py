"""Multiple-instance learning: a small perceptron scores each position, and the logits are pooled."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import nn

from heads.core.hyperparameters import Help, Range, Search
from heads.training.document_batches import Batch
from heads.training.dropout import Dropout
from heads.training.sequence_head import Positions, SequenceHead

__all__ = ["MILHead"]


@dataclass(eq=False, repr=False, kw_only=True)
class MILHead(SequenceHead):
    """Multiple-instance learning: scores of each chunk, segment or token, pooled over the document.

    A label can be found in a single position (Wang et al. 2018, arXiv 1610.02501, "mi-Net"). The maximum uses one
    position only, the mean all equally; log-sum-exp lies between (Pinheiro & Collobert 2015, arXiv 1411.6228, r = 1).
    """

    name: ClassVar[str] = "mil"

    over: Positions = "chunks"
    pooling: Annotated[
        Literal["mean", "max", "logsumexp"],
        Help("pooling of the logits of positions; logsumexp is the logarithm of the mean exponential"),
        Search(),
    ] = "mean"
    hidden: Annotated[int, Range(0), Help("units of the hidden layer; 0 for none"), Search(64, 1024, log=True)] = 256
    dropout: Annotated[float, Range(0, below=1), Help("dropout rate of inputs and hidden units"), Search(0, 0.6)] = 0.2

    def build(self, dim: int, labels: int) -> nn.Module:
        """A network that maps a Batch to logits, float32 (documents, labels)."""
        return InstanceMLP(dim, labels, self.pooling, self.hidden, self.dropout)


class InstanceMLP(nn.Module):
    """One hidden layer or none on each position, then pooling of the logits."""

    def __init__(self, dim: int, labels: int, pooling: str, hidden: int, dropout: float) -> None:
        super().__init__()
        self.pooling = pooling
        inner = [nn.Linear(dim, hidden), nn.ReLU(), Dropout(dropout)] if hidden else []
        self.layers = nn.Sequential(Dropout(dropout), *inner, nn.Linear(hidden or dim, labels))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        logits: torch.Tensor = self.layers(batch.vectors)
        if self.pooling == "mean":
            return batch.mean(logits)
        padded = batch.pad(logits, -math.inf)
        if self.pooling == "max":
            return padded.amax(dim=1)
        return padded.logsumexp(dim=1) - batch.lengths[:, None].log()
