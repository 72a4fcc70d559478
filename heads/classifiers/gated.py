"""One branch per encoder, and gates that learn how much each contributes to which document."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from featurestore import Bags, store_number
from heads.core.head import Examples
from heads.core.hyperparameters import Help, Range, Search
from heads.training.document_batches import Batch, Sequences
from heads.training.dropout import Dropout
from heads.training.network_head import NetworkHead

__all__ = ["GatedHead"]


@dataclass(eq=False, repr=False, kw_only=True)
class GatedHead(NetworkHead):
    """A gated multimodal unit with one branch per store, for `--store A --store B`.

    Arevalo et al. 2017, arXiv 1702.01992, section 3.1: a branch is tanh of a linear layer on its own vectors, and for
    each hidden unit gates that read all vectors weight the branches. In the paper the gates of two branches are a
    sigmoid and its complement; here they are a softmax over any number, which is equal for two. With one store, cls,
    mean and max are the branches.
    """

    name: ClassVar[str] = "gated"
    views: ClassVar[tuple[str, ...]] = ("cls", "mean", "max")

    hidden: Annotated[int, Range(1), Help("units per branch"), Search(64, 1024, log=True)] = 256
    dropout: Annotated[float, Range(0, below=1), Help("dropout rate of inputs and hidden units"), Search(0, 0.6)] = 0.2

    def _available_views(self, bags: Bags) -> tuple[str, ...]:
        of_stores = sorted((view for view in bags.views if store_number(view)), key=store_number)
        return tuple(of_stores) or super()._available_views(bags)

    def build(self, dim: int, labels: int) -> nn.Module:
        """A network that maps a Batch to logits, float32 (documents, labels); `dim` is the sum of all branches."""
        del dim
        return GatedUnit(list(self._branches().values()), labels, self.hidden, self.dropout)

    def gate_shares(self, X: Any) -> NDArray[np.float32]:
        """The weight of each branch for each document, averaged over hidden units: float32 (documents, branches)."""
        check_is_fitted(self)
        network = self.network_.network.eval()
        assert isinstance(network, GatedUnit)
        pooled = self._sequences(self._as_bags(X)).means()
        shares = []
        with torch.inference_mode():
            for rows in torch.split(torch.arange(len(pooled)), 1024):
                vectors = self.network_.standardize(pooled.batch(rows, torch.device("cpu")))
                shares.append(network.gates(vectors).mean(dim=2))
        return np.asarray(torch.cat(shares).numpy())

    def _fit(self, examples: Examples) -> None:
        super()._fit(examples)
        shares = self.gate_shares(examples.bags).mean(axis=0)
        branches = ", ".join(f"{name} {share:.2f}" for name, share in zip(self._branches(), shares, strict=True))
        self._add_note(f"Mean gate weights of the branches: {branches}.")

    def _branches(self) -> dict[str, int]:
        """Branch name -> dimensions of its input, in the order in which the inputs are concatenated."""
        branches: dict[str, int] = {}
        for view, dim in self.dims_.items():
            name = f"store {store_number(view)}" if store_number(view) else view
            branches[name] = branches.get(name, 0) + dim
        return branches

    def _prepare_sequences(self, sequences: Sequences, mean: torch.Tensor) -> Sequences:
        """Pool the chunks once instead of in every epoch."""
        del mean
        return sequences.means()


class GatedUnit(nn.Module):
    """Branches, gates over them, logits. dims: input dimensions of each branch."""

    def __init__(self, dims: list[int], labels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dims = dims
        self.input = Dropout(dropout)
        self.branches = nn.ModuleList(nn.Linear(dim, hidden) for dim in dims)
        self.gate = nn.Linear(sum(dims), len(dims) * hidden)
        self.output = nn.Sequential(Dropout(dropout), nn.Linear(hidden, labels))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        vectors = self.input(batch.mean(batch.vectors))
        inputs = zip(self.branches, vectors.split(self.dims, dim=1), strict=True)
        hidden = torch.stack([branch(own_vectors) for branch, own_vectors in inputs], dim=1).tanh()
        logits: torch.Tensor = self.output((self.gates(vectors) * hidden).sum(dim=1))
        return logits

    def gates(self, vectors: torch.Tensor) -> torch.Tensor:
        """(documents, dim) -> float32 (documents, branches, hidden), with sum 1 over branches."""
        shares: torch.Tensor = self.gate(vectors).unflatten(1, (len(self.dims), -1)).softmax(dim=1)
        return shares
