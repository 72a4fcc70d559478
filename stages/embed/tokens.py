"""Text to token ids, once; and token ids to windows. Everything is flat, with offsets."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, ModelUnavailable
from stages.embed.checkpoint import canonical

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

Integers = NDArray[np.int64]

_NONE: Integers = np.zeros(0, np.int64)
_NO_IDS = np.zeros(0, np.int32)

_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
# tokenised together, as many as keep all threads busy: an encoding in memory takes about a hundred bytes a token
_TOGETHER = 512
_VOCABULARIES = ("vocab.*", "*.model", "*.tiktoken")
# words to find the special tokens around; one of them should be known to any tokenizer
_WORDS = ("a", "the", "1", "가", "中", "и")


@dataclass(frozen=True)
class Cutting:
    """How a document's tokens become windows.

    window: tokens a window. stride: tokens that neighbours share. most: windows a document at most, or None.
    """

    window: int
    stride: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.stride < self.window:
            raise CallError(
                f"stride is {self.stride} and window is {self.window}: stride is what neighbouring windows share, "
                "so it must be at least 0 and less than the window."
            )

    @property
    def step(self) -> int:
        """Tokens from the start of a window to the start of the next."""
        return self.window - self.stride

    def counts(self, tokens: Integers) -> Integers:
        """Windows of documents with so many tokens; an empty one has one."""
        whole = 1 + -(-np.maximum(tokens - self.window, 0) // self.step)
        return whole if self.most is None else np.minimum(whole, self.most)

    def covered(self, tokens: Integers) -> Integers:
        """Tokens of such documents that are in a window."""
        return np.minimum(tokens, (self.counts(tokens) - 1) * self.step + self.window)


def offsets_of(counts: Integers) -> Integers:
    """Where each of `counts` starts in what they cut, and the end of the last: int64, one longer than `counts`."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def ranges(starts: Integers, counts: Integers) -> Integers:
    """start, start+1, ... for each of `starts`, `counts` of them, one after another."""
    offsets = offsets_of(counts)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)


@dataclass(frozen=True)
class Windows:
    """Documents cut into windows.

    ids: int32 (tokens,), the tokens of all documents, no special ones. tokens: int64 (documents,), how many each has.
    offsets: int64 (documents + 1,), which windows are whose. start, length: int64 (windows,) into `ids`.
    span: int64 (windows, 2), characters of the text from which to which.
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
    def work(self) -> Integers:
        """int64 (documents,): tokens that the encoder has to read, shared ones as often as they are read."""
        return np.add.reduceat(self.length, self.offsets[:-1]) if len(self) else self.tokens

    def of(self, documents: Integers) -> Self:
        """The windows of some documents, in their order; `ids` is shared, not copied."""
        counts = np.diff(self.offsets)[documents]
        rows = ranges(self.offsets[:-1][documents], counts)
        return type(self)(
            self.ids,
            self.tokens[documents],
            self.dropped[documents],
            offsets_of(counts),
            self.start[rows],
            self.length[rows],
            self.span[rows],
        )

    def window_ids(self) -> NDArray[np.int32]:
        """The tokens of every window, one after another: int32 (sum of `length`,)."""
        return self.ids[ranges(self.start, self.length)]


class TextTokenizer:
    """An encoder's own fast tokenizer, without truncation and padding.

    opening, closing: ids of the special tokens around a text. vocabulary: one more than the highest id it can give.
    hash: hex sha256 of its definition; truncation and padding are no part of it.
    """

    def __init__(self, backend: "Tokenizer", definition: str, prefix: str = "") -> None:
        backend.no_truncation()
        backend.no_padding()
        kept = {key: value for key, value in json.loads(definition).items() if key not in {"truncation", "padding"}}
        self.hash = hashlib.sha256(canonical(kept)).hexdigest()
        self.vocabulary = 1 + max(backend.get_vocab(with_added_tokens=True).values(), default=-1)
        self._backend = backend
        self.opening, self.closing = _around(backend)
        self._before = len(prefix)
        self._prefix = _without_surrogates(prefix)
        # with a word behind it, because a space at the prefix's end belongs to that word's token
        alone = backend.encode(self._prefix + "a", add_special_tokens=False)
        self.prefix: tuple[int, ...] = tuple(alone.ids[: _tokens_inside(alone, self._before)])

    def windows(self, texts: Sequence[str], cutting: Cutting) -> Windows:
        """`texts` tokenised and cut. Whatever a str can hold is taken: a lone surrogate reads as U+FFFD."""
        ids, tokens, spans = [_NO_IDS], [_NONE], [_NONE.reshape(0, 2)]
        for first in range(0, len(texts), _TOGETHER):
            block = [self._prefix + _without_surrogates(text) for text in texts[first : first + _TOGETHER]]
            encodings = self._backend.encode_batch(block, add_special_tokens=False)
            skips = [self._own_from(encoding) for encoding in encodings]
            ids += [np.array(encoding.ids[skip:], np.int32) for encoding, skip in zip(encodings, skips, strict=True)]
            counts = np.array([len(array) for array in ids[-len(block) :]], dtype=np.int64)
            spans.append(self._spans(encodings, np.array(skips, dtype=np.int64), counts, cutting))
            tokens.append(counts)
        return _cut(np.concatenate(ids), np.concatenate(tokens), np.concatenate(spans), cutting)

    def _spans(self, encodings: "Sequence[Encoding]", skips: Integers, tokens: Integers, cutting: Cutting) -> Integers:
        """Characters of every window of some documents: int64 (windows, 2)."""
        counts = cutting.counts(tokens)
        first = cutting.step * ranges(np.zeros_like(counts), counts)
        last = np.minimum(first + cutting.window, np.repeat(tokens, counts)) - 1
        behind = np.repeat(skips, counts)
        documents = [encodings[row] for row in np.repeat(np.arange(len(counts)), counts).tolist()]
        windows = zip(documents, (first + behind).tolist(), (last + behind).tolist(), strict=True)
        # an empty document's window ends before it starts
        spans = [
            (self._chars(text, start)[0], self._chars(text, stop)[1]) if start <= stop else (0, 0)
            for text, start, stop in windows
        ]
        return np.array(spans, dtype=np.int64).reshape(-1, 2)

    def _chars(self, encoding: "Encoding", token: int) -> tuple[int, int]:
        start, stop = encoding.token_to_chars(token) or (0, 0)
        return max(start - self._before, 0), max(stop - self._before, 0)

    def _own_from(self, encoding: "Encoding") -> int:
        """Where the text's own tokens start behind the prefix; at the end where it has none."""
        inside = _tokens_inside(encoding, self._before)
        # a space at the prefix's end that is no part of the first word's token counts as the text's
        return inside if inside == len(encoding.ids) else min(inside, len(self.prefix))


