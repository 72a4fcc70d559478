"""Training texts: the windows that `embed` would read of the documents, with the words in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stages.embed.encoder.encoder import Encoder
from stages.embed.windows.window_arrays import Windows

Integers = NDArray[np.int64]

# a "word" of more tokens is a sentence of a script without spaces, or no word at all: each of its tokens is one
LONGEST_WORD = 8


@dataclass(frozen=True)
class TrainingWindows:
    """The windows of some documents, as an encoder reads them.

    Attributes:
        windows: Token ids, without special tokens and prefix.
        words: int64 (tokens,), the word of each token of `windows.ids`; equal for neighbors in one word.
        chosen: int64 (training windows,), the numbers of the windows that are learned from.
        document: int64 (training windows,), the document of each, numbered as the texts were given.
        opening: Token ids in front of a window's own.
        closing: Token ids behind them.
        pad_id: The id of padding.
    """

    windows: Windows
    words: Integers
    chosen: Integers
    document: Integers
    opening: tuple[int, ...]
    closing: tuple[int, ...]
    pad_id: int

    @classmethod
    def of(cls, texts: Sequence[str], encoder: Encoder, *, least_words: int) -> Self:
        """Cut texts into windows, and leave out those with fewer than `least_words` words."""
        windows = encoder.tokenizer.tokenize(texts, encoder.windowing)
        words = _number_words(list(encoder.tokenizer.word_numbers(texts)))
        chosen = np.flatnonzero(_count_words(words, windows) >= least_words)
        document = np.repeat(np.arange(len(windows)), np.diff(windows.offsets))[chosen]
        return cls(windows, words, chosen, document, encoder.opening, encoder.closing, encoder.pad_id)

    def __len__(self) -> int:
        return len(self.chosen)

    @cached_property
    def lengths(self) -> Integers:
        """Positions per window, special tokens and prefix included: int64 (training windows,)."""
        return self.windows.length[self.chosen] + len(self.opening) + len(self.closing)

    def tokens(self, number: int) -> tuple[Integers, Integers]:
        """The token ids of a window, without special tokens, and the word of each: int64 (tokens,) both."""
        start, length = self.windows.start[self.chosen[number]], self.windows.length[self.chosen[number]]
        return self.windows.ids[start : start + length].astype(np.int64), self.words[start : start + length]

    def of_documents(self, documents: Integers) -> Self:
        """Only the windows of the documents with these numbers."""
        return self._select(np.flatnonzero(np.isin(self.document, documents)))

    def first_of_each_text(self) -> Self:
        """The same without windows whose tokens an earlier window has: equal texts would be learned twice."""
        seen: set[bytes] = set()
        kept = []
        for number in range(len(self)):
            content = self.tokens(number)[0].tobytes()
            if content not in seen:
                seen.add(content)
                kept.append(number)
        return self._select(np.array(kept, dtype=np.int64))

    def _select(self, numbers: Integers) -> Self:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return type(self)(**fields | {"chosen": self.chosen[numbers], "document": self.document[numbers]})


def _number_words(documents: Sequence[Integers]) -> Integers:
    """The word of each token, counted through all documents; the tokens of overlong words are words of their own."""
    if not documents:
        return np.zeros(0, np.int64)
    words = np.concatenate(documents)
    is_first = np.ones(len(words), dtype=bool)
    is_first[1:] = (np.diff(words) != 0) | (words[1:] < 0)
    is_first[np.cumsum([0, *map(len, documents[:-1])])[[bool(len(each)) for each in documents]]] = True
    number = np.cumsum(is_first)
    is_first |= np.bincount(number)[number] > LONGEST_WORD
    return np.cumsum(is_first)


def _count_words(words: Integers, windows: Windows) -> Integers:
    """The number of words in each window, int64 (windows,); the first and the last one may be cut."""
    counts, filled = np.zeros(len(windows.length), dtype=np.int64), np.flatnonzero(windows.length)
    first, last = windows.start[filled], windows.start[filled] + windows.length[filled] - 1
    counts[filled] = words[last] - words[first] + 1
    return counts
