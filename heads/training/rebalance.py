"""What long-tail work does with frozen features: the last layer is balanced after a network has learned.

Kang et al. 2020, arXiv 1910.09217, section 4: a network that learned from all documents as they are knows the rare
labels better than its last layer lets it say. What comes before that layer stays, and

    crt   the layer is learned anew, from the network's own start, with the balanced sampler and no class weights
    tau   each label's weights w_c become w_c / |w_c|^tau, without the bias: rare labels have short ones. tau is the one
          of 0, 0.1, ..., 1 with the best macro-F1 on the training's validation part
    lws   one factor a label is learned for its logit, with the balanced sampler and no class weights
"""

from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import nn

from data.errors import CallError
from heads.evaluation.metrics import macro_f1
from heads.training.document_batches import Batch, Sequences
from heads.training.initialization import initialise
from heads.training.loop import Training, network_scores
from heads.training.training_data import TrainingData

__all__ = ["Rebalance", "check_rebalance", "rebalance"]

Rebalance: TypeAlias = Literal["none", "crt", "tau", "lws"]

TAUS = [step / 10 for step in range(11)]


def check_rebalance(training: Training, *, multilabel: bool) -> None:
    """Raise CallError for what cannot be balanced, before anything is learned: of so many labels a document."""
    how = training.rebalance
    if how != "none" and multilabel:
        raise CallError(f"rebalance '{how}' is for one label a document. Leave it out, and take class weights.")
    if how == "tau" and not training.validation:
        raise CallError("rebalance 'tau' is chosen on a validation part: set validation, as 0.1, or take crt.")


def rebalance(
    network: nn.Module,
    how: Rebalance,
    lesson: TrainingData,
    parts: tuple[torch.Tensor, torch.Tensor],
    training: Training,
    rng: np.random.Generator,
) -> str | None:
    """Balance the last layer of `network` in place; what there is to say of it, or None.

    Raises CallError for a network whose logits do not come from one linear layer.
    """
    if how == "none":
        return None
    layer, inputs = _last_layer(network, how, lesson.sequences, lesson.labels)
    if how == "tau":
        return _normalised(layer, inputs, lesson, parts[1])
    balanced = training.get_params() | {"sampler": "balanced", "loss": "cross_entropy", "defer": 0.0}
    learned = _Again(inputs.dim, lesson.labels) if how == "crt" else _Scaled(layer)
    initialise(learned, training.init, torch.default_generator)
    taught = replace(lesson, sequences=inputs, weight=lesson.unweighted)
    Training(**balanced).run(learned, taught, parts, rng)
    with torch.no_grad():
        learned.hand_over(layer)
    return None


class _Again(nn.Module):
    """A new last layer on what the old one read."""

    def __init__(self, dim: int, labels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(dim, labels)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        logits: torch.Tensor = self.layer(batch.steps)
        return logits

    def hand_over(self, layer: nn.Linear) -> None:
        """What was learned becomes that of `layer`."""
        layer.load_state_dict(self.layer.state_dict())


class _Scaled(nn.Module):
    """The old layer, its logits times one factor a label."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(layer.out_features))
        self.weight: torch.Tensor
        self.bias: torch.Tensor
        self.register_buffer("weight", layer.weight.detach().clone())
        self.register_buffer("bias", layer.bias.detach().clone())

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        return nn.functional.linear(batch.steps, self.weight, self.bias) * self.factor

    def hand_over(self, layer: nn.Linear) -> None:
        """What was learned becomes that of `layer`."""
        layer.weight.mul_(self.factor[:, None])
        layer.bias.mul_(self.factor)


def _normalised(layer: nn.Linear, inputs: Sequences, lesson: TrainingData, held: torch.Tensor) -> str:
    if not len(held):
        return "Too few documents a label to choose tau on: the last layer is as it was learned."
    length = layer.weight.detach().norm(dim=1, keepdim=True).clamp(min=1e-12)
    features, truth = inputs.batch(held, torch.device("cpu")).steps, lesson.truth[held].numpy()
    with torch.no_grad():
        merits = [
            macro_f1(truth, (features @ (layer.weight / length**tau).T).argmax(dim=1).numpy(), lesson.labels)
            for tau in TAUS
        ]
        tau = TAUS[int(np.argmax(merits))]
        layer.weight.div_(length**tau)
        layer.bias.zero_()
    return f"tau is {tau:g}, by macro-F1 on {len(held):,} documents that were kept from learning."


def _last_layer(network: nn.Module, how: Rebalance, sequences: Sequences, labels: int) -> tuple[nn.Linear, Sequences]:
    """The layer that gives the logits, and what it reads of each document, as one step each."""
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    layer = next((module for module in reversed(layers) if module.out_features == labels), None)
    if layer is None or layer.bias is None:
        raise CallError(f"rebalance '{how}' needs a head whose logits come from one linear layer. Leave it out.")
    read: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: read.append(given[0].detach().cpu()))
    try:
        logits = network_scores(network, sequences, torch.arange(len(sequences)))
    finally:
        hook.remove()
    # batches are scored in this order of lengths
    order = torch.argsort(torch.argsort(sequences.length))
    if any(part.dim() != 2 for part in read) or sum(map(len, read)) != len(sequences):
        raise CallError(f"rebalance '{how}' needs a head that reads one vector a document last. Leave it out.")
    features = torch.cat(read)[order].float()
    if not torch.allclose(layer(features), logits, atol=1e-3):
        raise CallError(f"rebalance '{how}' needs a head whose logits come from one linear layer. Leave it out.")
    return layer, Sequences.of(features.numpy(), np.arange(len(features) + 1))
