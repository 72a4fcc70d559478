"""The strategies that cut a long document's tokens into windows, and the rule for the ends of sentences."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from stages.embed.windows.window_arrays import Integers, expand_ranges, offsets_from_counts

Fractions = NDArray[np.float64]

# full stops of scripts with spaces: Latin, Cyrillic, Arabic, Devanagari
_MARKS = r".!?\u2026\u061f\u06d4\u0964\u0965"
# full stops of Chinese and Japanese, which are not followed by a space
_WIDE_MARKS = r"\u3002\uff01\uff1f\uff0e\uff61"
_CLOSING = r"\"'\u2019\u201d\u00bb\u300d\u300f\uff09\u3011)\]}"
# possessive, and only from the first mark of a run, so that a long run of dots takes linear time
_SENTENCE_END = re.compile(
    rf"(?<![{_MARKS}])[{_MARKS}]++[{_CLOSING}]*+(?=\s|\Z)|[{_WIDE_MARKS}][{_WIDE_MARKS}{_CLOSING}]*|[\r\n\u2028\u2029]+"
)


@dataclass(frozen=True)
class WindowBounds:
    """The windows of documents, by the number of their first token in the document.

    Every document has at least one window, and its windows are in rising order.

    Attributes:
        counts: int64 (documents,), windows per document.
        first: int64 (windows,), the number of each window's first token.
        length: int64 (windows,), tokens per window; 0 for the window of an empty document.
    """

    counts: Integers
    first: Integers
    length: Integers

    @property
    def covered_tokens(self) -> Integers:
        """int64 (documents,): tokens that are in at least one window."""
        if not len(self.counts):
            return self.counts
        starts = offsets_from_counts(self.counts)[:-1]
        shared = np.zeros_like(self.first)
        shared[1:] = np.maximum((self.first + self.length)[:-1] - self.first[1:], 0)
        shared[starts] = 0  # the window before a document's first one belongs to another document
        return np.add.reduceat(self.length - shared, starts)


@dataclass(frozen=True)
class Windowing:
    """How a document's tokens become windows.

    Attributes:
        window: Tokens per window at most.
        stride: Tokens that neighboring windows share.
        max_windows: Windows per document at most, or None.
        strategy: "windows", "head-tail", "middle", "random" or "sentences"; "windows" with `max_windows` of 1 is the
            head of a document.
        seed: The seed of "random".
    """

    window: int
    stride: int = 0
    max_windows: int | None = None
    strategy: str = "windows"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.stride < self.window:
            raise CallError(
                f"stride is {self.stride} and window is {self.window}: neighboring windows share stride tokens, so it "
                "must be at least 0 and less than the window."
            )
        if self.strategy == "head-tail" and self.window < 2:
            raise CallError("window is 1, but head-tail needs half a window at each end: use --window 2 or more.")

    @property
    def step(self) -> int:
        """Tokens from the start of a window to the start of the next."""
        return self.window - self.stride

    def bounds(
        self, tokens: Integers, fractions: Fractions | None = None, ends: Sequence[Integers] | None = None
    ) -> WindowBounds:
        """Compute the windows of documents.

        Args:
            tokens: int64 (documents,), tokens per document.
            fractions: float64 (documents,) in [0, 1), for "random": where each document's window is.
            ends: For "sentences": for each document, the number of tokens before each end of a sentence, rising.
        """
        match self.strategy:
            case "head-tail":
                return head_tail_windows(tokens, self.window)
            case "middle":
                return single_windows(tokens, self.window, np.maximum(tokens - self.window, 0) // 2)
            case "random":
                assert fractions is not None
                room = np.maximum(tokens - self.window, 0)
                first = np.minimum((fractions * (room + 1)).astype(np.int64), room)
                return single_windows(tokens, self.window, first)
            case "sentences":
                assert ends is not None
                return sentence_windows(tokens, self.window, self.max_windows, ends)
        return sliding_windows(tokens, self.window, self.step, self.max_windows)


def sliding_windows(tokens: Integers, window: int, step: int, max_windows: int | None) -> WindowBounds:
    """Cut one window every `step` tokens, until a window reaches the document's end or there are `max_windows`.

    Args:
        tokens: int64 (documents,), tokens per document.
        window: Tokens per window at most.
        step: Tokens from the start of a window to the start of the next.
        max_windows: Windows per document at most, or None.
    """
    counts = 1 + -(-np.maximum(tokens - window, 0) // step)
    counts = counts if max_windows is None else np.minimum(counts, max_windows)
    first = step * expand_ranges(np.zeros_like(counts), counts)
    return WindowBounds(counts, first, np.minimum(window, np.repeat(tokens, counts) - first))


def head_tail_windows(tokens: Integers, window: int) -> WindowBounds:
    """Cut two windows, the first and the last tokens; together they have `window` tokens.

    A document of at most `window` tokens is one window. If `window` is odd, the head has one token more. Sun et al.
    2019 (arXiv 1905.05583, section 5.3.1) concatenate both ends to one input of 510 tokens. With two windows, each has
    a contiguous span of characters, and no token attends to a token that was not near it in the text.
    """
    is_long = tokens > window
    counts = 1 + is_long
    first, length = np.zeros(counts.sum(), np.int64), np.repeat(tokens, counts)
    tails = np.cumsum(counts)[is_long] - 1
    length[tails - 1], length[tails] = window - window // 2, window // 2
    first[tails] = tokens[is_long] - window // 2
    return WindowBounds(counts, first, length)


def single_windows(tokens: Integers, window: int, first: Integers) -> WindowBounds:
    """Cut one window per document.

    Args:
        tokens: int64 (documents,), tokens per document.
        window: Tokens per window at most.
        first: int64 (documents,), the number of the window's first token.
    """
    return WindowBounds(np.ones_like(tokens), first, np.minimum(tokens, window))


def sentence_windows(tokens: Integers, window: int, max_windows: int | None, ends: Sequence[Integers]) -> WindowBounds:
    """Fill each window with as many whole sentences as fit; a sentence longer than a window is cut.

    Args:
        tokens: int64 (documents,), tokens per document.
        window: Tokens per window at most.
        max_windows: Windows per document at most, or None.
        ends: For each document, the number of tokens before each end of a sentence, rising.
    """
    documents = zip(tokens.tolist(), ends, strict=True)
    cuts = [_fill_windows(count, window, max_windows, marks.tolist()) for count, marks in documents]
    flat = np.array([cut for document in cuts for cut in document], dtype=np.int64).reshape(-1, 2)
    counts = np.array([len(document) for document in cuts], dtype=np.int64)
    return WindowBounds(counts, flat[:, 0], flat[:, 1] - flat[:, 0])


def _fill_windows(tokens: int, window: int, max_windows: int | None, ends: list[int]) -> list[tuple[int, int]]:
    """Return the first token of each window of one document, and the one after its last."""
    cuts: list[tuple[int, int]] = []
    start = 0
    while not cuts or (start < tokens and len(cuts) != max_windows):
        stop = min(start + window, tokens)
        if stop < tokens:
            fitting = bisect_right(ends, stop)
            end = ends[fitting - 1] if fitting else start
            stop = end if end > start else stop
        cuts.append((start, stop))
        start = stop
    return cuts


def sentence_ends(text: str) -> list[int]:
    """Return the number of characters before each end of a sentence, by a rule without language or model.

    A sentence ends after full stops, question and exclamation marks and the quotes and brackets that close there, if a
    space or nothing follows (so 3.5 is no end). Those of Chinese and Japanese end a sentence whatever follows, and so
    do line breaks. An abbreviation such as "Dr." ends a sentence, too, which may cut a window at a worse place.
    """
    return [match.end() for match in _SENTENCE_END.finditer(text)]
