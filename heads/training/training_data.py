"""The training documents of a network, and their validation split."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from data.splits import Strata, stratified_split
from heads.training.document_batches import Sequences

__all__ = ["DetailedTargets", "TrainingData", "split_validation"]


@dataclass(frozen=True)
class DetailedTargets:
    """Detailed labels, in the form of the targets of TrainingData, and the weight of their loss."""

    targets: torch.Tensor
    weight: float

    @classmethod
    def of(cls, codes: NDArray[Any], weight: float) -> Self:
        """codes: int64 (documents,), or bool (documents, detailed) if multi-label."""
        return cls(torch.from_numpy(codes.astype(np.float32) if codes.ndim == 2 else codes), weight)


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
    fit_only: bool (documents,), documents that are never in the validation split, or None.
    detailed: labels that say more and are learned too, by further columns of the logits; or None.
    """

    sequences: Sequences
    targets: torch.Tensor
    weight: torch.Tensor
    sample_weight: torch.Tensor
    labels: int
    order: torch.Tensor | None = None
    groups: Sequence[Hashable] | None = None
    fit_only: NDArray[np.bool_] | None = None
    detailed: DetailedTargets | None = None

    def split(self, validation_fraction: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows to fit on and rows of the validation split, int64; see `split_validation`."""
        y = self.targets.bool().numpy() if self.targets.dim() == 2 else self.targets.numpy()
        rows = split_validation(y, self.labels, self.groups, validation_fraction, seed, self.fit_only)
        return torch.from_numpy(rows[0]), torch.from_numpy(rows[1])


def split_validation(
    y: NDArray[Any] | Strata,
    labels: int,
    groups: Sequence[Hashable] | None,
    fraction: float,
    seed: int,
    fit_only: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split documents into those to fit on and a validation split, stratified by label.

    Documents of one group are on one side, and every label is fitted on. Documents of labels with fewer than 1 /
    fraction documents, and the groups of such documents, are always fitted on. With too few documents the validation
    split is empty.

    Args:
        y: int64 (documents,), or bool (documents, labels) if multi-label; or strata, which then count as labels.
        labels: how many there are, or nodes if `y` are strata.
        groups: (documents,), or None.
        fraction: of the documents, for the validation split.
        seed: of the split.
        fit_only: bool (documents,), documents that do not count; they are fitted on unless one of their group is in the
            validation split.

    Returns:
        Both as rows, int64.
    """
    strata = y
    y = y.y if isinstance(y, Strata) else y
    rows = np.arange(len(y)) if fit_only is None else np.flatnonzero(~fit_only)
    if fraction == 0 or not len(rows):
        return np.arange(len(y)), np.arange(0)
    groups_of_rows = None if groups is None else [groups[row] for row in rows.tolist()]
    fitted_share = max(1 - fraction, np.nextafter(0.5, 1))  # the larger share, which gets every label
    part = stratified_split(strata[rows], groups_of_rows, (fitted_share, fraction), seed)
    counts = y[rows].sum(axis=0) if y.ndim == 2 else np.bincount(y[rows], minlength=labels)
    is_rare = counts < 1 / fraction
    has_rare_label = np.asarray((y & is_rare).any(axis=1) if y.ndim == 2 else is_rare[y])
    is_validation = np.zeros(len(y), dtype=bool)
    is_validation[rows[part == 1]] = True
    is_validation &= ~_in_same_group(has_rare_label, groups)
    is_fitted = ~(is_validation if fit_only is None else _in_same_group(is_validation, groups))
    return np.flatnonzero(is_fitted), np.flatnonzero(is_validation)


def _in_same_group(selected: NDArray[np.bool_], groups: Sequence[Hashable] | None) -> NDArray[np.bool_]:
    """bool (documents,): documents that are selected or in a group with one; group None is the document alone."""
    if groups is None:
        return selected
    pairs = list(zip(groups, selected, strict=True))
    selected_groups = {group for group, is_selected in pairs if is_selected and group is not None}
    return np.array([is_selected or group in selected_groups for group, is_selected in pairs])
