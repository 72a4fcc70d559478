"""Which layers of the encoder to read is learned: their weighted sum, in front of another network."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.errors import CallError
from featurestore import Bags
from heads.classifiers.attention import AttentionHead
from heads.classifiers.gru import GRUHead
from heads.classifiers.lstm import LSTMHead
from heads.classifiers.mil import MILHead
from heads.classifiers.mlp import MLPHead
from heads.classifiers.transformer import TransformerHead
from heads.core.class_weights import ClassWeight
from heads.core.head import Examples
from heads.core.hyperparameters import Range, Search, check_hyperparameters
from heads.core.saving import rows_of
from heads.training.document_batches import Batch
from heads.training.loop import Training
from heads.training.network_head import WEIGHTS, NetworkHead
from heads.training.sequence_head import Over, SequenceHead

__all__ = ["LayerMix", "LayerMixHead"]

# AdamW moves a number by about lr a step, so a few weights would hardly leave their start while the body learns: on
# Reuters-52 none of seven layers came above 0.20, of 0.14 at the start
STRIDE = 10.0

BODIES: dict[str, type[NetworkHead]] = {
    head.name: head for head in (MLPHead, MILHead, AttentionHead, LSTMHead, GRUHead, TransformerHead)
}


class LayerMixHead(SequenceHead):
    """Scores from another head's network over a learned weighted sum of the encoder's layers: for a store of several.

    A weight a layer, a softmax of which sums to 1, and a scale of the sum (ELMo, Peters et al. 2018, arXiv 1802.05365,
    eq. 1; so also SUPERB, Yang et al. 2021, arXiv 2105.01051). All weights start alike. Each layer is brought to mean 0
    and deviation 1 first, where ELMo may take a layer norm. Embed with `--layers all`, or some of them. Measured in
    docs/layers.md: of an encoder whose last layer was trained to be read, that layer alone is better.

    Parameters
    ----------
    body : the head whose network reads the sum, with that head's defaults for what is not set here
    over : the steps: segments, chunks (cls and mean side by side, those that are kept) or tokens
    hidden : units of the body (of transformer its width), 0 for none where it can do without, None for its own default
    dropout : as in the body
    max_steps : steps of a document that are read, from its start
    training : how it learns; its parameters are `training__lr` and so on, as scikit-learn nests them
    class_weight, seed : as in every head
    """

    name = "layermix"
    every_layer = True

    def __init__(
        self,
        body: Annotated[Literal["mlp", "mil", "attention", "lstm", "gru", "transformer"], Search()] = "mlp",
        over: Over = "chunks",
        hidden: Annotated[int, Range(0)] | None = None,
        dropout: Annotated[float, Range(0, below=1), Search(0, 0.6)] = 0.2,
        max_steps: Annotated[int, Range(1)] = 512,
        training: Training | None = None,
        class_weight: ClassWeight = "effective",
        seed: Annotated[int, Range(0)] = 0,
    ) -> None:
        self.body = body
        self.over = over
        self.hidden = hidden
        self.dropout = dropout
        self.max_steps: int = max_steps
        self.training = training
        self.class_weight = class_weight
        self.seed = seed

    @property
    def layer_weights_(self) -> NDArray[np.float32]:
        """What each layer weighs, float32 (layers,), of sum 1, from the encoder's first to its last."""
        return np.asarray(shares(self.network_.get_parameter("network.weights").detach()).numpy())

    def build(self, dim: int, labels: int) -> nn.Module:
        """A Batch of (documents, steps, dim) -> (documents, labels) logits; dim counts all layers."""
        body = BODIES[self.body]()
        asked = {"hidden": self.hidden, "width": self.hidden, "dropout": self.dropout, "max_steps": self.max_steps}
        known = body.get_params(deep=False)
        body.set_params(**{name: value for name, value in asked.items() if name in known and value is not None})
        check_hyperparameters(body)
        return LayerMix(self.layers_, len(self.dims_), body.build(dim // self.layers_, labels))

    def _learn(self, examples: Examples) -> None:
        self.layers_ = _layers(examples.bags, self.reads)
        super()._learn(examples)
        if self.layers_ == 1:
            self._note(f"These features keep one layer, so this is {self.body} alone. Embed with --layers all.")
        else:
            shares = ", ".join(f"{share:.2f}" for share in self.layer_weights_)
            self._note(f"Weights of the layers, from the encoder's first to its last: {shares}.")

    def _load(self, folder: Path) -> None:
        self.layers_ = rows_of(folder / WEIGHTS, "network.weights")
        super()._load(folder)


class LayerMix(nn.Module):
    """The weighted sum of layers, times a scale, into `body`."""

    def __init__(self, layers: int, views: int, body: nn.Module) -> None:
        super().__init__()
        self.views = views
        self.weights = nn.Parameter(torch.zeros(layers))
        self.scale = nn.Parameter(torch.ones(1))
        self.body = body

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels), of a Batch whose steps are views side by side, each layer by layer."""
        layers = batch.steps.reshape(len(batch.steps), self.views, len(self.weights), -1)
        mixed = torch.einsum("svlw,l->svw", layers, self.scale * shares(self.weights))
        logits: torch.Tensor = self.body(batch._replace(steps=mixed.flatten(1)))
        return logits


def shares(weights: torch.Tensor) -> torch.Tensor:
    """What each layer weighs, float32 (layers,), of sum 1."""
    return (STRIDE * weights).softmax(dim=0)


def _layers(bags: Bags, views: tuple[str, ...]) -> int:
    """How many layers an item of the views has. Raises CallError where they differ in layers or length."""
    shapes = {bags.view(view).item_shape for view in views}
    if len(shapes) > 1:
        raise CallError(f"layermix reads views of one shape, {', '.join(views)} have {len(shapes)}. Read one of them.")
    shape = shapes.pop()
    return shape[0] if len(shape) > 1 else 1
