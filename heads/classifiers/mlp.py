"""Mean pooling and a small perceptron: the head to beat before reading order matters."""

from typing import Annotated, Literal

import numpy as np
import torch
from torch import nn

from heads.core.class_weights import ClassWeight
from heads.core.hyperparameters import Range, Search
from heads.training.document_batches import Batch, Sequences
from heads.training.dropout import Dropout
from heads.training.loop import Training
from heads.training.network_head import NetworkHead

__all__ = ["MLPHead"]


class MLPHead(NetworkHead):
    """Scores from the mean or sum of a document's chunk vectors: cls, mean and max side by side, those that are kept.

    Sum keeps length as a signal, mean does not (Pappagari et al. 2019, arXiv 1910.10781, section 3.2).

    Parameters
    ----------
    pool : over a document's chunks
    hidden : units of the one hidden layer, 0 for none
    dropout : share of inputs and hidden units that are dropped in training
    training : how it learns; its parameters are `training__lr` and so on, as scikit-learn nests them
    class_weight, seed : as in every head
    """

    name = "mlp"

    def __init__(
        self,
        pool: Annotated[Literal["mean", "sum"], Search()] = "mean",
        hidden: Annotated[int, Range(0), Search(64, 1024, log=True)] = 256,
        dropout: Annotated[float, Range(0, below=1), Search(0, 0.6)] = 0.2,
        training: Training | None = None,
        class_weight: ClassWeight = "effective",
        seed: Annotated[int, Range(0)] = 0,
    ) -> None:
        self.pool = pool
        self.hidden = hidden
        self.dropout = dropout
        self.training = training
        self.class_weight = class_weight
        self.seed = seed

    def _views(self) -> tuple[str, ...]:
        return ("cls", "mean", "max")

    def build(self, dim: int, labels: int) -> nn.Module:
        """A Batch of (documents, chunks, dim) -> (documents, labels) logits."""
        return Perceptron(dim, labels, self.hidden, self.dropout, summed=self.pool == "sum")

    def _before_weights(self, sequences: Sequences, mean: torch.Tensor) -> Sequences:
        """Pooled once, not at each step of the training."""
        if self.pool == "mean":
            return sequences.means()
        # what is read is taken relative to the mean of steps: of a sum once, where its steps would have been each
        summed = sequences.sums() - (sequences.length.clamp(min=1)[:, None] - 1) * mean
        return Sequences.of(summed.numpy(), np.arange(len(summed) + 1))


class Perceptron(nn.Module):
    """Pool, then one hidden layer or none."""

    def __init__(self, dim: int, labels: int, hidden: int, dropout: float, *, summed: bool) -> None:
        super().__init__()
        self.summed = summed
        inner = [nn.Linear(dim, hidden), nn.ReLU(), Dropout(dropout)] if hidden else []
        self.layers = nn.Sequential(Dropout(dropout), *inner, nn.Linear(hidden or dim, labels))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        logits: torch.Tensor = self.layers(batch.vectors.sum(dim=1) if self.summed else batch.mean(batch.steps))
        return logits
