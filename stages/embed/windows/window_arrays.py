"""Documents as windows of token ids, in flat arrays with offsets."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def offsets_from_counts(counts: Integers) -> Integers:
    """Return the offsets of consecutive groups of these sizes: int64, from 0 to the total, one longer than `counts`."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def expand_ranges(starts: Integers, counts: Integers) -> Integers:
    """Concatenate the ranges start, start + 1, ... of the given starts and counts: int64 (sum of `counts`,)."""
    offsets = offsets_from_counts(counts)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)


@dataclass(frozen=True)
class Windows:
    """Documents cut into windows.

    Attributes:
        ids: int32 (tokens,), the tokens of all documents, without special tokens.
        tokens: int64 (documents,), tokens per document.
        dropped: int64 (documents,), how many of them are in no window.
        unknown: int64 (documents,), how many of them are the token for what the vocabulary lacks.
        offsets: int64 (documents + 1,), the first window of each document, and the number of windows.
        start: int64 (windows,), the index in `ids` of each window's first token.
        length: int64 (windows,), tokens per window.
        span: int64 (windows, 2), each window's first character in the text, and the one after its last.
    """

    ids: NDArray[np.int32]
    tokens: Integers
    dropped: Integers
    unknown: Integers
    offsets: Integers
    start: Integers
    length: Integers
    span: Integers

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def tokens_to_encode(self) -> Integers:
        """int64 (documents,): tokens in all windows; a token that windows share counts once per window."""
        return np.add.reduceat(self.length, self.offsets[:-1]) if len(self) else self.tokens

    @property
    def mostly_unknown(self) -> int:
        """How many documents consist, for more than half of their tokens, of what the vocabulary lacks."""
        return int(np.count_nonzero(2 * self.unknown > self.tokens))

    def select(self, documents: Integers) -> Self:
        """Return the windows of the documents with these numbers, in that order; `ids` is shared, not copied."""
        counts = np.diff(self.offsets)[documents]
        rows = expand_ranges(self.offsets[:-1][documents], counts)
        return type(self)(
            self.ids,
            self.tokens[documents],
            self.dropped[documents],
            self.unknown[documents],
            offsets_from_counts(counts),
            self.start[rows],
            self.length[rows],
            self.span[rows],
        )

    def window_ids(self) -> NDArray[np.int32]:
        """Return the tokens of all windows, window after window: int32 (sum of `length`,)."""
        return self.ids[expand_ranges(self.start, self.length)]
