"""Text to token ids, once, and from there to windows."""

import hashlib
import json
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
from stages.embed.model_files.checkpoint import canonical_json
from stages.embed.windows.sentences import sentence_ends
from stages.embed.windows.window_arrays import Integers, Windows, offsets_from_counts
from stages.embed.windows.windowing import WindowBounds, Windowing

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_NONE: Integers = np.zeros(0, np.int64)
_NO_IDS = np.zeros(0, np.int32)

_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
# tokenised together, as many as keep all threads busy: an encoding in memory takes about a hundred bytes a token
_TOGETHER = 512
_VOCABULARIES = ("vocab.*", "*.model", "*.tiktoken")
# words to find the special tokens around; one of them should be known to any tokenizer
_WORDS = ("a", "the", "1", "가", "中", "и")


def never_stop() -> bool:
    """Nobody asks to stop."""
    return False


class TextTokenizer:
    """An encoder's own fast tokenizer, without truncation and padding.

    opening, closing: ids of the special tokens around a text. vocabulary: one more than the highest id it can give.
    hash: hex sha256 of its definition; truncation and padding are no part of it.
    """

    def __init__(self, backend: "Tokenizer", definition: str, prefix: str = "") -> None:
        backend.no_truncation()
        backend.no_padding()
        kept = {key: value for key, value in json.loads(definition).items() if key not in {"truncation", "padding"}}
        self.hash = hashlib.sha256(canonical_json(kept)).hexdigest()
        self.vocabulary = 1 + max(backend.get_vocab(with_added_tokens=True).values(), default=-1)
        self._backend = backend
        self.opening, self.closing = _around(backend)
        self._before = len(prefix)
        self._prefix = _without_surrogates(prefix)
        # with a word behind it, because a space at the prefix's end belongs to that word's token
        alone = backend.encode(self._prefix + "a", add_special_tokens=False)
        self.prefix: tuple[int, ...] = tuple(alone.ids[: _tokens_inside(alone, self._before)])

    def tokenize(self, texts: Sequence[str], windowing: Windowing, left: Callable[[], bool] = never_stop) -> Windows:
        """`texts` tokenised and cut. Whatever a str can hold is taken: a lone surrogate reads as U+FFFD.

        Raises CancelledError once `left` says that nobody waits any more.
        """
        ids, tokens, spans = [_NO_IDS], [_NONE], [_NONE.reshape(0, 2)]
        cuts = [WindowBounds(_NONE, _NONE, _NONE)]
        for block, encodings in self._encodings(texts, left):
            skips = [self._own_from(encoding) for encoding in encodings]
            ids += [np.array(encoding.ids[skip:], np.int32) for encoding, skip in zip(encodings, skips, strict=True)]
            tokens.append(np.array([len(array) for array in ids[-len(block) :]], dtype=np.int64))
            cuts.append(self._places(block, encodings, skips, tokens[-1], windowing))
            spans.append(self._spans(encodings, np.array(skips, dtype=np.int64), cuts[-1]))
        return _windows(np.concatenate(ids), np.concatenate(tokens), np.concatenate(spans), cuts)

    def character_spans(self, text: str) -> Integers:
        """The first character of each of the text's tokens and the one after its last: int64 (tokens, 2).

        Tokens are counted as in `tokenize`; tokens that are bytes of one character all have its place.
        """
        encoding = self._backend.encode(self._prefix + _without_surrogates(text), add_special_tokens=False)
        spans = [self._chars(encoding, token) for token in range(self._own_from(encoding), len(encoding.ids))]
        return np.array(spans, dtype=np.int64).reshape(-1, 2)

    def decode(self, ids: Sequence[int]) -> str:
        """The text that tokens stand for, as near as the tokenizer can come to it."""
        return self._backend.decode(ids, skip_special_tokens=False)

    def _encodings(
        self, texts: Sequence[str], left: Callable[[], bool]
    ) -> "Iterator[tuple[Sequence[str], Sequence[Encoding]]]":
        """Some texts and their encodings, while the tokenizer reads the next ones in a thread."""

        def encode(block: Sequence[str]) -> "Sequence[Encoding]":
            read = [self._prefix + _without_surrogates(text) for text in block]
            return self._backend.encode_batch(read, add_special_tokens=False)

        blocks = [texts[first : first + _TOGETHER] for first in range(0, len(texts), _TOGETHER)]
        with ThreadPoolExecutor(1, thread_name_prefix="tokenizer") as thread:
            coming = [thread.submit(encode, block) for block in blocks[:1]]
            for block, following in zip_longest(blocks, blocks[1:]):
                if left():
                    raise CancelledError
                encodings = coming.pop().result()
                if following is not None:
                    coming.append(thread.submit(encode, following))
                yield block, encodings

    def _places(
        self,
        texts: Sequence[str],
        encodings: "Sequence[Encoding]",
        skips: Sequence[int],
        tokens: Integers,
        windowing: Windowing,
    ) -> WindowBounds:
        if windowing.long == "random":
            return windowing.bounds(tokens, fractions=np.array([_fraction(windowing.seed, text) for text in texts]))
        if windowing.long != "sentences":
            return windowing.bounds(tokens)
        rows = zip(texts, encodings, skips, (tokens > windowing.window).tolist(), strict=True)
        ends = [self._ends(text, encoding, skip) if longer else _NONE for text, encoding, skip, longer in rows]
        return windowing.bounds(tokens, ends=ends)

    def _ends(self, text: str, encoding: "Encoding", skip: int) -> Integers:
        """How many of a text's tokens stand before each end of a sentence."""
        stops = np.array(encoding.offsets[skip:], dtype=np.int64)[:, 1] - self._before
        ends = np.array(sentence_ends(text), dtype=np.int64)
        return np.unique(np.searchsorted(np.maximum.accumulate(stops), ends, side="right"))

    def _spans(self, encodings: "Sequence[Encoding]", skips: Integers, places: WindowBounds) -> Integers:
        """Characters of every window of some documents: int64 (windows, 2)."""
        first = places.first + np.repeat(skips, places.counts)
        last = first + places.length - 1
        documents = [encodings[row] for row in np.repeat(np.arange(len(encodings)), places.counts).tolist()]
        # an empty document's window ends before it starts
        spans = [
            (self._chars(text, start)[0], self._chars(text, stop)[1]) if start <= stop else (0, 0)
            for text, start, stop in zip(documents, first.tolist(), last.tolist(), strict=True)
        ]
        return np.array(spans, dtype=np.int64).reshape(-1, 2)

    def _chars(self, encoding: "Encoding", token: int) -> tuple[int, int]:
        start, stop = encoding.token_to_chars(token) or (0, 0)
        return max(start - self._before, 0), max(stop - self._before, 0)

    def _own_from(self, encoding: "Encoding") -> int:
        """Where the text's own tokens start behind the prefix; at the end where it has none."""
        if not self._before:
            return 0
        inside = _tokens_inside(encoding, self._before)
        # a space at the prefix's end that is no part of the first word's token counts as the text's
        return inside if inside == len(encoding.ids) else min(inside, len(self.prefix))


