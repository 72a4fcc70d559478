"""What a network learns from, and which part of it tells when to stop."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from data.splits import stratified_split
from heads.training.document_batches import Sequences

__all__ = ["TrainingData"]


@dataclass(frozen=True)
class TrainingData:
    """What is learned from, rows in one order.

    truth: int64 (documents,), or float32 of 0 and 1 (documents, labels) for several labels. labels: how many.
    weight: float32, of truth's shape; unweighted: the same without class weights. order: int64
    (labels,), the columns from the lowest label on, or None. groups: of each document, or None.
    """

    sequences: Sequences
    truth: torch.Tensor
    weight: torch.Tensor
    unweighted: torch.Tensor
    labels: int
    order: torch.Tensor | None = None
    groups: Sequence[Hashable] | None = None

    def parts(self, validation: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows to learn from and rows that tell when to stop, int64; no group stands on both sides.

        validation: share of the documents in the second. Labels with too few documents to spare one (their fair share
        of it is less than one), and the groups of such documents, stay in the first. Without enough documents the
        second is empty.
        """
        y = self.truth.bool().numpy() if self.truth.dim() == 2 else self.truth.numpy()
        if validation == 0:
            return torch.arange(len(y)), torch.arange(0)
        part = stratified_split(y, self.groups, (1 - validation, validation), seed)
        counts = y.sum(axis=0) if y.ndim == 2 else np.bincount(y, minlength=self.labels)
        scarce = counts < 1 / validation
        rare = np.asarray((y & scarce).any(axis=1) if y.ndim == 2 else scarce[y])
        held = (part == 1) & ~_in_group_of(rare, self.groups)
        return torch.from_numpy(np.flatnonzero(~held)), torch.from_numpy(np.flatnonzero(held))


def _in_group_of(chosen: NDArray[np.bool_], groups: Sequence[Hashable] | None) -> NDArray[np.bool_]:
    """Rows that are chosen, or whose group has a chosen row; a group of None is the row's own."""
    if groups is None:
        return chosen
    taken = {group for group, one in zip(groups, chosen, strict=True) if one and group is not None}
    return np.array([one or group in taken for group, one in zip(groups, chosen, strict=True)])
