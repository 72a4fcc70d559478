"""An LSTM that reads a document's vectors in order: recurrence over BERT."""

from typing import Annotated, Literal

import torch
from torch import nn

from featurestore import Bags
from heads.batches import Batch
from heads.initialise import recurrent
from heads.neural import NeuralHead
from heads.parameters import Range
from heads.training import Training
from heads.weights import ClassWeight

__all__ = ["LSTMHead"]

STEPS = {"segments": ("segments",), "chunks": ("cls", "mean"), "tokens": ("tokens",)}


class LSTMHead(NeuralHead):
    """Scores from an LSTM over a document's segments, chunks or tokens; RoBERT of Pappagari et al. 2019.

    There (arXiv 1910.10781, section 3.2) one direction reads the cls vectors of chunks and its last state is
    classified. Short documents have one chunk, so here segments are read, in both directions.

    Parameters
    ----------
    over : the steps: segments, chunks (cls and mean side by side, those that are kept) or tokens
    readout : what is classified: the last state of each direction, or the mean or maximum of all states
    hidden : units a direction
    layers : LSTM layers, one upon the other
    bidirectional : whether a second one reads from the end
    dropout : share of inputs, of units between layers and of the readout that are dropped in training
    max_steps : steps of a document that are read, from its start
    training : how it learns; its parameters are `training__lr` and so on, as scikit-learn nests them
    class_weight, seed : as in every head
    """

    name = "lstm"

    def __init__(
        self,
        over: Literal["segments", "chunks", "tokens"] = "segments",
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
        self.max_steps = max_steps
        self.training = training
        self.class_weight = class_weight
        self.seed = seed

    def _views(self) -> tuple[str, ...]:
        return STEPS[self.over]

    def _available(self, bags: Bags) -> tuple[str, ...]:
        return tuple(view for view in self._views() if view in bags.views) or self._views()

    def build(self, dim: int, labels: int) -> nn.Module:
        """A Batch of (documents, steps, dim) -> (documents, labels) logits."""
        between = self.dropout if self.layers > 1 else 0.0
        lstm = nn.LSTM(
            dim, self.hidden, self.layers, batch_first=True, dropout=between, bidirectional=self.bidirectional
        )
        return Recurrence(lstm, labels, self.readout, self.dropout)


class Recurrence(nn.Module):
    """Packed sequences through an LSTM; its states to logits."""

    def __init__(self, lstm: nn.LSTM, labels: int, readout: str, dropout: float) -> None:
        super().__init__()
        self.lstm = lstm
        self.readout = readout
        self.dropout = nn.Dropout(dropout)
        self.directions = 2 if lstm.bidirectional else 1
        self.output = nn.Linear(self.directions * lstm.hidden_size, labels)
        recurrent(lstm)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits, float32 (documents, labels)."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.dropout(batch.vectors), batch.lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, (last, _) = self.lstm(packed)
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
