"""A branch for each encoder, and gates that learn which of them to trust with which document."""

from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from featurestore import Bags, store_number
from heads.core.class_weights import ClassWeight
from heads.core.head import Examples
from heads.core.hyperparameters import Range, Search
from heads.training.document_batches import Batch, Sequences
from heads.training.dropout import Dropout
from heads.training.loop import Training
from heads.training.network_head import NetworkHead

__all__ = ["GatedHead"]


class GatedHead(NetworkHead):
    """Scores from a branch a store, mixed by gates that all of them open: for `--store A --store B`.

    The gated multimodal unit of Arevalo et al. 2017, arXiv 1702.01992, section 3.1: a branch is tanh of a linear layer
    on its own vectors, and of every hidden unit the gates say how much each branch gives, by all vectors. There the
    gates of two branches are a sigmoid and its rest; of any number they are a softmax, which of two is the same. Of one
    store each of cls, mean and max is a branch.

    Parameters
    ----------
    hidden : units of each branch
    dropout : share of inputs and hidden units that are dropped in training
    training : how it learns; its parameters are `training__lr` and so on, as scikit-learn nests them
    class_weight, seed : as in every head
    """

    name = "gated"

    def __init__(
        self,
        hidden: Annotated[int, Range(1), Search(64, 1024, log=True)] = 256,
        dropout: Annotated[float, Range(0, below=1), Search(0, 0.6)] = 0.2,
        training: Training | None = None,
        class_weight: ClassWeight = "effective",
        seed: Annotated[int, Range(0)] = 0,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.training = training
        self.class_weight = class_weight
        self.seed = seed

    def _views(self) -> tuple[str, ...]:
        return ("cls", "mean", "max")

    def _available(self, bags: Bags) -> tuple[str, ...]:
        own = sorted((view for view in bags.views if store_number(view)), key=store_number)
        return tuple(own) or super()._available(bags)

    def build(self, dim: int, labels: int) -> nn.Module:
        """A Batch of (documents, chunks, dim) -> (documents, labels) logits; dim counts all branches."""
        del dim
        return Gated(list(self._branches().values()), labels, self.hidden, self.dropout)

    def gate_shares(self, X: Any) -> NDArray[np.float32]:
        """How much each branch gives to a document, the mean over hidden units: float32 (documents, branches)."""
        check_is_fitted(self)
        network = self.network_.network.eval()
        assert isinstance(network, Gated)
        pooled = self._sequences(self._as_bags(X)).means()
        found = []
        with torch.inference_mode():
            for rows in torch.split(torch.arange(len(pooled)), 1024):
                read = self.network_.standard(pooled.batch(rows, torch.device("cpu")))
                found.append(network.gates(read).mean(dim=2))
        return np.asarray(torch.cat(found).numpy())

    def _learn(self, examples: Examples) -> None:
        super()._learn(examples)
        shares = self.gate_shares(examples.bags).mean(axis=0)
        said = ", ".join(f"{name} {share:.2f}" for name, share in zip(self._branches(), shares, strict=True))
        self._note(f"What the gates let through of each branch, on average: {said}.")

    def _branches(self) -> dict[str, int]:
        """How many numbers each branch reads, by what it is called, in the order in which they stand side by side."""
        branches: dict[str, int] = {}
        for view, dim in self.dims_.items():
            name = f"store {store_number(view)}" if store_number(view) else view
            branches[name] = branches.get(name, 0) + dim
        return branches

    def _before_weights(self, sequences: Sequences, mean: torch.Tensor) -> Sequences:
        """Pooled once, not at each step of the training."""
        del mean
        return sequences.means()


class Gated(nn.Module):
    """Branches side by side, gates over them, logits. dims: numbers of each branch."""

    def __init__(self, dims: list[int], labels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dims = dims
        self.input = Dropout(dropout)
        self.branches = nn.ModuleList(nn.Linear(dim, hidden) for dim in dims)
        self.gate = nn.Linear(sum(dims), len(dims) * hidden)
        self.output = nn.Sequential(Dropout(dropout), nn.Linear(hidden, labels))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        read = self.input(batch.mean(batch.steps))
        own = [branch(part) for branch, part in zip(self.branches, read.split(self.dims, dim=1), strict=True)]
        mixed = (self.gates(read) * torch.stack(own, dim=1).tanh()).sum(dim=1)
        logits: torch.Tensor = self.output(mixed)
        return logits

    def gates(self, read: torch.Tensor) -> torch.Tensor:
        """float32 (documents, branches, hidden) of (documents, dim): of each unit the branches' shares sum to 1."""
        shares: torch.Tensor = self.gate(read).unflatten(1, (len(self.dims), -1)).softmax(dim=1)
        return shares
