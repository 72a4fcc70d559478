"""What the methods share, and those that need nothing but the text: random deletion, and shuffled sentences."""

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple, Protocol

from stages.embed.windows.windowing import sentence_ends

__all__ = ["Draft", "Method", "Request", "SimpleMethod", "delete_words", "shuffle_sentences"]

# Chinese and Japanese characters are words of their own, because no space divides them
_CHARACTER = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_WORD = re.compile(rf"\s*(?:{_CHARACTER}|(?:(?!{_CHARACTER})\S)+)")


class Draft(NamedTuple):
    """The text of a copy. donors: the rows of other documents that it has words of."""

    text: str
    donors: tuple[int, ...] = ()


class Request(NamedTuple):
    """A copy to make. row: of the document."""

    row: int
    rng: Random


class Method(Protocol):
    """A method of augmentation, prepared for some documents."""

    def drafts(self, requests: Sequence[Request]) -> Iterator[Draft | None]:
        """Yield a draft per request, None if the document cannot be changed. It may equal the document by chance."""


class SimpleMethod:
    """A method that changes one text at a time. change: returns the changed text, or None."""

    def __init__(self, texts: Sequence[str], change: Callable[[str, Random], str | None]) -> None:
        self._texts, self._change = texts, change

    def drafts(self, requests: Sequence[Request]) -> Iterator[Draft | None]:
        """Yield a draft per request."""
        for row, rng in requests:
            text = self._change(self._texts[row], rng)
            yield None if text is None else Draft(text)


def delete_words(text: str, rate: float, rng: Random) -> str | None:
    """Delete each word with a probability of `rate`: at least one of them, and not all.

    Wei & Zou 2019, "EDA: Easy Data Augmentation Techniques", arXiv 1901.11196. Returns None for a single word.
    """
    words = _WORD.findall(text)
    if len(words) < 2:
        return None
    deleted = {number for number in range(len(words)) if rng.random() < rate} or {rng.randrange(len(words))}
    if len(deleted) == len(words):
        deleted.remove(rng.randrange(len(words)))
    return "".join(word for number, word in enumerate(words) if number not in deleted).strip()


def shuffle_sentences(text: str, rng: Random) -> str | None:
    """Change the order of the sentences, each with the white space at its place. Returns None for a single one."""
    ends = [0, *sentence_ends(text)]
    pieces = [text[start:stop] for start, stop in zip(ends, [*ends[1:], len(text)], strict=True)]
    sentences = [stripped for piece in pieces if (stripped := piece.strip())]
    if len(set(sentences)) < 2:
        return None
    order = list(sentences)
    while order == sentences:
        rng.shuffle(order)
    shuffled = iter(order)
    return "".join(piece.replace(piece.strip(), next(shuffled), 1) if piece.strip() else piece for piece in pieces)
