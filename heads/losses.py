"""What training makes small: one loss a document, from logits, truth and weights."""

import torch
from torch.nn import functional


def document_losses(
    logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor, label_smoothing: float = 0.0
) -> torch.Tensor:
    """float32 (documents,): how wrong each document's scores are, times what it weighs.

    logits: float32 (documents, labels). One label a document: truth int64 (documents,), weight float32 (documents,).
    Several: truth float32 of 0 and 1 (documents, labels), weight float32 of the same shape. A batch's loss is the
    plain mean of these. Dividing by the batch's sum of weights, as torch does, would let a rare document take from the
    others in its batch what it is given.
    """
    if truth.dim() == 1:
        return cross_entropy(logits, truth, label_smoothing) * weight
    return (binary_cross_entropy(logits, truth, label_smoothing) * weight).mean(dim=1)


def cross_entropy(logits: torch.Tensor, truth: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    """Softmax cross entropy, float32 (documents,); label smoothing as in Szegedy et al. 2016, section 7."""
    return functional.cross_entropy(logits, truth, label_smoothing=label_smoothing, reduction="none")


def binary_cross_entropy(logits: torch.Tensor, truth: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    """Binary cross entropy of each label by itself, float32 (documents, labels); truth is drawn towards a half."""
    smooth = truth * (1 - label_smoothing) + label_smoothing / 2
    return functional.binary_cross_entropy_with_logits(logits, smooth, reduction="none")