def _tokens_inside(encoding: "Encoding", characters: int) -> int:
    """How many tokens end within the first `characters` of the text."""
    if not characters:
        return 0
    places = (encoding.token_to_chars(token) or (0, 0) for token in range(len(encoding.ids)))
    return sum(1 for _ in takewhile(lambda place: place[1] <= characters, places))


def _cut(ids: NDArray[np.int32], tokens: Integers, span: Integers, cutting: Cutting) -> Windows:
    counts = cutting.counts(tokens)
    within = cutting.step * ranges(np.zeros_like(counts), counts)
    return Windows(
        ids=ids,
        tokens=tokens,
        dropped=tokens - cutting.covered(tokens),
        offsets=offsets_of(counts),
        start=np.repeat(offsets_of(tokens)[:-1], counts) + within,
        length=np.minimum(cutting.window, np.repeat(tokens, counts) - within),
        span=span,
    )


def _without_surrogates(text: str) -> str:
    return text if text.isascii() else _LONE_SURROGATES.sub("\ufffd", text)


def _around(backend: "Tokenizer") -> tuple[tuple[int, ...], tuple[int, ...]]:
    for word in _WORDS:
        encoding = backend.encode(word)
        mask = encoding.special_tokens_mask
        if 0 in mask:
            first, last = mask.index(0), len(mask) - mask[::-1].index(0)
            return tuple(encoding.ids[:first]), tuple(encoding.ids[last:])
    return (), ()


def load_tokenizer(folder: Path, prefix: str = "") -> TextTokenizer:
    """The fast tokenizer of a model folder. Raises ModelUnavailable where there is none, or a damaged one."""
    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            from tokenizers import Tokenizer

            definition = path.read_text(encoding="utf-8")
            return TextTokenizer(Tokenizer.from_str(definition), definition, prefix)
        backend = _from_transformers(folder)
    except Exception as error:  # the libraries raise bare Exception, and whatever their parsers do
        reason = str(error).partition("\n")[0]
        raise ModelUnavailable(f"{folder}: its tokenizer cannot be read ({reason}). Copy the model again.") from None
    if backend is None:
        raise ModelUnavailable(
            f"{folder} has no fast tokenizer (tokenizer.json). Take a model that has one, or convert it."
        )
    return TextTokenizer(backend, backend.to_str(), prefix)


def _from_transformers(folder: Path) -> "Tokenizer | None":
    # without a vocabulary transformers makes up a tokenizer of five tokens
    if not any(path for pattern in _VOCABULARIES for path in folder.glob(pattern)):
        return None
    from stages.embed.quiet import quiet

    with quiet():
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True, trust_remote_code=False)
    return getattr(tokenizer, "backend_tokenizer", None)
