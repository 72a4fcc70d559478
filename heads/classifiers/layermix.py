"""A learned weighted sum of the encoder's layers, in front of another head's network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

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
from heads.core.head import Examples
from heads.core.hyperparameters import Help, Range, Search, check_hyperparameters
from heads.core.saving import row_count
from heads.training.document_batches import Batch
from heads.training.network_head import WEIGHTS, NetworkHead
from heads.training.sequence_head import Positions, SequenceHead

__all__ = ["LayerMix", "LayerMixHead"]

# AdamW moves a parameter by about lr per step, so a few weights would hardly leave their start while the body learns:
# on Reuters-52 none of seven layers came above 0.20, of 0.14 at the start
WEIGHT_SCALE = 10.0

BODIES: dict[str, type[NetworkHead]] = {
    head.name: head for head in (MLPHead, MILHead, AttentionHead, LSTMHead, GRUHead, TransformerHead)
}


def check_hidden(hidden: int, body: NetworkHead, option: str) -> None:
    """Raise CallError if a transformer cannot have this width. option: the hyperparameter that chose `body`."""
    if isinstance(body, TransformerHead) and (hidden < 1 or hidden % body.attention_heads):
        raise CallError(
            f"hidden is {hidden}; with {option}=transformer it must be a multiple of {body.attention_heads}, and not 0."
        )


@dataclass(eq=False, repr=False, kw_only=True)
class LayerMixHead(SequenceHead):
    """Another head's network over a learned weighted sum of the encoder's layers, for a store with several layers.

    One weight per layer, which a softmax normalizes, and a scale of the sum (ELMo, Peters et al. 2018, arXiv
    1802.05365, eq. 1; also SUPERB, Yang et al. 2021, arXiv 2105.01051). All layers start with equal weights. Each layer
    is first standardized to mean 0 and deviation 1, where ELMo may use a layer norm. Embed with `--layers all`, or some
    of them. Results are in docs/explanation/layers.md: if an encoder's last layer was trained to be pooled, it alone is
    better.
    """

    name: ClassVar[str] = "layermix"
    every_layer: ClassVar[bool] = True

    body: Annotated[
        Literal["mlp", "mil", "attention", "lstm", "gru", "transformer"],
        Help("head whose network reads the sum, with that head's defaults for other hyperparameters"),
        Search(),
    ] = "mlp"
    over: Positions = "chunks"
    hidden: Annotated[
        int | None, Range(0), Help("hidden (for transformer, width, a multiple of 4) of the body; none for its default")
    ] = None
    dropout: Annotated[float, Range(0, below=1), Help("dropout rate of the body"), Search(0, 0.6)] = 0.2

    @property
    def layer_weights_(self) -> NDArray[np.float32]:
        """The weight of each layer, float32 (layers,) with sum 1, from the encoder's first layer to its last."""
        return np.asarray(normalize(self.network_.get_parameter("network.weights").detach()).numpy())

    def build(self, dim: int, labels: int) -> nn.Module:
        """A network that maps a Batch to logits, float32 (documents, labels); `dim` is that of all layers together."""
        body = BODIES[self.body]()
        names = body.get_params(deep=False).keys()
        values = {"dropout": self.dropout, "max_positions": self.max_positions}
        if self.hidden is not None:
            check_hidden(self.hidden, body, "body")
            values |= {"hidden": self.hidden, "width": self.hidden}
        body.set_params(**{name: value for name, value in values.items() if name in names})
        check_hyperparameters(body)
        return LayerMix(self.layers_, len(self.dims_), body.build(dim // self.layers_, labels))

    def _fit(self, examples: Examples) -> None:
        self.layers_ = _layer_count(examples.bags, self.reads)
        super()._fit(examples)
        if self.layers_ == 1:
            self._add_note(
                f"These features keep one layer, so layermix equals its body {self.body}. Embed with --layers all."
            )
        else:
            weights = ", ".join(f"{weight:.2f}" for weight in self.layer_weights_)
            self._add_note(f"Layer weights, from the encoder's first layer to its last: {weights}.")

    def _load(self, folder: Path) -> None:
        self.layers_ = row_count(folder / WEIGHTS, "network.weights")
        super()._load(folder)


class LayerMix(nn.Module):
    """The weighted sum of layers, times a scale, as the input of `body`."""

    def __init__(self, layers: int, views: int, body: nn.Module) -> None:
        super().__init__()
        self.views = views
        self.weights = nn.Parameter(torch.zeros(layers))
        self.scale = nn.Parameter(torch.ones(1))
        self.body = body

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels), of a Batch whose vectors concatenate views, and layers in each view."""
        layers = batch.vectors.reshape(len(batch.vectors), self.views, len(self.weights), -1)
        mixed = torch.einsum("svlw,l->svw", layers, self.scale * normalize(self.weights))
        logits: torch.Tensor = self.body(batch._replace(vectors=mixed.flatten(1)))
        return logits


def normalize(weights: torch.Tensor) -> torch.Tensor:
    """Layer weights with sum 1, float32 (layers,)."""
    return (WEIGHT_SCALE * weights).softmax(dim=0)


def _layer_count(bags: Bags, views: tuple[str, ...]) -> int:
    """How many layers the views have. Raises CallError if they differ in layers or length."""
    shapes = {bags.view(view).item_shape for view in views}
    if len(shapes) > 1:
        raise CallError(
            f"layermix needs views of one shape, but {', '.join(views)} have {len(shapes)} shapes. Read one of them."
        )
    shape = shapes.pop()
    return shape[0] if len(shape) > 1 else 1
