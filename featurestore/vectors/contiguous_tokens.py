"""The text behind token ids: tokens that neighbouring chunks share counted once, and what did not follow each other."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from featurestore.vectors.ragged import Ragged
from featurestore.vectors.recipe import Recipe


@dataclass(frozen=True)
class ChunkLayout:
    """How documents were cut into chunks, as far as their tokens tell no more.

    window: tokens a chunk at most. stride: tokens at the start of a chunk that the one before it has too.
    apart: of a document longer than a window, its first and last half windows are kept, which were not neighbours.
    """

    window: int
    stride: int
    has_gap: bool

    @property
    def differs_from_text(self) -> bool:
        """Whether tokens, one chunk behind the other, are something else than the text."""
        return bool(self.stride or self.has_gap)

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """As stages/embed/windows/windowing.py does it by this recipe."""
        return cls(recipe.window, recipe.stride, recipe.long == "head-tail")


@dataclass(frozen=True, eq=False)
class ContiguousTokens:
    """Runs of tokens that stood one behind the other in the text, each token of it once.

    ids: int32 (tokens,). passage, document: int64 (tokens,), which each token is of; neither ever falls. A passage
    never reaches into a second document.
    """

    ids: NDArray[np.int32]
    passage: NDArray[np.int64]
    document: NDArray[np.int64]

    @classmethod
    def from_chunks(cls, ids: Ragged, cut: ChunkLayout | None) -> Self:
        """From a document's tokens as chunks have them, one chunk after the other; without a cut they are its text.

        Every chunk but a document's last has `window` tokens wherever chunks share some. A document of the two halves
        of a window is not told from one that fits a window: both are two passages.
        """
        values, document = ids.gather()[0], np.repeat(np.arange(len(ids)), ids.length)
        if cut is None or not cut.differs_from_text:
            return cls(values, document, document)
        if cut.has_gap:
            tail = (ids.length[document] == cut.window) & (_places(ids) >= cut.window - cut.window // 2)
            return cls(values, 2 * document + tail, document)
        own = cls.first_occurrences(ids, cut)
        return cls(values[own], document[own], document[own])

    @staticmethod
    def first_occurrences(ids: Ragged, cut: ChunkLayout | None) -> NDArray[np.bool_]:
        """Which of a document's tokens, as chunks have them, are those of `of`: all but what the chunk before has."""
        place = _places(ids)
        if cut is None or not cut.stride:
            return np.ones(len(place), dtype=bool)
        return (place < cut.window) | (place % cut.window >= cut.stride)


def _places(ids: Ragged) -> NDArray[np.int64]:
    """Each token's place in its document, counted from 0."""
    ends = ids.length.cumsum()
    return np.arange(ids.length.sum()) - np.repeat(ends - ids.length, ids.length)
