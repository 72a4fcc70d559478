"""Recurrent networks over a document's vectors, which `lstm` and `gru` share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from torch import nn

from heads.core.hyperparameters import Help, Range, Search
from heads.training.document_batches import Batch
from heads.training.dropout import Dropout
from heads.training.initialization import initialize_recurrent
from heads.training.sequence_head import SequenceHead

__all__ = ["Recurrence", "RecurrentHead"]

# time steps per call of the recurrence on a CPU
BLOCK = 32


@dataclass(eq=False, repr=False, kw_only=True)
class RecurrentHead(SequenceHead):
    """A recurrent network over a document's segments, chunks or tokens; a subclass chooses the cell."""

    cell: ClassVar[type[nn.LSTM] | type[nn.GRU]]

    readout: Annotated[
        Literal["last", "mean", "max"],
        Help("what is classified: the last state of each direction, or the mean or maximum of all states"),
        Search(),
    ] = "max"
    hidden: Annotated[int, Range(1), Help("units per direction"), Search(32, 256, log=True)] = 128
    layers: Annotated[int, Range(1), Help("number of recurrent layers"), Search(1, 2)] = 1
    bidirectional: Annotated[bool, Help("also read the document from its end"), Search()] = True
    dropout: Annotated[
        float, Range(0, below=1), Help("dropout rate of inputs, between layers and of the readout"), Search(0, 0.6)
    ] = 0.2

    def build(self, dim: int, labels: int) -> nn.Module:
        """A network that maps a Batch to logits, float32 (documents, labels)."""
        between = self.dropout if self.layers > 1 else 0.0
        recurrence = self.cell(
            dim, self.hidden, self.layers, batch_first=True, dropout=between, bidirectional=self.bidirectional
        )
        return Recurrence(recurrence, labels, self.readout, self.dropout)


class Recurrence(nn.Module):
    """An LSTM or GRU over packed sequences, and a linear layer on its states."""

    def __init__(self, layer: nn.LSTM | nn.GRU, labels: int, readout: str, dropout: float) -> None:
        super().__init__()
        self.layer = layer
        self.readout = readout
        self.dropout = Dropout(dropout)
        self.output = nn.Linear((2 if layer.bidirectional else 1) * layer.hidden_size, labels)
        initialize_recurrent(layer)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        # on a CPU in float32: oneDNN refuses some shapes of an LSTM in bfloat16
        with torch.autocast("cpu", enabled=False):
            states = hidden_states(self.layer, batch._replace(vectors=self.dropout(batch.vectors)))
        logits: torch.Tensor = self.output(self.dropout(self._read_out(states, batch)))
        return logits

    def _read_out(self, states: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(documents, directions * hidden)."""
        if self.readout == "last":
            ends, hidden = batch.lengths.cumsum(0), self.layer.hidden_size
            # the second direction ends at the first position of the document
            return torch.cat([states[ends - 1, :hidden], states[ends - batch.lengths, hidden:]], dim=1)
        return batch.pad(states, -torch.inf).amax(dim=1) if self.readout == "max" else batch.mean(states)


def hidden_states(layer: nn.LSTM | nn.GRU, batch: Batch) -> torch.Tensor:
    """The states of the last layer, float32 (all positions, directions * hidden), in the order of the batch."""
    order = time_order(batch.lengths.cpu())
    if batch.vectors.device.type == "cpu" and len(order.sizes) > BLOCK:
        return _states_in_blocks(layer, batch.vectors, order)
    index = order.forward.to(batch.vectors.device)
    states = layer(nn.utils.rnn.PackedSequence(batch.vectors.index_select(0, index), order.sizes))[0].data
    return torch.empty_like(states).index_copy(0, index, states)


class TimeOrder(NamedTuple):
    """Positions sorted by time: the first of each document, longest document first, then the second ones, and so on.

    forward: int64 (all positions,). backward: the same with each document read from its end. sizes: documents per time.
    """

    forward: torch.Tensor
    backward: torch.Tensor
    sizes: torch.Tensor


def time_order(lengths: torch.Tensor) -> TimeOrder:
    """The order in which a recurrence reads concatenated documents of these lengths."""
    longest_first = lengths.argsort(descending=True, stable=True)
    ends, lengths = lengths.cumsum(0)[longest_first], lengths[longest_first]
    time = torch.arange(int(lengths[0]))[:, None]
    is_real = time < lengths
    return TimeOrder((ends - lengths + time)[is_real], (ends - 1 - time)[is_real], is_real.sum(dim=1))


def _states_in_blocks(layer: nn.LSTM | nn.GRU, vectors: torch.Tensor, order: TimeOrder) -> torch.Tensor:
    """The same states; torch's gradient on a CPU takes time quadratic in the length of the longest document."""
    directions = (order.forward, order.backward)[: 2 if layer.bidirectional else 1]
    for number in range(layer.num_layers):
        states = []
        for direction, index in enumerate(directions):
            weights = layer.all_weights[number * len(directions) + direction]
            ordered = _direction_states(layer, weights, vectors.index_select(0, index), order.sizes)
            states.append(torch.empty_like(ordered).index_copy(0, index, ordered))
        vectors = torch.cat(states, dim=1)
        if number + 1 < layer.num_layers:
            vectors = nn.functional.dropout(vectors, layer.dropout, layer.training)
    return vectors


def _direction_states(
    layer: nn.LSTM | nn.GRU, weights: Sequence[torch.Tensor], vectors: torch.Tensor, sizes: torch.Tensor
) -> torch.Tensor:
    """States of one layer and direction, (all positions, hidden), computed one block of times after the other."""
    is_lstm = isinstance(layer, nn.LSTM)
    apply: Any = torch.lstm if is_lstm else torch.gru  # the variant for packed sequences, which torch does not type
    zeros = vectors.new_zeros(1, int(sizes[0]), layer.hidden_size)
    state: tuple[torch.Tensor, ...] = (zeros, zeros) if is_lstm else (zeros,)
    blocks: list[torch.Tensor] = []
    block_sizes = torch.split(sizes, BLOCK)
    block_vectors = torch.split(vectors, [int(block.sum()) for block in block_sizes])
    for times, block in zip(block_sizes, block_vectors, strict=True):
        state = tuple(tensor[:, : int(times[0])] for tensor in state)
        initial = state if is_lstm else state[0]
        states, *last = apply(block, times, initial, weights, layer.bias, 1, 0.0, layer.training, False)
        state = tuple(last)
        blocks.append(states)
    return torch.cat(blocks)