def _tokens_inside(encoding: "Encoding", characters: int) -> int:
    """How many tokens end within the first `characters` of the text."""
    if not characters:
        return 0
    places = (encoding.token_to_chars(token) or (0, 0) for token in range(len(encoding.ids)))
    return sum(1 for _ in takewhile(lambda place: place[1] <= characters, places))


def _windows(ids: NDArray[np.int32], tokens: Integers, span: Integers, cuts: Sequence[WindowBounds]) -> Windows:
    places = WindowBounds(
        *(np.concatenate([getattr(part, name) for part in cuts]) for name in ("counts", "first", "length"))
    )
    return Windows(
        ids=ids,
        tokens=tokens,
        dropped=tokens - places.covered,
        offsets=offsets_from_counts(places.counts),
        start=np.repeat(offsets_from_counts(tokens)[:-1], places.counts) + places.first,
        length=places.length,
        span=span,
    )


def _fraction(seed: int, text: str) -> float:
    """A number in [0, 1) that seed and text alone decide."""
    return int(text_key(f"{seed} {text_key(text)}")[:13], 16) / 16**13


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
    from stages.embed.model_files.library_logging import silence_transformers

    with silence_transformers():
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True, trust_remote_code=False)
    return getattr(tokenizer, "backend_tokenizer", None)
