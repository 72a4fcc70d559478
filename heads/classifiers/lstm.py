"""An LSTM that reads a document's vectors in order: recurrence over BERT."""

from torch import nn

from heads.classifiers.recurrent import RecurrentHead

__all__ = ["LSTMHead"]


class LSTMHead(RecurrentHead):
    """Scores from an LSTM over a document's segments, chunks or tokens; RoBERT of Pappagari et al. 2019.

    There (arXiv 1910.10781, section 3.2) one direction reads the cls vectors of chunks and its last state is
    classified. Short documents have one chunk, so here segments are read, in both directions.

    Its parameters are those of `RecurrentHead`.
    """

    name = "lstm"
    kind = nn.LSTM
