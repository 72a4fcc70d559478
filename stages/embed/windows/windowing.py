"""Where a document's tokens are cut into windows: one function for each way with long documents."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from stages.embed.windows.window_arrays import Integers, expand_ranges, offsets_from_counts

Fractions = NDArray[np.float64]


@dataclass(frozen=True)
class WindowBounds:
    """Windows by the number of their first token in its document; every document has one at least, rising.

    counts: int64 (documents,), windows of each. first, length: int64 (windows,), tokens; an empty document's window has
    length 0.
    """

    counts: Integers
    first: Integers
    length: Integers

    @property
    def covered(self) -> Integers:
        """int64 (documents,): tokens that are in a window."""
        if not len(self.counts):
            return self.counts
        starts = offsets_from_counts(self.counts)[:-1]
        shared = np.zeros_like(self.first)
        shared[1:] = np.maximum((self.first + self.length)[:-1] - self.first[1:], 0)
        shared[starts] = 0  # what stands before a document's first window is another document's
        return np.add.reduceat(self.length - shared, starts)


@dataclass(frozen=True)
class Windowing:
    """How a document's tokens become windows.

    window: tokens a window at most. stride: tokens that neighbours share. most: windows a document at most, or None.
    long: "windows" (with `most` of 1 the head), "head-tail", "middle", "random" or "sentences". seed: of "random".
    """

    window: int
    stride: int = 0
    most: int | None = None
    long: str = "windows"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.stride < self.window:
            raise CallError(
                f"stride is {self.stride} and window is {self.window}: stride is what neighbouring windows share, "
                "so it must be at least 0 and less than the window."
            )
        if self.long == "head-tail" and self.window < 2:
            raise CallError("window is 1: head-tail takes half a window at each end, so it needs 2 tokens or more.")

    @property
    def step(self) -> int:
        """Tokens from the start of a window to the start of the next."""
        return self.window - self.stride

    def bounds(
        self, tokens: Integers, fractions: Fractions | None = None, ends: Sequence[Integers] | None = None
    ) -> WindowBounds:
        """Windows of documents with so many tokens.

        fractions: float64 (documents,) in [0, 1), where "random" puts each window. ends: for "sentences", how many
        tokens stand before each end of a sentence, rising, of each document.
        """
        match self.long:
            case "head-tail":
                return head_tail(tokens, self.window)
            case "middle":
                return one(tokens, self.window, np.maximum(tokens - self.window, 0) // 2)
            case "random":
                assert fractions is not None
                room = np.maximum(tokens - self.window, 0)
                return one(tokens, self.window, np.minimum((fractions * (room + 1)).astype(np.int64), room))
            case "sentences":
                assert ends is not None
                return whole_sentences(tokens, self.window, self.most, ends)
        return evenly(tokens, self.window, self.step, self.most)


def evenly(tokens: Integers, window: int, step: int, most: int | None) -> WindowBounds:
    """Every `step` tokens a window, until one reaches the end or there are `most`."""
    counts = 1 + -(-np.maximum(tokens - window, 0) // step)
    counts = counts if most is None else np.minimum(counts, most)
    first = step * expand_ranges(np.zeros_like(counts), counts)
    return WindowBounds(counts, first, np.minimum(window, np.repeat(tokens, counts) - first))


def head_tail(tokens: Integers, window: int) -> WindowBounds:
    """The first half and the last half of a window's tokens, a window each; a document that fits one is one.

    Sun et al. 2019 (arXiv 1905.05583, section 5.3.1) set both ends side by side in one input of 510 tokens. Two windows
    keep the span of characters of each true, and let no token attend to one that never stood beside it. Of an odd
    window the head has the token more.
    """
    longer = tokens > window
    counts = 1 + longer
    first, length = np.zeros(counts.sum(), np.int64), np.repeat(tokens, counts)
    tails = np.cumsum(counts)[longer] - 1
    length[tails - 1], length[tails] = window - window // 2, window // 2
    first[tails] = tokens[longer] - window // 2
    return WindowBounds(counts, first, length)


def one(tokens: Integers, window: int, first: Integers) -> WindowBounds:
    """One window a document, from the token numbered `first` on."""
    return WindowBounds(np.ones_like(tokens), first, np.minimum(tokens, window))


def whole_sentences(tokens: Integers, window: int, most: int | None, ends: Sequence[Integers]) -> WindowBounds:
    """As many sentences a window as it holds; a sentence longer than a window is cut where the window is full."""
    documents = zip(tokens.tolist(), ends, strict=True)
    cuts = [_filled(count, window, most, marks.tolist()) for count, marks in documents]
    flat = np.array([cut for document in cuts for cut in document], dtype=np.int64).reshape(-1, 2)
    counts = np.array([len(document) for document in cuts], dtype=np.int64)
    return WindowBounds(counts, flat[:, 0], flat[:, 1] - flat[:, 0])


def _filled(tokens: int, window: int, most: int | None, ends: list[int]) -> list[tuple[int, int]]:
    cuts: list[tuple[int, int]] = []
    start = 0
    while not cuts or (start < tokens and len(cuts) != most):
        stop = min(start + window, tokens)
        if stop < tokens:
            fitting = bisect_right(ends, stop)
            end = ends[fitting - 1] if fitting else start
            stop = end if end > start else stop
        cuts.append((start, stop))
        start = stop
    return cuts
