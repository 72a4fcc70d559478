"""The supervised contrastive loss, whom it draws together, and how a projection learns from it.

Khosla et al. 2020 (arXiv 2004.11362), eq. 2: each document of a batch is told from the others by a softmax over their
cosines, and its loss is the mean of -log p over those that it shall be close to. Whom, and how much each counts:

    one label      all of its label, alike
    a path         at each depth of the tree those below the same node, alike; then the mean over depths, each weighing
                   `above` times what the one below it does, so that who shares more of the path counts more: L^HMC of
                   Zhang et al. 2022 (arXiv 2204.13207), whose program has above = 2^(-1/2) between the last two
    several        by the overlap of their labels, those shared over those of either (Jaccard), as JSCL of Lin et al.
                   2022 (arXiv 2212.00552) does
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.errors import CallError
from heads.training.dropout import Dropout
from heads.training.optimizers import optimiser_of, rate
from heads.training.samplers import SamplerName, drawn

__all__ = ["Pretraining", "Projection", "closeness", "contrastive_loss", "levels"]

WARMUP = 0.1


class Projection(nn.Module):
    """One hidden layer, what is learned for, and a projection behind it, by whose cosines it learns."""

    def __init__(self, dim: int, hidden: int, width: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(Dropout(dropout), nn.Linear(dim, hidden), nn.ReLU())
        self.last = nn.Linear(hidden, width)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """float32 (documents, dim) -> float32 (documents, width), each of length 1."""
        return nn.functional.normalize(self.last(self.body(vectors)))


def levels(paths: Sequence[tuple[str, ...]]) -> NDArray[np.int64]:
    """For each label, the node that it lies below at each depth, int64 (labels, depths): the label itself comes last.

    A path that ends early goes on as its label. Depths at which all labels share a node say nothing and are left out.
    """
    depths = range(1, max(map(len, paths)))
    nodes = [[path[:depth] for path in paths] for depth in depths]
    told = [column for column in nodes if len(set(column)) > 1]
    numbers = [{node: number for number, node in enumerate(dict.fromkeys(column))} for column in told]
    codes = [[known[node] for node in column] for known, column in zip(numbers, told, strict=True)]
    return np.array([*codes, range(len(paths))], dtype=np.int64).T


def closeness(truth: torch.Tensor, above: float) -> torch.Tensor:
    """How much each document (row) is drawn to each other: float32 (documents, documents).

    Rows sum to 1, or to 0 where nobody in the batch is like the document. truth: int64 (documents, depths), the nodes
    of its path; or bool (documents, labels). above: what a depth weighs beside the one below it.
    """
    if truth.dtype == torch.bool:
        has = truth.float()
        shared, count = has @ has.T, has.sum(dim=1)
        return _shares(shared / (count[:, None] + count - shared).clamp(min=1))
    steps = reversed(range(truth.shape[1]))
    total = torch.zeros(len(truth), len(truth), device=truth.device)
    for step, node in zip(steps, truth.T, strict=True):
        total += above**step * _shares((node[:, None] == node).float())
    return _shares(total)


def _shares(weight: torch.Tensor) -> torch.Tensor:
    """Rows that sum to 1, or to 0, without the diagonal; changes `weight`."""
    weight.fill_diagonal_(0)
    return weight / weight.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)


def contrastive_loss(
    projected: torch.Tensor, close: torch.Tensor, weight: torch.Tensor, temperature: float
) -> torch.Tensor:
    """The weighted mean over documents that have somebody to be close to; 0 where none has.

    projected: (documents, width), each of length 1. close: as `closeness` gives. weight: float32 (documents,).
    """
    cosines = projected @ projected.T / temperature
    # not -inf: of a batch of one document it would leave no number
    itself = torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
    others = cosines.masked_fill(itself, torch.finfo(torch.float32).min)
    losses = (close * (others.logsumexp(dim=1, keepdim=True) - cosines)).sum(dim=1)
    counted = weight * (close.sum(dim=1) > 0)
    return (counted @ losses) / counted.sum().clamp(min=torch.finfo(torch.float32).tiny)


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """So many steps of AdamW with a warm-up and half a cosine, each over a batch of documents."""

    steps: int
    batch: int
    lr: float
    weight_decay: float
    temperature: float
    above: float
    sampler: SamplerName

    def run(
        self,
        network: Projection,
        vectors_of: Callable[[NDArray[np.int64]], torch.Tensor],
        truth: NDArray[Any],
        weight: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> float:
        """Train `network` in place, on the device where it is; returns the mean loss of the last tenth of the steps.

        vectors_of: rows -> float32 (rows, dim). truth: what `closeness` takes, of all documents. weight: (documents,).
        Batches are drawn from `rng`, dropout from torch's global numbers. Raises CallError for a loss beyond numbers.
        """
        device = network.last.weight.device
        optimiser = optimiser_of(network, "adamw", self.lr, self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, self.steps, WARMUP))
        losses = []
        network.train()
        for rows in islice(self._batches(truth, rng), self.steps):
            close = closeness(torch.from_numpy(truth[rows]).to(device), self.above)
            counts = torch.from_numpy(weight[rows].astype(np.float32)).to(device)
            loss = contrastive_loss(network(vectors_of(rows).to(device)), close, counts, self.temperature)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own gap
            optimiser.step()
            schedule.step()
            losses.append(loss.detach())
        network.eval()
        last = float(torch.stack(losses[-math.ceil(self.steps / 10) :]).mean())
        if not math.isfinite(last):
            raise CallError(f"The contrastive loss is not finite: lr is {self.lr}, take a lower one.")
        return last

    def _batches(self, truth: NDArray[Any], rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Rows, int64, at most `batch` at a time, without end; a rare label's document may be drawn twice into one."""
        label = truth if truth.dtype == bool else truth[:, -1]
        while True:
            rows = rng.permutation(drawn(label, self.sampler, 0.0, rng))
            yield from np.array_split(rows, math.ceil(len(rows) / self.batch))
