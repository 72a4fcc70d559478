"""Documents as windows of token ids. Everything is flat, with offsets."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def offsets_from_counts(counts: Integers) -> Integers:
    """Where each of `counts` starts in what they cut, and the end of the last: int64, one longer than `counts`."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def expand_ranges(starts: Integers, counts: Integers) -> Integers:
    """start, start+1, ... for each of `starts`, `counts` of them, one after another."""
    offsets = offsets_from_counts(counts)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)


@dataclass(frozen=True)
class Windows:
    """Documents cut into windows.

    ids: int32 (tokens,), the tokens of all documents, no special ones. tokens: int64 (documents,), how many each has.
    dropped: int64 (documents,), how many of them are in no window. offsets: int64 (documents + 1,), which windows are
    whose. start, length: int64 (windows,) into `ids`. span: int64 (windows, 2), characters of the text from which to
    which.
    """

    ids: NDArray[np.int32]
    tokens: Integers
    dropped: Integers
    offsets: Integers
    start: Integers
    length: Integers
    span: Integers

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def tokens_to_encode(self) -> Integers:
        """int64 (documents,): tokens that the encoder has to read, shared ones as often as they are read."""
        return np.add.reduceat(self.length, self.offsets[:-1]) if len(self) else self.tokens

    def select(self, documents: Integers) -> Self:
        """The windows of some documents, in their order; `ids` is shared, not copied."""
        counts = np.diff(self.offsets)[documents]
        rows = expand_ranges(self.offsets[:-1][documents], counts)
        return type(self)(
            self.ids,
            self.tokens[documents],
            self.dropped[documents],
            offsets_from_counts(counts),
            self.start[rows],
            self.length[rows],
            self.span[rows],
        )

    def window_ids(self) -> NDArray[np.int32]:
        """The tokens of every window, one after another: int32 (sum of `length`,)."""
        return self.ids[expand_ranges(self.start, self.length)]
