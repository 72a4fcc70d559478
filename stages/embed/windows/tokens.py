"""Tokenization of texts, and their windows."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelUnavailable
from featurestore import text_key
from stages.embed.windows.tokenizer_hash import definition_hash, files_hash, has_vocabulary
from stages.embed.windows.window_arrays import Integers, Windows, offsets_from_counts
from stages.embed.windows.windowing import WindowBounds, Windowing, sentence_ends

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_NO_INTEGERS: Integers = np.zeros(0, np.int64)
_NO_IDS = np.zeros(0, np.int32)

_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
# texts per call of the tokenizer: enough for all threads; an encoding takes about a hundred bytes of memory per token
_BLOCK = 512
# words for finding the special tokens around a text; every tokenizer should know one of them
_UNKNOWN = ("[UNK]", "<unk>")
_WORDS = ("a", "the", "1", "가", "中", "и")


def never_stop() -> bool:
    """Return False: the default for a function that asks whether to stop."""
    return False


class TextTokenizer:
    """An encoder's own fast tokenizer, without truncation and padding.

    Attributes:
        hash: Hex sha256 that differs if the tokens of a text could; see tokenizer_hash.py.
        vocab_size: The highest id plus one.
        opening: Ids of the special tokens in front of a text.
        closing: Ids of the special tokens behind it.
        prefix: Ids of the prefix.
        unknown_id: Id of the token for what the vocabulary lacks, -1 if there is none.
    """

    def __init__(self, backend: "Tokenizer", tokenizer_hash: str, prefix: str = "") -> None:
        backend.no_truncation()
        backend.no_padding()
        self.hash = tokenizer_hash
        self.vocab_size = 1 + max(backend.get_vocab(with_added_tokens=True).values(), default=-1)
        self.unknown_id = next((id_ for id_ in map(backend.token_to_id, _UNKNOWN) if id_ is not None), -1)
        self._backend = backend
        self.opening, self.closing = _special_tokens(backend)
        self._prefix_length = len(prefix)
        self._prefix = _replace_surrogates(prefix)
        # with a word behind it, because a space at the prefix's end belongs to that word's token
        encoding = backend.encode(self._prefix + "a", add_special_tokens=False)
        self.prefix: tuple[int, ...] = tuple(encoding.ids[: _count_tokens_within(encoding, self._prefix_length)])

    def tokenize(
        self, texts: Sequence[str], windowing: Windowing, should_stop: Callable[[], bool] = never_stop
    ) -> Windows:
        """Tokenize texts and cut them into windows.

        Args:
            texts: Any strings; a lone surrogate is replaced by U+FFFD.
            windowing: How windows are cut.
            should_stop: Called between blocks of texts; if it returns True, the call ends.

        Raises:
            CancelledError: `should_stop` returned True.
        """
        ids, tokens, spans = [_NO_IDS], [_NO_INTEGERS], [_NO_INTEGERS.reshape(0, 2)]
        bounds = [WindowBounds(_NO_INTEGERS, _NO_INTEGERS, _NO_INTEGERS)]
        for block, encodings in self._encodings(texts, should_stop):
            skips = [self._first_text_token(encoding) for encoding in encodings]
            ids += [np.array(encoding.ids[skip:], np.int32) for encoding, skip in zip(encodings, skips, strict=True)]
            tokens.append(np.array([len(array) for array in ids[-len(block) :]], dtype=np.int64))
            bounds.append(self._bounds(block, encodings, skips, tokens[-1], windowing))
            spans.append(self._spans(encodings, np.array(skips, dtype=np.int64), bounds[-1]))
        unknown = np.array([np.count_nonzero(array == self.unknown_id) for array in ids[1:]], dtype=np.int64)
        return _join_windows(np.concatenate(ids), np.concatenate(tokens), unknown, np.concatenate(spans), bounds)

    def word_numbers(self, texts: Sequence[str]) -> Iterator[Integers]:
        """Yield for each text which of its words each of its tokens is a part of: int64 (tokens,), rising.

        Words are those of the tokenizer, which separates punctuation. The tokens are those of `tokenize`.
        """
        for _, encodings in self._encodings(texts, never_stop):
            for encoding in encodings:
                words = encoding.word_ids[self._first_text_token(encoding) :]
                yield np.array([-1 if word is None else word for word in words], dtype=np.int64)

    def character_spans(self, text: str) -> Integers:
        """Return each token's first character and the one after its last: int64 (tokens, 2).

        The tokens are those of `tokenize`. Tokens that are bytes of one character have the same span.
        """
        encoding = self._backend.encode(self._prefix + _replace_surrogates(text), add_special_tokens=False)
        first = self._first_text_token(encoding)
        spans = [self._character_span(encoding, token) for token in range(first, len(encoding.ids))]
        return np.array(spans, dtype=np.int64).reshape(-1, 2)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, as close to the original as the tokenizer allows."""
        return self._backend.decode(ids, skip_special_tokens=False)

    def _encodings(
        self, texts: Sequence[str], should_stop: Callable[[], bool]
    ) -> "Iterator[tuple[Sequence[str], Sequence[Encoding]]]":
        """Yield blocks of texts with their encodings, while a thread tokenizes the next block."""

        def encode(block: Sequence[str]) -> "Sequence[Encoding]":
            prefixed = [self._prefix + _replace_surrogates(text) for text in block]
            return self._backend.encode_batch(prefixed, add_special_tokens=False)

        blocks = [texts[first : first + _BLOCK] for first in range(0, len(texts), _BLOCK)]
        with ThreadPoolExecutor(1, thread_name_prefix="tokenizer") as thread:
            pending = [thread.submit(encode, block) for block in blocks[:1]]
            for block, next_block in zip_longest(blocks, blocks[1:]):
                if should_stop():
                    raise CancelledError
                encodings = pending.pop().result()
                if next_block is not None:
                    pending.append(thread.submit(encode, next_block))
                yield block, encodings

    def _bounds(
        self,
        texts: Sequence[str],
        encodings: "Sequence[Encoding]",
        skips: Sequence[int],
        tokens: Integers,
        windowing: Windowing,
    ) -> WindowBounds:
        if windowing.strategy == "random":
            fractions = np.array([_random_fraction(windowing.seed, text) for text in texts])
            return windowing.bounds(tokens, fractions=fractions)
        if windowing.strategy != "sentences":
            return windowing.bounds(tokens)
        rows = zip(texts, encodings, skips, (tokens > windowing.window).tolist(), strict=True)
        ends = [
            self._sentence_end_tokens(text, encoding, skip) if is_long else _NO_INTEGERS
            for text, encoding, skip, is_long in rows
        ]
        return windowing.bounds(tokens, ends=ends)

    def _sentence_end_tokens(self, text: str, encoding: "Encoding", skip: int) -> Integers:
        """Return the number of the text's tokens before each end of a sentence."""
        stops = np.array(encoding.offsets[skip:], dtype=np.int64)[:, 1] - self._prefix_length
        ends = np.array(sentence_ends(text), dtype=np.int64)
        return np.unique(np.searchsorted(np.maximum.accumulate(stops), ends, side="right"))

    def _spans(self, encodings: "Sequence[Encoding]", skips: Integers, bounds: WindowBounds) -> Integers:
        """Return the characters of every window of some documents: int64 (windows, 2)."""
        first = bounds.first + np.repeat(skips, bounds.counts)
        last = first + bounds.length - 1
        documents = [encodings[row] for row in np.repeat(np.arange(len(encodings)), bounds.counts).tolist()]
        # the window of an empty document ends before it starts
        spans = [
            (self._character_span(encoding, start)[0], self._character_span(encoding, stop)[1])
            if start <= stop
            else (0, 0)
            for encoding, start, stop in zip(documents, first.tolist(), last.tolist(), strict=True)
        ]
        return np.array(spans, dtype=np.int64).reshape(-1, 2)

    def _character_span(self, encoding: "Encoding", token: int) -> tuple[int, int]:
        start, stop = encoding.token_to_chars(token) or (0, 0)
        return max(start - self._prefix_length, 0), max(stop - self._prefix_length, 0)

    def _first_text_token(self, encoding: "Encoding") -> int:
        """Return the number of the first token behind the prefix; the number of tokens if the text has none."""
        if not self._prefix_length:
            return 0
        inside = _count_tokens_within(encoding, self._prefix_length)
        # a space at the prefix's end that is not part of the first word's token belongs to the text
        return inside if inside == len(encoding.ids) else min(inside, len(self.prefix))


