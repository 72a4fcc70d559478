"""A small perceptron over each chunk by itself; the chunks' logits are pooled."""

import math
from typing import Annotated, Literal

import torch
from torch import nn

from heads.core.class_weights import ClassWeight
from heads.core.hyperparameters import Range, Search
from heads.training.document_batches import Batch
from heads.training.dropout import Dropout
from heads.training.loop import Training
from heads.training.sequence_head import Over, SequenceHead

__all__ = ["MILHead"]


class MILHead(SequenceHead):
    """Scores of each chunk, segment or token, pooled over the document: what a label needs is one place that says it.

    Multiple-instance learning by instances (Wang et al. 2018, arXiv 1610.02501, "mi-Net"). The maximum heeds one step
    only, the mean all alike; log-sum-exp lies between (Pinheiro & Collobert 2015, arXiv 1411.6228, with r = 1).

    Parameters
    ----------
    over : the steps: segments, chunks (cls and mean side by side, those that are kept) or tokens
    pool : of the steps' logits: their mean, their maximum, or the logarithm of their mean exponential
    hidden : units of the one hidden layer, 0 for none
    dropout : share of inputs and hidden units that are dropped in training
    max_steps : steps of a document that are read, from its start
    training : how it learns; its parameters are `training__lr` and so on, as scikit-learn nests them
    class_weight, seed : as in every head
    """

    name = "mil"

    def __init__(
        self,
        over: Over = "chunks",
        pool: Annotated[Literal["mean", "max", "logsumexp"], Search()] = "mean",
        hidden: Annotated[int, Range(0), Search(64, 1024, log=True)] = 256,
        dropout: Annotated[float, Range(0, below=1), Search(0, 0.6)] = 0.2,
        max_steps: Annotated[int, Range(1)] = 512,
        training: Training | None = None,
        class_weight: ClassWeight = "effective",
        seed: Annotated[int, Range(0)] = 0,
    ) -> None:
        self.over = over
        self.pool = pool
        self.hidden = hidden
        self.dropout = dropout
        self.max_steps: int = max_steps
        self.training = training
        self.class_weight = class_weight
        self.seed = seed

    def build(self, dim: int, labels: int) -> nn.Module:
        """A Batch of (documents, steps, dim) -> (documents, labels) logits."""
        return StepwisePerceptron(dim, labels, self.pool, self.hidden, self.dropout)


class StepwisePerceptron(nn.Module):
    """One hidden layer or none on each step, then pooled logits."""

    def __init__(self, dim: int, labels: int, pool: str, hidden: int, dropout: float) -> None:
        super().__init__()
        self.pool = pool
        inner = [nn.Linear(dim, hidden), nn.ReLU(), Dropout(dropout)] if hidden else []
        self.layers = nn.Sequential(Dropout(dropout), *inner, nn.Linear(hidden or dim, labels))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        logits: torch.Tensor = self.layers(batch.steps)
        if self.pool == "mean":
            return batch.mean(logits)
        steps = batch.padded(logits, -math.inf)
        return steps.amax(dim=1) if self.pool == "max" else steps.logsumexp(dim=1) - batch.lengths[:, None].log()
