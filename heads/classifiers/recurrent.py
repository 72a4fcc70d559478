"""Recurrent networks over a document's vectors, which `lstm` and `gru` share."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import nn

from heads.core.hyperparameters import Help, Range, Search
from heads.training.document_batches import Batch
from heads.training.dropout import Dropout
from heads.training.initialization import initialize_recurrent
from heads.training.recurrence import TimeOrder, recurrent_states
from heads.training.sequence_head import SequenceHead

__all__ = ["Recurrence", "RecurrentHead"]


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
    if batch.vectors.device.type == "cpu":
        return recurrent_states(layer, batch.vectors, batch.lengths)
    order = TimeOrder.of(batch.lengths.cpu())
    index = order.forward.to(batch.vectors.device)
    states = layer(nn.utils.rnn.PackedSequence(batch.vectors.index_select(0, index), order.sizes))[0].data
    return torch.empty_like(states).index_copy(0, index, states)
