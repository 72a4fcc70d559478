"""Loss functions: one loss per document, from logits, targets and weights.

    cross_entropy    softmax cross entropy; binary cross entropy of each label if multi-label. With label smoothing, as
                     in Szegedy et al. 2016, section 7
    focal            the same, times (1 - p)^gamma of the target's probability p, which reduces the loss of documents
                     with confident, correct scores. Lin et al. 2017, arXiv 1708.02002, eq. 4; with effective class
                     weights it is eq. 12 of Cui et al. 2019
    ldam             cross entropy in which the target has to win by a margin that is larger for rare labels,
                     proportional to n_c^(-1/4) and 0.5 for the rarest. Cao et al. 2019, arXiv 1906.07413, eq. 12, on
                     logits; with defer_class_weights it is their LDAM-DRW
    logit_adjusted   cross entropy of logits + log of each label's frequency, so that the logits are balanced. Menon et
                     al. 2021, arXiv 2007.07314, eq. 10, tau = 1
    asymmetric       multi-label only: focal for absent labels alone, ignoring probabilities below 0.05. Ridnik et al.
                     2021, arXiv 2009.14119, eq. 7, with gamma+ = 0
    soft_f1          1 - macro-F1 of the batch, with probabilities instead of decisions
    sigmoid_f1       the same with one sigmoid per label, also with one label per document: Benedict et al. 2021, arXiv
                     2108.10566, with beta = 1 and eta = 0. For multi-label documents both are equal
    emd              ordinal labels: squared differences between probabilities and target, both cumulated from the
                     lowest label, so that distant labels cost more. The squared earth mover's distance of Hou et al.
                     2016, arXiv 1611.05916; a ranked probability score, Epstein 1969

Class-balanced focal loss is focal with effective class weights. Binary cross entropy with positive weights is
multi-label cross entropy with balanced class weights: presence then weighs n_absent / n_present times absence.

All but the two F1 losses are losses of single documents; the loss of a batch is the plain mean of these, times their
weights. Dividing by the sum of weights in the batch, as torch does, would undo part of the weight of a rare document.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch.nn import functional

from data.errors import CallError

__all__ = ["BATCH_LOSSES", "LossName", "Losses"]

LossName: TypeAlias = Literal[
    "cross_entropy", "focal", "ldam", "logit_adjusted", "asymmetric", "soft_f1", "sigmoid_f1", "emd"
]

BATCH_LOSSES: tuple[LossName, ...] = ("soft_f1", "sigmoid_f1")  # the others are means over documents
MARGIN = 0.5
SHIFT = 0.05
_SINGLE_LABEL_ONLY = ("ldam", "logit_adjusted", "emd")
_MULTILABEL_ONLY = ("asymmetric",)
_WITHOUT_SMOOTHING = ("focal", "asymmetric", "soft_f1", "sigmoid_f1", "emd")


@dataclass(frozen=True)
class Losses:
    """A loss function for labels of given frequencies.

    counts: float32 (labels,), the summed weight of the documents of each label.
    name: one of those above.
    gamma: focusing parameter of focal and asymmetric.
    smoothing: label smoothing.
    order: int64 (labels,), for ordinal labels, the columns from the lowest label to the highest.
    """

    counts: torch.Tensor
    name: LossName = "cross_entropy"
    gamma: float = 2.0
    smoothing: float = 0.0
    order: torch.Tensor | None = None

    def check(self, *, multilabel: bool) -> None:
        """Raise CallError if the loss does not fit the kind of labels, or label smoothing."""
        if multilabel and self.name in _SINGLE_LABEL_ONLY:
            raise CallError(f"The loss {self.name} needs one label per document. Choose asymmetric or focal.")
        if not multilabel and self.name in _MULTILABEL_ONLY:
            raise CallError(f"The loss {self.name} needs multi-label documents. Choose focal or logit_adjusted.")
        if self.name == "emd" and self.order is None:
            raise CallError(
                "The loss emd needs ordinal labels. Name their order with --order, or choose cross_entropy."
            )
        if self.smoothing and self.name in _WITHOUT_SMOOTHING:
            raise CallError(f"The loss {self.name} has no label_smoothing. Set it to 0, or choose cross_entropy.")

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The weighted loss of each document, float32 (documents,).

        Args:
            logits: float32 (documents, labels).
            targets: int64 (documents,); if multi-label, float32 (documents, labels) of 0 and 1.
            weight: float32, the shape of targets.
        """
        if self.name in BATCH_LOSSES:
            return soft_f1(logits, targets, weight, softmax=self.name == "soft_f1").expand(len(logits))
        if targets.dim() == 1:
            return self._single_label(logits, targets) * weight
        return (self._multilabel(logits, targets) * weight).mean(dim=1)

    def _single_label(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self.name == "emd" and self.order is not None:
            order = self.order.to(logits.device)
            present = functional.one_hot(targets, len(order))
            return ((logits.softmax(dim=1) - present)[:, order].cumsum(dim=1) ** 2).sum(dim=1)
        counts = self.counts.to(logits.device)
        counts = torch.where(counts > 0, counts, 1.0)
        if self.name == "ldam":
            margins = MARGIN * (counts / counts.min()) ** -0.25
            logits = logits - functional.one_hot(targets, len(counts)) * margins
        elif self.name == "logit_adjusted":
            logits = logits + (counts / counts.sum()).log()
        losses = functional.cross_entropy(logits, targets, label_smoothing=self.smoothing, reduction="none")
        return losses * self._focal_factor(losses) if self.name == "focal" else losses

    def _focal_factor(self, losses: torch.Tensor) -> torch.Tensor:
        """(1 - p)^gamma; clamped because at p = 1 the gradient is infinite if gamma is below 1."""
        return (1 - (-losses).exp()).clamp(min=1e-6) ** self.gamma

    def _multilabel(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self.name == "asymmetric":
            absent = (logits.sigmoid() - SHIFT).clamp(min=0)
            return -targets * functional.logsigmoid(logits) - (1 - targets) * absent**self.gamma * (1 - absent).log()
        smoothed = targets * (1 - self.smoothing) + self.smoothing / 2
        losses = functional.binary_cross_entropy_with_logits(logits, smoothed, reduction="none")
        return losses * self._focal_factor(losses) if self.name == "focal" else losses


def soft_f1(logits: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor, *, softmax: bool) -> torch.Tensor:
    """1 - the mean F1 of the labels that occur in a batch, as a float32 scalar.

    Args:
        logits: float32 (documents, labels).
        targets: as in `Losses`.
        weight: as in `Losses`.
        softmax: probabilities by softmax, else by one sigmoid per label.
    """
    if targets.dim() == 1:
        probabilities = logits.softmax(dim=1) if softmax else logits.sigmoid()
        present = functional.one_hot(targets, logits.shape[1]).to(logits.dtype)
        weight = weight[:, None]
    else:
        probabilities, present = logits.sigmoid(), targets
    overlap = (weight * probabilities * present).sum(0)
    total = (weight * (probabilities + present)).sum(0)
    occurs = (present.sum(0) > 0).to(logits.dtype)
    # for a label that no document of the batch has, F1 is 0 and its gradient would only lower all scores
    return 1 - (2 * overlap / total.clamp(min=1e-8) * occurs).sum() / occurs.sum().clamp(min=1)
