"""A read-ahead buffer of tokenized documents, from which slices of similar length are taken."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.embed.encoder.encoder import Encoder
from stages.embed.windows.tokens import never_stop
from stages.embed.windows.window_arrays import Integers, Windows

# the size of a full buffer; the first one is a small share of it, because the encoder waits for it, and each further
# one is larger
BUFFER_DOCUMENTS = 30_000
BUFFER_CHARACTERS = 12_000_000
FIRST_SHARE = 1 / 32
GROWTH = 4


class LengthBuckets:
    """Tokenized documents that are not encoded yet, sorted by length.

    tokens, positions, bytes: int64 (documents,), a document's tokens, shared ones once per window; the positions that
    the encoder reads of it, special tokens included; the bytes that are kept of it. characters: of all texts together.
    """

    def __init__(self, keys: Sequence[str], windows: Windows, encoder: Encoder, characters: int) -> None:
        self.keys = keys
        self.characters = characters
        self.windows = windows
        self.tokens = windows.tokens_to_encode
        self.positions = self.tokens + np.diff(windows.offsets) * encoder.extra_positions
        self.bytes = stored_bytes(windows, encoder)
        self._remaining: Integers = np.argsort(windows.tokens, kind="stable")

    def __len__(self) -> int:
        return len(self._remaining)

    @property
    def remaining_positions(self) -> int:
        """Positions of the documents that are not taken yet."""
        return int(self.positions[self._remaining].sum())

    def take_slice(self, positions: float, most_bytes: float, rng: random.Random) -> Integers:
        """Take documents of similar length.

        The slice starts at a random length: two processes that fill one store seldom take the same documents.

        Args:
            positions: about how many positions the slice has.
            most_bytes: most bytes that are kept of it.
            rng: for the start of the slice.

        Returns:
            The rows of the documents, int64, at least one.
        """
        remaining = self._remaining
        shares = np.maximum(self.positions[remaining] / positions, self.bytes[remaining] / most_bytes)
        ends = np.cumsum(shares)
        point = rng.uniform(0, max(ends[-1] - 1, 0))
        first = min(int(np.searchsorted(ends, point, side="right")), len(ends) - 1)
        stop = max(int(np.searchsorted(ends, point + 1, side="right")), first + 1)
        self._remaining = np.delete(remaining, slice(first, stop))
        return remaining[first:stop]


def stored_bytes(windows: Windows, encoder: Encoder) -> Integers:
    """The bytes that are kept of each document, int64 (documents,)."""
    counts, tokens, recipe = np.diff(windows.offsets), windows.tokens_to_encode, encoder.recipe
    items: NDArray[np.int64] = counts * sum(name in recipe.keep for name in ("cls", "mean", "max"))
    if "segments" in recipe.keep:
        items = items + counts + tokens // recipe.segment
    if "tokens" in recipe.keep:
        items = items + tokens
    bytes_per_number = 4 if recipe.dtype == "float32" else 2
    return items * (bytes_per_number * len(recipe.layers) * encoder.dim) + 4 * tokens + 100


def iter_length_buckets(
    pairs: Iterable[tuple[str, str]], encoder: Encoder, is_cancelled: Callable[[], bool] = never_stop
) -> Iterator[LengthBuckets]:
    """Tokenize documents, up to some tens of thousands at a time.

    Args:
        pairs: key and text of each document.
        encoder: its tokenizer and windowing are used.
        is_cancelled: whether the documents are no longer needed.

    Raises:
        CancelledError: `is_cancelled` returned true.
    """
    keys: list[str] = []
    texts: list[str] = []
    characters, share = 0, FIRST_SHARE

    def tokenize() -> LengthBuckets:
        windows = encoder.tokenizer.tokenize(texts, encoder.windowing, is_cancelled)
        return LengthBuckets(keys, windows, encoder, characters)

    for key, text in pairs:
        keys.append(key)
        texts.append(text)
        characters += len(text)
        if len(keys) >= share * BUFFER_DOCUMENTS or characters >= share * BUFFER_CHARACTERS:
            yield tokenize()
            keys, texts, characters, share = [], [], 0, min(GROWTH * share, 1)
    if keys:
        yield tokenize()
