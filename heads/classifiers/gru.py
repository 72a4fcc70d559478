"""A GRU that reads a document's vectors in order: recurrence over BERT with three quarters of an LSTM's weights."""

from torch import nn

from heads.classifiers.recurrent import RecurrentHead

__all__ = ["GRUHead"]


class GRUHead(RecurrentHead):
    """Scores from a gated recurrent unit over a document's segments, chunks or tokens.

    `lstm` with the cell of Cho et al. 2014 (arXiv 1406.1078, section 2.3): RoBERT of Pappagari et al. 2019
    (arXiv 1910.10781, section 3.2) without a cell state, so with three gates of weights in place of four.

    Its parameters are those of `RecurrentHead`.
    """

    name = "gru"
    kind = nn.GRU
