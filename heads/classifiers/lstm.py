"""An LSTM that reads a document's vectors in order: recurrence over BERT."""

from typing import ClassVar

from torch import nn

from heads.classifiers.recurrent import RecurrentHead

__all__ = ["LSTMHead"]


class LSTMHead(RecurrentHead):
    """An LSTM over a document's segments, chunks or tokens; RoBERT of Pappagari et al. 2019.

    In the paper (arXiv 1910.10781, section 3.2) one direction reads the cls vectors of chunks and its last state is
    classified. Short documents have one chunk, so segments are read here, in both directions.
    """

    name: ClassVar[str] = "lstm"
    cell: ClassVar[type[nn.LSTM] | type[nn.GRU]] = nn.LSTM
