"""Where the chunks, segments and tokens of a document lie, and which of them contain which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData
from stages.embed.windows.windowing import Windowing

Integers = NDArray[np.int64]

# from coarse to fine
LEVELS = ("chunks", "segments", "tokens")
# units of tokens that no view has items of
WORDS = "words"
# view of Bags -> level of its items; any other view belongs to the document as a whole
VIEW_LEVELS = {"cls": "chunks", "mean": "chunks", "max": "chunks"} | {
    "segments": "segments",
    "tokens": "tokens",
    "token_ids": "tokens",
}


def finest_level(views: Sequence[str]) -> str | None:
    """The finest level of these views; None if none of them has a level."""
    levels = {VIEW_LEVELS[view] for view in views if view in VIEW_LEVELS}
    return next((level for level in reversed(LEVELS) if level in levels), None)


@dataclass(frozen=True)
class TokenLayout:
    """How the tokens of a document, numbered chunk by chunk as in the store, form chunks, segments and words.

    Attributes:
        length: int64 (chunks,), number of tokens of each chunk.
        segment: tokens per segment; 0 if segments are not kept.
        word_starts: bool (tokens,), which tokens begin a word, as the first of each chunk does; None if unknown.
    """

    length: Integers
    segment: int
    word_starts: NDArray[np.bool_] | None = None

    def bounds(self, level: str) -> Integers:
        """The first token of each unit and the one after its last token: int64 (units, 2)."""
        ends = np.cumsum(self.length)
        if level == "chunks":
            return np.stack([ends - self.length, ends], axis=1)
        if level == WORDS:
            firsts = np.flatnonzero(self._known_word_starts)
            return np.stack([firsts, np.append(firsts[1:], ends[-1:])[: len(firsts)]], axis=1)
        size = self.segment if level == "segments" else 1
        firsts = (ends - self.length)[self.chunks(level)] + size * self.numbers(level)
        return np.stack([firsts, np.minimum(firsts + size, ends[self.chunks(level)])], axis=1)

    def chunks(self, level: str) -> Integers:
        """The chunk of each unit, counted from 0: int64 (units,)."""
        return np.repeat(np.arange(len(self.length)), self._counts(level))

    def numbers(self, level: str) -> Integers:
        """The number of each unit within its chunk, counted from 0: int64 (units,)."""
        counts = self._counts(level)
        return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)

    def owners(self, level: str, by: str) -> Integers | None:
        """The unit of level `by` that contains each unit of `level`, int64 (units,); None if `by` is finer."""
        if by == WORDS:
            return np.cumsum(self._known_word_starts) - 1 if level == "tokens" else None
        if LEVELS.index(level) < LEVELS.index(by):
            return None
        if by == "chunks":
            return self.chunks(level)
        count = len(self.chunks(by))
        return np.arange(count) if level == by else np.repeat(np.arange(count), np.diff(self.bounds(by))[:, 0])

    def owners_of(self, views: Sequence[str], by: str) -> dict[str, Integers | None]:
        """`owners` for the items of each view; None also for a view without a level."""
        return {view: self.owners(VIEW_LEVELS[view], by) if view in VIEW_LEVELS else None for view in views}

    def count(self, level: str) -> int:
        """The number of units of a level."""
        return int(self._counts(level).sum())

    def _counts(self, level: str) -> Integers:
        if level == "chunks":
            return np.ones_like(self.length)
        if level == WORDS:
            return np.bincount(self.chunks("tokens")[self._known_word_starts], minlength=len(self.length))
        # an empty chunk has one segment
        return np.maximum(-(-self.length // self.segment), 1) if level == "segments" else self.length

    @property
    def _known_word_starts(self) -> NDArray[np.bool_]:
        if self.word_starts is None:
            raise ValueError("the words of this document are unknown")
        return self.word_starts


def chunk_lengths(name: str, tokens: int, dropped: int, chunks: int, windowing: Windowing) -> Integers:
    """The number of tokens of each chunk of a document, from what a store keeps.

    Args:
        name: id of the document.
        tokens: number of tokens in all chunks.
        dropped: number of tokens in no chunk.
        chunks: number of chunks.
        windowing: how documents are split into chunks.

    Returns:
        int64 (chunks,).

    Raises:
        BadData: chunks end with sentences, which only the text tells.
    """
    if chunks == 1:
        return np.array([tokens])
    if windowing.strategy == "sentences":
        raise BadData(
            f"The chunks of '{name}' follow from its sentences, so its text is needed: `explain --source` names a file "
            "that has it, and --encoder the encoder if that has moved."
        )
    total = tokens - (chunks - 1) * windowing.stride + dropped
    return windowing.bounds(np.array([total])).length
