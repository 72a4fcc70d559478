"""One softmax per node over its children, on the logits of one network: log-probabilities of the labels of a hierarchy.

The probability of a label is the product of the conditional probabilities along its path: "hierarchical classification"
of Redmon & Farhadi 2017 (YOLO9000, arXiv 1612.08242, section 4), "conditional softmax" of Valmadre 2022 (arXiv
2210.10929, section 3). So the log loss of a label is the sum of the log losses of all decisions on its path. A label
above others has one more child, "end here". A node with several parents may be reached through each of them, and its
probability is the sum over all paths; so the probabilities of all labels sum to 1 in a graph, too.

In training, tau * log(the share of a branch among the documents at its node) is added to each logit: Menon et al. 2021
(arXiv 2007.07314, eq. 10), per softmax. With tau = 1 the network learns balanced decisions at each node.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.hierarchy import Hierarchy
from heads.training.document_batches import Batch

__all__ = ["Branches", "ConditionalSoftmax"]


@dataclass(frozen=True, eq=False)
class Branches:
    """The branches of a hierarchy, each from a node to a child, sorted by the depth of the child.

    Positions are the root, then the nodes by their depth; a label above others has a second position, its end.

    origin: int64 (branches,), the position at which each branch starts.
    target: int64 (branches,), the position at which it ends; those of one depth follow one another.
    levels: slices of the branches, one per depth.
    label_position: int64 (labels,).
    weight: float64 (branches,), of the documents below each branch; those of a node are compared with each other.
    """

    origin: NDArray[np.int64]
    target: NDArray[np.int64]
    levels: tuple[slice, ...]
    label_position: NDArray[np.int64]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, hierarchy: Hierarchy, counts: NDArray[np.float64]) -> Self:
        """The branches of a hierarchy whose labels have `counts` documents, float64 (labels,)."""
        below = hierarchy.closure[: hierarchy.labels].T @ counts
        # depth of the end, node, parent; the end of a label is len + label
        pairs: list[tuple[int, int, int | None]] = []
        for node in hierarchy.order.tolist():
            depth = int(hierarchy.depths[node])
            pairs += [(depth, node, parent) for parent in hierarchy.parents[node] or (None,)]
            if node < hierarchy.labels and hierarchy.children[node]:
                pairs.append((depth + 1, len(hierarchy) + node, node))
        pairs.sort(key=lambda pair: pair[:2])
        position: dict[int | None, int] = {None: 0}
        for _, node, _ in pairs:
            position.setdefault(node, len(position))
        depths = np.array([depth for depth, _, _ in pairs])
        starts = np.searchsorted(depths, np.arange(1, depths[-1] + 2))
        ends = [len(hierarchy) + label if hierarchy.children[label] else label for label in range(hierarchy.labels)]
        return cls(
            origin=np.array([position[parent] for _, _, parent in pairs]),
            target=np.array([position[node] for _, node, _ in pairs]),
            levels=tuple(slice(start, stop) for start, stop in pairwise(starts.tolist())),
            label_position=np.array([position[node] for node in ends]),
            weight=np.array(
                [below[node] if node < len(hierarchy) else counts[node - len(hierarchy)] for _, node, _ in pairs]
            ),
        )

    def __len__(self) -> int:
        return len(self.origin)


class ConditionalSoftmax(nn.Module):
    """Log-probabilities of labels from the logits of branches.

    trunk: maps a Batch to logits, float32 (documents, branches).
    tau: strength of the logit adjustment in training; 0 for none.
    class_of: int64 (labels,), the scored label that each label belongs to; None if they are scored themselves.
    """

    def __init__(
        self, trunk: nn.Module, branches: Branches, tau: float, class_of: NDArray[np.int64] | None = None
    ) -> None:
        super().__init__()
        self.trunk, self.levels = trunk, branches.levels
        self.origin: torch.Tensor
        self.target: torch.Tensor
        self.label_position: torch.Tensor
        self.adjustment: torch.Tensor
        for name in ("origin", "target", "label_position"):
            self.register_buffer(name, torch.from_numpy(getattr(branches, name)), persistent=False)
        adjustment = tau * np.log(np.maximum(branches.weight, np.finfo(np.float32).tiny))
        self.register_buffer("adjustment", torch.from_numpy(adjustment).float(), persistent=False)

        self.class_of: torch.Tensor | None
        self.register_buffer("class_of", None if class_of is None else torch.from_numpy(class_of), persistent=False)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Log-probabilities, float32 (documents, labels); of scored labels, then of the detailed ones below them."""
        labels = self.log_probabilities(self.trunk(batch).float())
        if self.class_of is None:
            return labels
        return torch.cat([group_logsumexp(labels, self.class_of, int(self.class_of.max()) + 1), labels], dim=1)

    def log_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits of branches, float32 (documents, branches) -> log-probabilities, float32 (documents, labels)."""
        if self.training:
            logits = logits + self.adjustment
        positions = int(self.target[-1]) + 1
        conditional = logits - group_logsumexp(logits, self.origin, positions)[:, self.origin]
        reached = logits.new_zeros(len(logits), 1)
        for level in self.levels:
            target = self.target[level] - reached.shape[1]
            through = reached[:, self.origin[level]] + conditional[:, level]
            joined = int(target[-1]) + 1
            arrived = through if joined == len(target) else group_logsumexp(through, target, joined)
            reached = torch.cat([reached, arrived], dim=1)
        return reached[:, self.label_position]


def group_logsumexp(values: torch.Tensor, group: torch.Tensor, groups: int) -> torch.Tensor:
    """The logarithm of the sum of exp of the columns of each group: float32 (documents, groups), 0 for an empty group.

    Args:
        values: float32 (documents, columns).
        group: int64 (columns,), the group of each column.
        groups: their number.
    """
    shape = len(values), groups
    largest = values.new_zeros(shape).scatter_reduce(
        1, group.expand_as(values), values.detach(), "amax", include_self=False
    )
    total = values.new_zeros(shape).index_add(1, group, (values - largest[:, group]).exp())
    return largest + torch.where(total > 0, total, 1.0).log()