def _count_tokens_within(encoding: "Encoding", characters: int) -> int:
    """Return how many tokens end within the first `characters` of the text."""
    if not characters:
        return 0
    spans = (encoding.token_to_chars(token) or (0, 0) for token in range(len(encoding.ids)))
    return sum(1 for _ in takewhile(lambda span: span[1] <= characters, spans))


def _join_windows(
    ids: NDArray[np.int32], tokens: Integers, unknown: Integers, span: Integers, blocks: Sequence[WindowBounds]
) -> Windows:
    names = ("counts", "first", "length")
    bounds = WindowBounds(*(np.concatenate([getattr(block, name) for block in blocks]) for name in names))
    return Windows(
        ids=ids,
        tokens=tokens,
        dropped=tokens - bounds.covered_tokens,
        unknown=unknown,
        offsets=offsets_from_counts(bounds.counts),
        start=np.repeat(offsets_from_counts(tokens)[:-1], bounds.counts) + bounds.first,
        length=bounds.length,
        span=span,
    )


def _random_fraction(seed: int, text: str) -> float:
    """Return a number in [0, 1) that depends on seed and text alone."""
    return int(text_key(f"{seed} {text_key(text)}")[:13], 16) / 16**13


def _replace_surrogates(text: str) -> str:
    return text if text.isascii() else _LONE_SURROGATES.sub("\ufffd", text)


def _special_tokens(backend: "Tokenizer") -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ids in front of a text and behind it."""
    for word in _WORDS:
        encoding = backend.encode(word)
        mask = encoding.special_tokens_mask
        if 0 in mask:
            first, last = mask.index(0), len(mask) - mask[::-1].index(0)
            return tuple(encoding.ids[:first]), tuple(encoding.ids[last:])
    return (), ()


def load_tokenizer(folder: Path, prefix: str = "") -> TextTokenizer:
    """Load the fast tokenizer of a model folder. Raises ModelUnavailable if it is missing or damaged."""
    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            from tokenizers import Tokenizer

            definition = path.read_text(encoding="utf-8")
            return TextTokenizer(Tokenizer.from_str(definition), definition_hash(definition), prefix)
        if backend := _load_with_transformers(folder):
            return TextTokenizer(backend, files_hash(folder, backend), prefix)
    except Exception as error:  # tokenizers raises bare Exception, and the parsers errors of any type
        reason = str(error).partition("\n")[0]
        raise ModelUnavailable(f"{folder}: its tokenizer cannot be read ({reason}). Copy the model again.") from None
    raise ModelUnavailable(
        f"{folder} has no fast tokenizer (tokenizer.json). Use a model that has one, or convert the tokenizer."
    )


def _load_with_transformers(folder: Path) -> "Tokenizer | None":
    if not has_vocabulary(folder):
        return None
    from stages.embed.model_files.log_silencing import silence_transformers

    with silence_transformers():
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True, trust_remote_code=False)
    backend: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()
        backend.no_padding()
    return backend
