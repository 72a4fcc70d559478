"""A GRU that reads a document's vectors in order: recurrence over BERT with three quarters of an LSTM's weights."""

from typing import ClassVar

from torch import nn

from heads.classifiers.recurrent import RecurrentHead

__all__ = ["GRUHead"]


class GRUHead(RecurrentHead):
    """A gated recurrent unit (GRU) over a document's segments, chunks or tokens.

    `lstm` with the cell of Cho et al. 2014 (arXiv 1406.1078, section 2.3): RoBERT of Pappagari et al. 2019
    (arXiv 1910.10781, section 3.2) without a cell state, so with three gates instead of four.
    """

    name: ClassVar[str] = "gru"
    cell: ClassVar[type[nn.LSTM] | type[nn.GRU]] = nn.GRU
