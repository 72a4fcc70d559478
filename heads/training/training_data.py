"""The training documents of a network, and their validation split."""

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
    """Documents to train on, in one order.

    sequences: their vectors.
    targets: int64 (documents,), indices of labels; if multi-label, float32 (documents, labels) of 0 and 1.
    weight: float32, the shape of targets: sample weight times class weight.
    sample_weight: float32, the shape of targets: without class weights.
    labels: how many there are.
    order: int64 (labels,), for ordinal labels, the columns from the lowest label to the highest; else None.
    groups: one per document, or None.
    """

    sequences: Sequences
    targets: torch.Tensor
    weight: torch.Tensor
    sample_weight: torch.Tensor
    labels: int
    order: torch.Tensor | None = None
    groups: Sequence[Hashable] | None = None

    def split(self, validation_fraction: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows to fit on and rows of the validation split, int64, stratified by label.

        Documents of one group are on one side. Documents of labels with fewer than 1 / validation_fraction documents,
        and the groups of such documents, are always fitted on. With too few documents the validation split is empty.
        """
        y = self.targets.bool().numpy() if self.targets.dim() == 2 else self.targets.numpy()
        if validation_fraction == 0:
            return torch.arange(len(y)), torch.arange(0)
        part = stratified_split(y, self.groups, (1 - validation_fraction, validation_fraction), seed)
        counts = y.sum(axis=0) if y.ndim == 2 else np.bincount(y, minlength=self.labels)
        is_rare = counts < 1 / validation_fraction
        has_rare_label = np.asarray((y & is_rare).any(axis=1) if y.ndim == 2 else is_rare[y])
        is_validation = (part == 1) & ~_in_same_group(has_rare_label, self.groups)
        return torch.from_numpy(np.flatnonzero(~is_validation)), torch.from_numpy(np.flatnonzero(is_validation))


def _in_same_group(selected: NDArray[np.bool_], groups: Sequence[Hashable] | None) -> NDArray[np.bool_]:
    """bool (documents,): documents that are selected or in a group with one; group None is the document alone."""
    if groups is None:
        return selected
    pairs = list(zip(groups, selected, strict=True))
    selected_groups = {group for group, is_selected in pairs if is_selected and group is not None}
    return np.array([is_selected or group in selected_groups for group, is_selected in pairs])
