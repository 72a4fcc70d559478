"""The tokens of the text from the tokens of overlapping chunks: shared tokens once, gaps between passages marked."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from featurestore.vectors.ragged import Ragged
from featurestore.vectors.recipe import Recipe


@dataclass(frozen=True)
class ChunkLayout:
    """How documents were split into chunks, which their tokens no longer show.

    window: the most tokens per chunk. stride: tokens at the start of a chunk that the previous chunk also has.
    has_gap: whether a document longer than a window keeps its first and last half windows, with a gap between them.
    """

    window: int
    stride: int
    has_gap: bool

    @property
    def differs_from_text(self) -> bool:
        """Whether the concatenated tokens of chunks differ from the tokens of the text."""
        return bool(self.stride or self.has_gap)

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Return the layout that `stages/embed/windows/windowing.py` produces for this recipe."""
        return cls(recipe.window, recipe.stride, recipe.long == "head-tail")


@dataclass(frozen=True, eq=False)
class ContiguousTokens:
    """The tokens of texts, each once, in passages: runs of tokens that are contiguous in the text.

    ids: int32 (tokens,). passage, document: int64 (tokens,), the passage and document of each token; neither decreases.
    A passage lies within one document.
    """

    ids: NDArray[np.int32]
    passage: NDArray[np.int64]
    document: NDArray[np.int64]

    @classmethod
    def from_chunks(cls, ids: Ragged, layout: ChunkLayout | None) -> Self:
        """Make the passages of documents from the tokens of their chunks; without a layout these are the text.

        If chunks overlap, every chunk except a document's last has `window` tokens. With a gap, a document of exactly
        `window` tokens always becomes two passages, as a shortened one cannot be recognized.
        """
        values, document = ids.gather()[0], np.repeat(np.arange(len(ids)), ids.length)
        if layout is None or not layout.differs_from_text:
            return cls(values, document, document)
        if layout.has_gap:
            tail = (ids.length[document] == layout.window) & (
                _token_positions(ids) >= layout.window - layout.window // 2
            )
            return cls(values, 2 * document + tail, document)
        first = cls.first_occurrences(ids, layout)
        return cls(values[first], document[first], document[first])

    @staticmethod
    def first_occurrences(ids: Ragged, layout: ChunkLayout | None) -> NDArray[np.bool_]:
        """Mask the tokens of chunks that the previous chunk does not have: bool (tokens,)."""
        position = _token_positions(ids)
        if layout is None or not layout.stride:
            return np.ones(len(position), dtype=bool)
        return (position < layout.window) | (position % layout.window >= layout.stride)


def _token_positions(ids: Ragged) -> NDArray[np.int64]:
    """The position of each token in its document, from 0: int64 (tokens,)."""
    ends = ids.length.cumsum()
    return np.arange(ids.length.sum()) - np.repeat(ends - ids.length, ids.length)
