"""Where the chunks, segments and tokens of one document lie, and which of them lie in which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData
from stages.embed.windows.windowing import Windowing

Integers = NDArray[np.int64]

# from coarse to fine
LEVELS = ("chunks", "segments", "tokens")
# view of Bags -> what its items are; another view belongs to the document as a whole
VIEW_LEVELS = {"cls": "chunks", "mean": "chunks", "max": "chunks"} | {
    "segments": "segments",
    "tokens": "tokens",
    "token_ids": "tokens",
}


def finest_level(views: Sequence[str]) -> str | None:
    """The finest level of these views' items; None where none of them has a place in the text."""
    found = {VIEW_LEVELS[view] for view in views if view in VIEW_LEVELS}
    return next((level for level in reversed(LEVELS) if level in found), None)


@dataclass(frozen=True)
class TokenLayout:
    """How a document's tokens, counted chunk by chunk as the store keeps them, lie in chunks and segments.

    length: int64 (chunks,), tokens of each chunk. segment: tokens a segment, 0 where segments are not kept.
    """

    length: Integers
    segment: int

    def bounds(self, level: str) -> Integers:
        """The first token of each item and the one after its last: int64 (items, 2)."""
        ends = np.cumsum(self.length)
        if level == "chunks":
            return np.stack([ends - self.length, ends], axis=1)
        size = self.segment if level == "segments" else 1
        firsts = (ends - self.length)[self.chunks(level)] + size * self.numbers(level)
        return np.stack([firsts, np.minimum(firsts + size, ends[self.chunks(level)])], axis=1)

    def chunks(self, level: str) -> Integers:
        """The chunk of each item, counted from 0: int64 (items,)."""
        return np.repeat(np.arange(len(self.length)), self._counts(level))

    def numbers(self, level: str) -> Integers:
        """Each item's number in its chunk, counted from 0: int64 (items,)."""
        counts = self._counts(level)
        return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)

    def owners(self, level: str, by: str) -> Integers | None:
        """Which item of level `by` each item of `level` lies in, int64 (items,); None where that is finer."""
        if LEVELS.index(level) < LEVELS.index(by):
            return None
        if by == "chunks":
            return self.chunks(level)
        count = len(self.chunks(by))
        return np.arange(count) if level == by else np.repeat(np.arange(count), np.diff(self.bounds(by))[:, 0])

    def owners_of(self, views: Sequence[str], by: str) -> dict[str, Integers | None]:
        """`owners` of the items of each view; None, too, for a view that has no place in the text."""
        return {view: self.owners(VIEW_LEVELS[view], by) if view in VIEW_LEVELS else None for view in views}

    def count(self, level: str) -> int:
        """How many items of that level the document has."""
        return int(self._counts(level).sum())

    def _counts(self, level: str) -> Integers:
        if level == "chunks":
            return np.ones_like(self.length)
        # an empty chunk has one segment
        return np.maximum(-(-self.length // self.segment), 1) if level == "segments" else self.length


def chunk_lengths(name: str, tokens: int, dropped: int, chunks: int, windowing: Windowing) -> Integers:
    """Tokens of each chunk, int64 (chunks,), of a document with so many in all chunks and `dropped` in none.

    Raises BadData where windows end with sentences, which the text alone tells.
    """
    if chunks == 1:
        return np.array([tokens])
    if windowing.strategy == "sentences":
        raise BadData(
            f"Where the chunks of '{name}' begin follows from its sentences: name a file that has its text with "
            "--source, and its encoder with --encoder if that has moved."
        )
    whole = tokens - (chunks - 1) * windowing.stride + dropped
    return windowing.bounds(np.array([whole])).length
