"""Gated attention pooling: the weight of each position is learned, the order of positions is not used."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from heads.core.hyperparameters import Help, Range, Search
from heads.training.document_batches import Batch
from heads.training.dropout import Dropout
from heads.training.network_head import pad_to_length
from heads.training.sequence_head import SequenceHead

__all__ = ["AttentionHead"]


@dataclass(eq=False, repr=False, kw_only=True)
class AttentionHead(SequenceHead):
    """Gated attention pooling over a document's segments, chunks or tokens, by Ilse et al. 2018.

    arXiv 1802.04712, section 2.4, eq. 9: the weight of a position h is a softmax of w . (tanh(V h) * sigmoid(U h)).
    There w is one query vector; several, with a weighted mean for each, are an attentive probe with several query
    tokens (CAE, Chen et al. 2022, arXiv 2202.03026; V-JEPA, Bardes et al. 2024, arXiv 2404.08471).
    """

    name: ClassVar[str] = "attention"

    queries: Annotated[int, Range(1), Help("number of query vectors"), Search(1, 8, log=True)] = 1
    hidden: Annotated[
        int, Range(0), Help("units of a projection before attention; 0 for none"), Search(64, 512, log=True)
    ] = 256
    gate: Annotated[int, Range(1), Help("units of V and U"), Search(32, 256, log=True)] = 128
    dropout: Annotated[float, Range(0, below=1), Help("dropout rate of inputs and weighted means"), Search(0, 0.6)] = (
        0.2
    )

    def build(self, dim: int, labels: int) -> nn.Module:
        """A network that maps a Batch to logits, float32 (documents, labels)."""
        return GatedAttention(dim, labels, self.queries, self.hidden, self.gate, self.dropout)

    @torch.no_grad()
    def attention_weights(self, X: Any) -> list[NDArray[np.float32]]:
        """The attention weights of each document's positions, averaged over queries.

        Returns float32 (positions,) with sum 1 for each document. Positions beyond `max_positions` have weight 0.
        """
        check_is_fitted(self)
        weights = []
        for batch, positions in self._single_documents(X):
            network = self.network_.network
            assert isinstance(network, GatedAttention)
            projected = batch._replace(vectors=network.input(self.network_.standardize(batch)))
            weights.append(pad_to_length(network.weights(projected)[0].mean(dim=1), positions))
        return weights


class GatedAttention(nn.Module):
    """Projection, one weight per position and query, weighted means, logits."""

    def __init__(self, dim: int, labels: int, queries: int, hidden: int, gate: int, dropout: float) -> None:
        super().__init__()
        inner = [nn.Linear(dim, hidden), nn.ReLU()] if hidden else []
        width = hidden or dim
        self.input = nn.Sequential(Dropout(dropout), *inner)
        self.content, self.gate = nn.Linear(width, gate), nn.Linear(width, gate)
        self.query = nn.Linear(gate, queries, bias=False)  # softmax would cancel a bias, which all positions share
        self.output = nn.Sequential(Dropout(dropout), nn.Linear(queries * width, labels))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        projected = batch._replace(vectors=self.input(batch.vectors))
        means = torch.einsum("dsq,dsw->dqw", self.weights(projected), projected.padded_vectors)
        logits: torch.Tensor = self.output(means.flatten(1))
        return logits

    def weights(self, projected: Batch) -> torch.Tensor:
        """float32 (documents, longest, queries); those of a query sum to 1 over each document's positions."""
        vectors = projected.vectors
        scores = self.query(torch.tanh(self.content(vectors)) * torch.sigmoid(self.gate(vectors)))
        return projected.pad(scores, -torch.inf).softmax(dim=1)
