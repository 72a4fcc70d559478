"""What training makes small: one loss a document, from logits, truth and weights.

    cross_entropy    softmax cross entropy; of several labels the binary one of each label. With label smoothing as in
                     Szegedy et al. 2016, section 7
    focal            the same, times (1 - p)^gamma of the truth's probability p: what is sure counts little. Lin et al.
                     2017, arXiv 1708.02002, eq. 4; with effective class weights it is Cui et al. 2019's, eq. 12
    ldam             cross entropy, where the truth has to win by a margin, larger for rare labels: ~ n_c^(-1/4), the
                     rarest one's 0.5. Cao et al. 2019, arXiv 1906.07413, eq. 12, on plain logits; with `defer`
                     (weights in the last epochs alone) it is their LDAM-DRW
    logit_adjusted   cross entropy of logits + log of each label's share: the logits themselves are then fair to rare
                     labels. Menon et al. 2021, arXiv 2007.07314, eq. 10, tau = 1
    asymmetric       of several labels: focal with gamma for absent ones alone, of which those below 0.05 count nothing.
                     Ridnik et al. 2021, arXiv 2009.14119, eq. 7, with gamma+ = 0
    soft_f1          1 - macro-F1 of the batch, with probabilities in the place of decisions
    emd              of ordered labels: the squared distances between the probabilities and the truth, both cumulated
                     from the lowest label on, so that what lies farther off costs more. The squared earth mover's
                     distance of Hou et al. 2016, arXiv 1611.05916; a ranked probability score, Epstein 1969
    sigmoid_f1       the same with a sigmoid a label, for one label a document too: Benedict et al. 2021, arXiv
                     2108.10566, with beta = 1 and eta = 0. Of several labels the two are one

Class-balanced focal loss is focal with effective class weights. Binary cross entropy with positive weights is cross
entropy of several labels with balanced ones: presence then weighs n_absent / n_present times absence.

All but the two F1 are a document's own; a batch's loss is the plain mean of them, times what each weighs. Dividing by
the batch's sum of weights, as torch does, would let a rare document take from the others what it is given.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch.nn import functional

from data.errors import CallError

__all__ = ["LossName", "Losses"]

LossName: TypeAlias = Literal[
    "cross_entropy", "focal", "ldam", "logit_adjusted", "asymmetric", "soft_f1", "sigmoid_f1", "emd"
]

MARGIN = 0.5
SHIFT = 0.05
_ONE_LABEL = ("ldam", "logit_adjusted", "emd")
_SEVERAL = ("asymmetric",)
_UNSMOOTHED = ("focal", "asymmetric", "soft_f1", "sigmoid_f1", "emd")


@dataclass(frozen=True)
class Losses:
    """A loss for documents whose labels occur so often.

    counts: float32 (labels,), what the documents of each label weigh. gamma: of focal and asymmetric. smoothing: of
    labels. order: int64 (labels,), the columns from the lowest label on, where labels are ordered.
    """

    counts: torch.Tensor
    name: LossName = "cross_entropy"
    gamma: float = 2.0
    smoothing: float = 0.0
    order: torch.Tensor | None = None

    def check(self, *, multilabel: bool) -> None:
        """Raise CallError for what makes no sense: of so many labels a document, of no order, with label smoothing."""
        if multilabel and self.name in _ONE_LABEL:
            raise CallError(f"The loss {self.name} is for one label a document. Take asymmetric or focal.")
        if not multilabel and self.name in _SEVERAL:
            raise CallError(f"The loss {self.name} is for several labels a document. Take focal or logit_adjusted.")
        if self.name == "emd" and self.order is None:
            raise CallError("The loss emd is for ordered labels: name them with --order, or take cross_entropy.")
        if self.smoothing and self.name in _UNSMOOTHED:
            raise CallError(f"The loss {self.name} takes no label_smoothing: set it to 0, or take cross_entropy.")

    def __call__(self, logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """float32 (documents,): how wrong each document's scores are, times what it weighs.

        logits: float32 (documents, labels). One label a document: truth int64 (documents,), weight float32
        (documents,). Several: truth float32 of 0 and 1 (documents, labels), weight float32 of the same shape.
        """
        if self.name in ("soft_f1", "sigmoid_f1"):
            return soft_f1(logits, truth, weight, softmax=self.name == "soft_f1").expand(len(logits))
        if truth.dim() == 1:
            return self._one(logits, truth) * weight
        return (self._several(logits, truth) * weight).mean(dim=1)

    def _one(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        if self.name == "emd" and self.order is not None:
            order = self.order.to(logits.device)
            present = functional.one_hot(truth, len(order))
            return ((logits.softmax(dim=1) - present)[:, order].cumsum(dim=1) ** 2).sum(dim=1)
        counts = self.counts.to(logits.device).clamp(min=1)
        if self.name == "ldam":
            margins = MARGIN * (counts / counts.min()) ** -0.25
            logits = logits - functional.one_hot(truth, len(counts)) * margins
        elif self.name == "logit_adjusted":
            logits = logits + (counts / counts.sum()).log()
        losses = functional.cross_entropy(logits, truth, label_smoothing=self.smoothing, reduction="none")
        return losses * self._doubt(losses) if self.name == "focal" else losses

    def _doubt(self, losses: torch.Tensor) -> torch.Tensor:
        """(1 - p)^gamma; at p = 1 a gamma below 1 would have no gradient that is a number."""
        return (1 - (-losses).exp()).clamp(min=1e-6) ** self.gamma

    def _several(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        if self.name == "asymmetric":
            absent = (logits.sigmoid() - SHIFT).clamp(min=0)
            return -truth * functional.logsigmoid(logits) - (1 - truth) * absent**self.gamma * (1 - absent).log()
        smooth = truth * (1 - self.smoothing) + self.smoothing / 2
        losses = functional.binary_cross_entropy_with_logits(logits, smooth, reduction="none")
        return losses * self._doubt(losses) if self.name == "focal" else losses


def soft_f1(logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor, *, softmax: bool) -> torch.Tensor:
    """1 - the mean F1 of the labels that occur in a batch, a float32 scalar."""
    if truth.dim() == 1:
        chances = logits.softmax(dim=1) if softmax else logits.sigmoid()
        present = functional.one_hot(truth, logits.shape[1]).to(logits.dtype)
        weight = weight[:, None]
    else:
        chances, present = logits.sigmoid(), truth
    both = (weight * chances * present).sum(0)
    either = (weight * (chances + present)).sum(0)
    occurs = (present.sum(0) > 0).to(logits.dtype)
    # a label that no document of the batch has could only be wrong: its share would push all scores down
    return 1 - (2 * both / either.clamp(min=1e-8) * occurs).sum() / occurs.sum().clamp(min=1)
