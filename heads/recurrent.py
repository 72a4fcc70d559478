"""Recurrence over a document's vectors: what `lstm` and `gru` share."""

from typing import Annotated, ClassVar, Literal

import torch
from torch import nn

from heads.batches import Batch
from heads.dropout import Dropout
from heads.initialise import recurrent
from heads.parameters import Range
from heads.steps import Over, StepsHead
from heads.training import Training
from heads.weights import ClassWeight

__all__ = ["Recurrence", "RecurrentHead"]


class RecurrentHead(StepsHead):
    """Scores from a recurrent network over a document's segments, chunks or tokens; a head's own file says which.

    Parameters
    ----------
    over : the steps: segments, chunks (cls and mean side by side, those that are kept) or tokens
    readout : what is classified: the last state of each direction, or the mean or maximum of all states
    hidden : units a direction
    layers : recurrent layers, one upon the other
    bidirectional : whether a second one reads from the end
    dropout : share of inputs, of units between layers and of the readout that are dropped in training
    max_steps : steps of a document that are read, from its start
    training : how it learns; its parameters are `training__lr` and so on, as scikit-learn nests them
    class_weight, seed : as in every head
    """

    kind: ClassVar[type[nn.LSTM] | type[nn.GRU]]

    def __init__(
        self,
        over: Over = "segments",
        readout: Literal["last", "mean", "max"] = "max",
        hidden: Annotated[int, Range(1)] = 128,
        layers: Annotated[int, Range(1)] = 1,
        bidirectional: bool = True,
        dropout: Annotated[float, Range(0, below=1)] = 0.2,
        max_steps: Annotated[int, Range(1)] = 512,
        training: Training | None = None,
        class_weight: ClassWeight = "effective",
        seed: Annotated[int, Range(0)] = 0,
    ) -> None:
        self.over = over
        self.readout = readout
        self.hidden = hidden
        self.layers = layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.max_steps: int = max_steps
        self.training = training
        self.class_weight = class_weight
        self.seed = seed

    def build(self, dim: int, labels: int) -> nn.Module:
        """A Batch of (documents, steps, dim) -> (documents, labels) logits."""
        between = self.dropout if self.layers > 1 else 0.0
        recurrence = self.kind(
            dim, self.hidden, self.layers, batch_first=True, dropout=between, bidirectional=self.bidirectional
        )
        return Recurrence(recurrence, labels, self.readout, self.dropout)


class Recurrence(nn.Module):
    """Packed sequences through an LSTM or a GRU; its states to logits."""

    def __init__(self, layer: nn.LSTM | nn.GRU, labels: int, readout: str, dropout: float) -> None:
        super().__init__()
        self.layer = layer
        self.readout = readout
        self.dropout = Dropout(dropout)
        self.directions = 2 if layer.bidirectional else 1
        self.output = nn.Linear(self.directions * layer.hidden_size, labels)
        recurrent(layer)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        states, last = self.layer(packed(batch._replace(steps=self.dropout(batch.steps))))
        last = last[0] if isinstance(last, tuple) else last  # an LSTM also gives its cells
        logits: torch.Tensor = self.output(self.dropout(self._read(states, last, batch)))
        return logits

    def _read(self, states: nn.utils.rnn.PackedSequence, last: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(documents, directions * hidden)."""
        if self.readout == "last":
            return torch.cat(tuple(last[-self.directions :]), dim=1)
        if self.readout == "max":
            return nn.utils.rnn.pad_packed_sequence(states, batch_first=True, padding_value=-torch.inf)[0].amax(dim=1)
        total = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)[0].sum(dim=1)
        return total / batch.lengths[:, None]


def packed(batch: Batch) -> nn.utils.rnn.PackedSequence:
    """The first step of each document, then the second of those that have one, and so on; no padding on the way."""
    lengths = batch.lengths.cpu()
    order = lengths.argsort(descending=True, stable=True)
    first = (lengths.cumsum(0) - lengths)[order]
    time = torch.arange(int(lengths.max()))[:, None]
    own = time < lengths[order]
    steps = batch.steps.index_select(0, (first + time)[own].to(batch.steps.device))
    order = order.to(batch.steps.device)
    return nn.utils.rnn.PackedSequence(steps, own.sum(dim=1), order, order.argsort())
