"""The supervised contrastive loss, the similarity of labels, and the training of a projection.

Khosla et al. 2020 (arXiv 2004.11362), eq. 2: a softmax over the cosines of a document with the others of its batch
gives each a probability p, and the loss is the mean of -log p over the documents that shall be similar. Their weights:

    one label      all documents of the label, equally
    a tree         at each depth, all documents below the same node, equally; then the mean over depths, where a depth
                   weighs `parent_weight` times the one below it, so that a longer shared path weighs more: L^HMC of
                   Zhang et al. 2022 (arXiv 2204.13207), whose program has 2^(-1/2) between the last two depths
    multi-label    the overlap of their labels, intersection over union (Jaccard), as JSCL of Lin et al. 2022 (arXiv
                   2212.00552)
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.errors import CallError
from data.hierarchy import Hierarchy
from heads.training.dropout import Dropout
from heads.training.optimizers import Optimizer, learning_rate_factor
from heads.training.samplers import SamplerName, sample_documents

__all__ = ["Pretraining", "Projection", "contrastive_loss", "label_similarity", "tree_levels"]

WARMUP_RATIO = 0.1


class Projection(nn.Module):
    """A hidden layer, and a projection whose cosines the contrastive loss uses."""

    def __init__(self, dim: int, hidden: int, projection_dim: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(Dropout(dropout), nn.Linear(dim, hidden), nn.ReLU())
        self.last = nn.Linear(hidden, projection_dim)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """float32 (documents, dim) -> float32 (documents, projection_dim), each of length 1."""
        return nn.functional.normalize(self.last(self.body(vectors)))


def tree_levels(hierarchy: Hierarchy) -> NDArray[np.int64]:
    """The node above each label at each depth, int64 (labels, depths); the label itself is in the last column.

    A path that ends early continues as its label. Depths at which all labels share a node are left out.
    """
    nodes = np.repeat(np.arange(hierarchy.labels)[:, None], int(hierarchy.depths.max()), axis=1)
    for label in range(hierarchy.labels):
        path = hierarchy.closure[[label]].indices
        nodes[label, hierarchy.depths[path] - 1] = path
    return nodes[:, (nodes != nodes[0]).any(axis=0)]


def label_similarity(nodes: torch.Tensor, parent_weight: float) -> torch.Tensor:
    """The target similarity of each document (row) to each other: float32 (documents, documents).

    Rows sum to 1, or to 0 if no document of the batch is similar.

    Args:
        nodes: int64 (documents, depths), the nodes of a document's path; or bool (documents, labels).
        parent_weight: weight of a depth, relative to the one below it.
    """
    if nodes.dtype == torch.bool:
        indicator = nodes.float()
        shared, count = indicator @ indicator.T, indicator.sum(dim=1)
        return _normalize_rows(shared / (count[:, None] + count - shared).clamp(min=1))
    heights = reversed(range(nodes.shape[1]))
    total = torch.zeros(len(nodes), len(nodes), device=nodes.device)
    for height, node in zip(heights, nodes.T, strict=True):
        total += parent_weight**height * _normalize_rows((node[:, None] == node).float())
    return _normalize_rows(total)


def _normalize_rows(weight: torch.Tensor) -> torch.Tensor:
    """Rows with sum 1, or 0, without the diagonal; changes `weight`."""
    weight.fill_diagonal_(0)
    return weight / weight.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)


def contrastive_loss(
    projected: torch.Tensor, similarity: torch.Tensor, weight: torch.Tensor, temperature: float
) -> torch.Tensor:
    """The weighted mean loss of the documents that are similar to some other; 0 if there are none.

    Args:
        projected: float32 (documents, dim), each of length 1.
        similarity: float32 (documents, documents), from `label_similarity`.
        weight: float32 (documents,).
        temperature: cosines are divided by it.
    """
    cosines = projected @ projected.T / temperature
    # not -inf, which would give nan for a batch of one document
    diagonal = torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
    others = cosines.masked_fill(diagonal, torch.finfo(torch.float32).min)
    losses = (similarity * (others.logsumexp(dim=1, keepdim=True) - cosines)).sum(dim=1)
    counted = weight * (similarity.sum(dim=1) > 0)
    return (counted @ losses) / counted.sum().clamp(min=torch.finfo(torch.float32).tiny)


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Contrastive training with AdamW, linear warm-up and cosine decay."""

    steps: int
    batch_size: int
    lr: float
    weight_decay: float
    temperature: float
    parent_weight: float
    sampler: SamplerName

    def run(
        self,
        network: Projection,
        vectors_of: Callable[[NDArray[np.int64]], torch.Tensor],
        nodes: NDArray[Any],
        weight: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> float:
        """Train `network` in place, on its device.

        Args:
            network: the projection.
            vectors_of: rows -> float32 (rows, dim).
            nodes: of all documents, as `label_similarity` takes them.
            weight: float64 (documents,).
            rng: draws batches; dropout draws from torch's global generator.

        Returns:
            The mean loss of the last tenth of the steps.

        Raises:
            CallError: if the loss is not finite.
        """
        device = network.last.weight.device
        optimizer = Optimizer(
            network,
            "adamw",
            self.lr,
            self.weight_decay,
            lambda step: learning_rate_factor(step, self.steps, WARMUP_RATIO),
        )
        losses = []
        network.train()
        for rows in islice(self._batches(nodes, rng), self.steps):
            similarity = label_similarity(torch.from_numpy(nodes[rows]).to(device), self.parent_weight)
            batch_weight = torch.from_numpy(weight[rows].astype(np.float32)).to(device)
            projected = network(vectors_of(rows).to(device))
            loss = contrastive_loss(projected, similarity, batch_weight, self.temperature)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own gap
            optimizer.step()
            losses.append(loss.detach())
        network.eval()
        mean_loss = float(torch.stack(losses[-math.ceil(self.steps / 10) :]).mean())
        if not math.isfinite(mean_loss):
            raise CallError(f"The contrastive loss is not finite with lr={self.lr}. Choose a lower lr.")
        return mean_loss

    def _batches(self, nodes: NDArray[Any], rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Endless batches of rows, int64; a sampler may draw a document with a rare label twice into one batch."""
        labels = nodes if nodes.dtype == bool else nodes[:, -1]
        while True:
            rows = rng.permutation(sample_documents(labels, self.sampler, 0.0, rng))
            yield from np.array_split(rows, math.ceil(len(rows) / self.batch_size))
