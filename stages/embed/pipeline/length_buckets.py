"""A read-ahead pool of tokenised documents, from which slices of like lengths are taken."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.embed.encoder.encoder import Encoder
from stages.embed.windows.tokens import never_stop
from stages.embed.windows.window_arrays import Integers, Windows

# of a whole pool; the first is a small share of one, because the encoder waits for it, and each further one larger
POOL_DOCUMENTS = 30_000
POOL_CHARACTERS = 12_000_000
FIRST_SHARE = 1 / 32
GROWTH = 4


class LengthBuckets:
    """Documents not yet encoded, sorted by length.

    work, positions, bytes: int64 (documents,), a document's tokens as often as windows share them, what the encoder has
    to read of it, special tokens included, and what is kept of it. characters: of all texts together.
    """

    def __init__(self, keys: Sequence[str], windows: Windows, encoder: Encoder, characters: int) -> None:
        self.keys = keys
        self.characters = characters
        self.windows = windows
        counts = np.diff(windows.offsets)
        self.work = windows.tokens_to_encode
        self.positions = self.work + counts * encoder.extra_positions
        self.bytes = _kept_bytes(counts, self.work, encoder)
        self._left: Integers = np.argsort(windows.tokens, kind="stable")

    def __len__(self) -> int:
        return len(self._left)

    @property
    def left(self) -> int:
        """Positions that are not taken yet."""
        return int(self.positions[self._left].sum())

    def take(self, positions: float, limit: float, chance: random.Random) -> Integers:
        """Rows of neighbours in length, at least one, that together have about so many positions and no more bytes kept
        than `limit`. Where they start is random: two processes at one store seldom take the same."""
        shares = np.maximum(self.positions[self._left] / positions, self.bytes[self._left] / limit)
        ends = np.cumsum(shares)
        point = chance.uniform(0, max(ends[-1] - 1, 0))
        first = min(int(np.searchsorted(ends, point, side="right")), len(ends) - 1)
        stop = max(int(np.searchsorted(ends, point + 1, side="right")), first + 1)
        rows = self._left[first:stop]
        self._left = np.delete(self._left, slice(first, stop))
        return rows


def _kept_bytes(counts: Integers, work: Integers, encoder: Encoder) -> Integers:
    recipe = encoder.recipe
    items: NDArray[np.int64] = counts * sum(name in recipe.keep for name in ("cls", "mean", "max"))
    if "segments" in recipe.keep:
        items = items + counts + work // recipe.segment
    if "tokens" in recipe.keep:
        items = items + work
    number = 4 if recipe.dtype == "float32" else 2
    return items * (number * len(recipe.layers) * encoder.dim) + 4 * work + 100


def iter_length_buckets(
    pairs: Iterable[tuple[str, str]], encoder: Encoder, left: Callable[[], bool] = never_stop
) -> Iterator[LengthBuckets]:
    """Documents tokenised up to some tens of thousands at a time; CancelledError once `left` is true.

    pairs: key and text of each.
    """
    keys: list[str] = []
    texts: list[str] = []
    characters, share = 0, FIRST_SHARE
    for key, text in pairs:
        keys.append(key)
        texts.append(text)
        characters += len(text)
        if len(keys) >= share * POOL_DOCUMENTS or characters >= share * POOL_CHARACTERS:
            yield LengthBuckets(keys, encoder.tokenizer.tokenize(texts, encoder.windowing, left), encoder, characters)
            keys, texts, characters, share = [], [], 0, min(GROWTH * share, 1)
    if keys:
        yield LengthBuckets(keys, encoder.tokenizer.tokenize(texts, encoder.windowing, left), encoder, characters)
