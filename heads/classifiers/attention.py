"""Gated attention over a document's vectors: which of them to read is learned, their order is not."""

from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from heads.core.class_weights import ClassWeight
from heads.core.hyperparameters import Range, Search
from heads.training.document_batches import Batch
from heads.training.dropout import Dropout
from heads.training.loop import Training
from heads.training.network_head import to_length
from heads.training.sequence_head import Over, SequenceHead

__all__ = ["AttentionHead"]


class AttentionHead(SequenceHead):
    """Scores from a weighted mean of a document's segments, chunks or tokens; gated attention of Ilse et al. 2018.

    arXiv 1802.04712, section 2.4, eq. 9: a step weighs softmax of w . (tanh(V h) * sigmoid(U h)). There one vector w
    asks; several, each with a mean of its own, are what an attentive probe does with several query tokens (CAE, Chen
    et al. 2022, arXiv 2202.03026; V-JEPA, Bardes et al. 2024, arXiv 2404.08471).

    Parameters
    ----------
    over : the steps: segments, chunks (cls and mean side by side, those that are kept) or tokens
    queries : weighted means that are classified side by side
    hidden : units that a step is projected to before it is weighed and averaged, 0 for the vectors themselves
    gate : units of V and U
    dropout : share of inputs and of the means that are dropped in training
    max_steps : steps of a document that are read, from its start
    training : how it learns; its parameters are `training__lr` and so on, as scikit-learn nests them
    class_weight, seed : as in every head
    """

    name = "attention"

    def __init__(
        self,
        over: Over = "segments",
        queries: Annotated[int, Range(1), Search(1, 8, log=True)] = 1,
        hidden: Annotated[int, Range(0), Search(64, 512, log=True)] = 256,
        gate: Annotated[int, Range(1), Search(32, 256, log=True)] = 128,
        dropout: Annotated[float, Range(0, below=1), Search(0, 0.6)] = 0.2,
        max_steps: Annotated[int, Range(1)] = 512,
        training: Training | None = None,
        class_weight: ClassWeight = "effective",
        seed: Annotated[int, Range(0)] = 0,
    ) -> None:
        self.over = over
        self.queries = queries
        self.hidden = hidden
        self.gate = gate
        self.dropout = dropout
        self.max_steps: int = max_steps
        self.training = training
        self.class_weight = class_weight
        self.seed = seed

    def build(self, dim: int, labels: int) -> nn.Module:
        """A Batch of (documents, steps, dim) -> (documents, labels) logits."""
        return GatedAttention(dim, labels, self.queries, self.hidden, self.gate, self.dropout)

    @torch.no_grad()
    def attention_weights(self, X: Any) -> list[NDArray[np.float32]]:
        """How each document's steps are weighed: float32 (steps,) of sum 1 a document, the mean over queries.

        Steps beyond `max_steps` weigh 0.
        """
        check_is_fitted(self)
        found = []
        for batch, steps in self._single(X):
            network = self.network_.network
            assert isinstance(network, GatedAttention)
            weights = network.weights(batch._replace(steps=network.input(self.network_.standard(batch))))
            found.append(to_length(weights[0].mean(dim=1), steps))
        return found


class GatedAttention(nn.Module):
    """Projection, a weight a step and query, weighted means, logits."""

    def __init__(self, dim: int, labels: int, queries: int, hidden: int, gate: int, dropout: float) -> None:
        super().__init__()
        inner = [nn.Linear(dim, hidden), nn.ReLU()] if hidden else []
        width = hidden or dim
        self.input = nn.Sequential(Dropout(dropout), *inner)
        self.content, self.gate = nn.Linear(width, gate), nn.Linear(width, gate)
        self.ask = nn.Linear(gate, queries, bias=False)  # a bias would be the same for all steps, and softmax drops it
        self.output = nn.Sequential(Dropout(dropout), nn.Linear(queries * width, labels))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        read = batch._replace(steps=self.input(batch.steps))
        means = torch.einsum("dsq,dsw->dqw", self.weights(read), read.vectors)
        logits: torch.Tensor = self.output(means.flatten(1))
        return logits

    def weights(self, read: Batch) -> torch.Tensor:
        """float32 (documents, longest, queries) of projected steps: a query's over a document's own sum to 1."""
        asked = self.ask(torch.tanh(self.content(read.steps)) * torch.sigmoid(self.gate(read.steps)))
        return read.padded(asked, -torch.inf).softmax(dim=1)
