"""Recurrence over a document's vectors: what `lstm` and `gru` share."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from torch import nn

from heads.core.class_weights import ClassWeight
from heads.core.hyperparameters import Range, Search
from heads.training.document_batches import Batch
from heads.training.dropout import Dropout
from heads.training.initialization import recurrent
from heads.training.loop import Training
from heads.training.sequence_head import Over, SequenceHead

__all__ = ["Recurrence", "RecurrentHead"]

# times that a gradient goes through at once
BLOCK = 32


class RecurrentHead(SequenceHead):
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
        readout: Annotated[Literal["last", "mean", "max"], Search()] = "max",
        hidden: Annotated[int, Range(1), Search(32, 256, log=True)] = 128,
        layers: Annotated[int, Range(1), Search(1, 2)] = 1,
        bidirectional: Annotated[bool, Search()] = True,
        dropout: Annotated[float, Range(0, below=1), Search(0, 0.6)] = 0.2,
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
        self.output = nn.Linear((2 if layer.bidirectional else 1) * layer.hidden_size, labels)
        recurrent(layer)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        states = states_of(self.layer, batch._replace(steps=self.dropout(batch.steps)))
        logits: torch.Tensor = self.output(self.dropout(self._read(states, batch)))
        return logits

    def _read(self, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(documents, directions * hidden)."""
        if self.readout == "last":
            ends, hidden = batch.lengths.cumsum(0), self.layer.hidden_size
            # the second direction ends where the document begins
            return torch.cat([states[ends - 1, :hidden], states[ends - batch.lengths, hidden:]], dim=1)
        return batch.padded(states, -torch.inf).amax(dim=1) if self.readout == "max" else batch.mean(states)


def states_of(layer: nn.LSTM | nn.GRU, batch: Batch) -> torch.Tensor:
    """The last layer's states, float32 (all steps, directions * hidden), in the order of the batch's steps."""
    order = time_first(batch.lengths.cpu())
    if batch.steps.device.type == "cpu" and len(order.sizes) > BLOCK:
        return _in_blocks(layer, batch.steps, order)
    index = order.forward.to(batch.steps.device)
    states = layer(nn.utils.rnn.PackedSequence(batch.steps.index_select(0, index), order.sizes))[0].data
    return torch.empty_like(states).index_copy(0, index, states)


class TimeFirst(NamedTuple):
    """Places of the first step of each document, longest document first, then of each second step, and so on.

    forward: int64 (all steps,); backward: the same with each document read from its end; sizes: documents a time.
    """

    forward: torch.Tensor
    backward: torch.Tensor
    sizes: torch.Tensor


def time_first(lengths: torch.Tensor) -> TimeFirst:
    """The order in which a recurrence reads documents of these lengths that lie one after the other."""
    longest_first = lengths.argsort(descending=True, stable=True)
    ends, lengths = lengths.cumsum(0)[longest_first], lengths[longest_first]
    time = torch.arange(int(lengths[0]))[:, None]
    own = time < lengths
    return TimeFirst((ends - lengths + time)[own], (ends - 1 - time)[own], own.sum(dim=1))


def _in_blocks(layer: nn.LSTM | nn.GRU, steps: torch.Tensor, order: TimeFirst) -> torch.Tensor:
    """As the layer itself; torch's gradient on a processor takes time of the square of the longest document."""
    directions = (order.forward, order.backward)[: 2 if layer.bidirectional else 1]
    for number in range(layer.num_layers):
        states = []
        for direction, index in enumerate(directions):
            weights = layer.all_weights[number * len(directions) + direction]
            read = _one_way(layer, weights, steps.index_select(0, index), order.sizes)
            states.append(torch.empty_like(read).index_copy(0, index, read))
        steps = torch.cat(states, dim=1)
        if number + 1 < layer.num_layers:
            steps = nn.functional.dropout(steps, layer.dropout, layer.training)
    return steps


def _one_way(
    layer: nn.LSTM | nn.GRU, weights: Sequence[torch.Tensor], steps: torch.Tensor, sizes: torch.Tensor
) -> torch.Tensor:
    """States of one layer and direction, (all steps, hidden), a block of times after the other."""
    gated = isinstance(layer, nn.LSTM)
    apply: Any = torch.lstm if gated else torch.gru  # of packed steps; torch types another form
    start = steps.new_zeros(1, int(sizes[0]), layer.hidden_size)
    state: tuple[torch.Tensor, ...] = (start, start) if gated else (start,)
    found: list[torch.Tensor] = []
    blocks = torch.split(sizes, BLOCK)
    for times, own in zip(blocks, torch.split(steps, [int(each.sum()) for each in blocks]), strict=True):
        state = tuple(each[:, : int(times[0])] for each in state)
        given = state if gated else state[0]
        states, *last = apply(own, times, given, weights, layer.bias, 1, 0.0, layer.training, False)
        state = tuple(last)
        found.append(states)
    return torch.cat(found)
