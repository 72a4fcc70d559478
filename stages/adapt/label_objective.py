"""The supervised contrastive loss: documents that share labels get similar vectors.

The loss is that of the head supcon (heads/training/supcon_loss.py): Khosla et al. 2020 (arXiv 2004.11362) for one label
per document, the detailed one if labels are paths, and the overlap of labels for multi-label documents.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from data.target import Target
from heads.training.samplers import sample_documents
from heads.training.supcon_loss import contrastive_loss, label_similarity
from stages.adapt.objective import Epoch, Integers, Objective, pad_windows
from stages.adapt.sentence_objectives import EncoderInBands
from stages.adapt.windows import TrainingWindows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TEMPERATURE = 0.1
PER_LABEL = 4  # documents of one label that are drawn together


class SupervisedContrastiveLoss(nn.Module):
    """The loss of a batch of windows, from the labels of their documents."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: dict[str, torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The loss. labels: int64 (windows, 1), or bool (windows, labels)."""
        vectors = nn.functional.normalize(self.model(dict(features))["sentence_embedding"].float())
        weight = torch.ones(len(vectors), device=vectors.device)
        return {"loss": contrastive_loss(vectors, label_similarity(labels, 0.0), weight, TEMPERATURE)}


def supervised_objective(model: "SentenceTransformer", windows: TrainingWindows, target: Target) -> Objective:
    """Make the objective of `supervised`.

    Args:
        model: What `load_sentence_encoder` returns.
        windows: What is learned from.
        target: The labels of the documents, in the order of the texts of `windows`.
    """
    nodes = target.y if target.y.ndim == 2 else target.y[:, None]

    def collate(numbers: Sequence[int], _rng: np.random.Generator) -> dict[str, Any]:
        batch = pad_windows([windows.tokens(number)[0] for number in numbers], windows)
        return {"features": batch, "labels": torch.from_numpy(nodes[windows.document[np.asarray(numbers)]])}

    encoder = model.transformers_model
    return Objective(SupervisedContrastiveLoss(EncoderInBands(model)), encoder, encoder, collate)


def label_batches(windows: TrainingWindows, target: Target) -> Epoch:
    """Batches of a few documents from each of a few labels, one window of each document, at random.

    An epoch draws as many documents as there are. A label's share grows with the square root of its documents: with
    equal shares for documents, most pairs of a batch would be of the most frequent label.
    """
    documents = np.unique(windows.document)
    y, window_of = target.y[documents], _WindowChoice(windows, documents)

    def epoch(batch_size: int, rng: np.random.Generator) -> Iterator[Integers]:
        rows = sample_documents(y, "square_root", 0.0, rng)
        groups = _group_by_label(rows, _draw_labels(y, rows, rng), min(PER_LABEL, batch_size))
        shuffled = [groups[number] for number in rng.permutation(len(groups)).tolist()]
        return (window_of(batch, rng) for batch in _pack(shuffled, batch_size) if len(batch) > 1)

    return epoch


def _draw_labels(y: Any, rows: Integers, rng: np.random.Generator) -> Integers:
    """The label for which each document is drawn: one of its labels, at random; the last number for none."""
    if y.ndim == 1:
        return np.asarray(y[rows], dtype=np.int64)
    has_label = np.column_stack([y[rows], ~y[rows].any(axis=1)])
    return np.asarray(np.argmax(rng.random(has_label.shape) * has_label, axis=1))


def _group_by_label(rows: Integers, labels: Integers, most: int) -> list[Integers]:
    """Divide rows into groups of up to `most` with one label, in their order."""
    order = np.argsort(labels, kind="stable")
    groups = np.split(rows[order], np.flatnonzero(np.diff(labels[order])) + 1)
    return [group[first : first + most] for group in groups for first in range(0, len(group), most)]


def _pack(groups: Sequence[Integers], batch_size: int) -> Iterator[Integers]:
    """Batches of whole groups, with at most `batch_size` rows."""
    batch: list[Integers] = []
    for group in groups:
        if sum(map(len, batch)) + len(group) > batch_size:
            yield np.concatenate(batch)
            batch = []
        batch.append(group)
    if batch:
        yield np.concatenate(batch)


class _WindowChoice:
    """Draws one training window of each document."""

    def __init__(self, windows: TrainingWindows, documents: Integers) -> None:
        order = np.argsort(windows.document, kind="stable")
        self._numbers = order
        self._first = np.searchsorted(windows.document[order], documents)
        self._count = np.searchsorted(windows.document[order], documents, side="right") - self._first

    def __call__(self, rows: Integers, rng: np.random.Generator) -> Integers:
        """The windows of the documents with these numbers among those that have a window."""
        return np.asarray(
            self._numbers[self._first[rows] + (rng.random(len(rows)) * self._count[rows]).astype(np.int64)]
        )
