"""Keyword permutation: the keywords of a label are exchanged between its documents, or shuffled within one.

A label's keywords are the words with the highest mean tf-idf in its documents, where a word counts once per document:
the share of the label's documents that have it, times log(documents / documents that have it). A keyword is also at
least twice as frequent in the label's documents as in the others, which leaves out words that every text may have.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from random import Random
from typing import NamedTuple

from stages.augment.words import Draft, Request

__all__ = ["KeywordExchange", "KeywordShuffle", "find_keywords"]

KEYWORDS = 20  # per label
LIFT = 2  # how much more frequent a keyword is in the documents of its label than in others
# A document exchanges keywords with few others: a copy is fitted on only together with all documents that it has words
# of, and these are one group in a head's own validation split.
BLOCK = 4
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\d_]{2,}")


class _Place(NamedTuple):
    """A keyword in a text."""

    start: int
    stop: int
    word: str


def find_keywords(
    texts: Sequence[str], document_labels: Sequence[tuple[str, ...]], most: int = KEYWORDS
) -> dict[str, frozenset[str]]:
    """Find the keywords of each label, in lower case.

    Args:
        texts: of the documents.
        document_labels: their labels.
        most: keywords per label.

    Returns:
        Label -> its keywords; with equal values those that come first in the alphabet.
    """
    frequency: Counter[str] = Counter()
    of_label: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text, labels in zip(texts, document_labels, strict=True):
        words = {word.casefold() for word in _WORD.findall(text)}
        frequency.update(words)
        for label in labels:
            of_label[label].update(words)
    documents, sizes = len(texts), Counter(label for labels in document_labels for label in labels)

    def is_frequent(label: str, word: str) -> bool:
        inside, outside = of_label[label][word], frequency[word] - of_label[label][word]
        return inside * (documents - sizes[label]) >= LIFT * outside * sizes[label]

    def value(label: str, word: str) -> float:
        return of_label[label][word] * math.log(documents / frequency[word])

    return {
        label: frozenset(
            sorted(filter(partial(is_frequent, label), words), key=lambda word: (-value(label, word), word))[:most]
        )
        for label, words in of_label.items()
    }


class _Keywords:
    """The keywords in the documents. rate: the share of them that changes."""

    def __init__(self, texts: Sequence[str], document_labels: Sequence[tuple[str, ...]], rate: float) -> None:
        self._texts, self._labels, self._rate = texts, document_labels, rate
        self._keywords = find_keywords(texts, document_labels)

    def _places(self, row: int, labels: Iterable[str]) -> list[_Place]:
        """Where a document has keywords of some labels."""
        keywords = frozenset[str]().union(*(self._keywords.get(label, ()) for label in labels))
        matches = _WORD.finditer(self._texts[row])
        return [_Place(*match.span(), match[0]) for match in matches if match[0].casefold() in keywords]

    def _choose(self, places: Sequence[_Place], least: int, rng: Random) -> list[_Place]:
        count = max(least, round(self._rate * len(places)))
        return sorted(rng.sample(places, min(count, len(places))))


class KeywordShuffle(_Keywords):
    """Shuffles the keywords of a document's labels among their places in the document."""

    def drafts(self, requests: Sequence[Request]) -> Iterator[Draft | None]:
        """Yield a draft per request; None for a document with fewer than two different keywords."""
        for row, rng in requests:
            places = self._places(row, self._labels[row])
            if len({place.word for place in places}) < 2:
                yield None
                continue
            chosen = self._choose_different(places, rng)
            words = [place.word for place in chosen]
            rng.shuffle(words)
            yield Draft(_replace(self._texts[row], chosen, words))

    def _choose_different(self, places: Sequence[_Place], rng: Random) -> list[_Place]:
        """Choose places with at least two different words; `places` must have as many."""
        chosen = self._choose(places, 2, rng)
        if len({place.word for place in chosen}) > 1:
            return chosen
        return sorted([*chosen[1:], rng.choice([place for place in places if place.word != chosen[0].word])])


class KeywordExchange(_Keywords):
    """Replaces the keywords of a document's rarest label by those of another document that has this label."""

    def __init__(
        self, texts: Sequence[str], document_labels: Sequence[tuple[str, ...]], rate: float, seed: int
    ) -> None:
        super().__init__(texts, document_labels, rate)
        counts = Counter(label for labels in document_labels for label in labels)
        self._label = [min(labels, key=lambda label: (counts[label], label), default="") for labels in document_labels]
        self._partners = self._find_partners(seed)

    def _find_partners(self, seed: int) -> list[list[int]]:
        """For each document the others of its block: documents with the same rarest label, in random order."""
        partners: list[list[int]] = [[] for _ in self._texts]
        for label in sorted(set(self._label)):
            rows = [row for row, own in enumerate(self._label) if own == label and self._places(row, [label])]
            Random(f"{seed} {label}").shuffle(rows)
            blocks = max(len(rows) // BLOCK, 1)  # a rest joins the others
            for row_number, row in enumerate(rows):
                partners[row] = [other for other in rows[row_number % blocks :: blocks] if other != row]
        return partners

    def drafts(self, requests: Sequence[Request]) -> Iterator[Draft | None]:
        """Yield a draft per request; None for a document without a keyword, or whose label no other one has."""
        for row, rng in requests:
            if not self._partners[row]:
                yield None
                continue
            donor = rng.choice(self._partners[row])
            places = self._choose(self._places(row, [self._label[row]]), 1, rng)
            words = [place.word for place in self._places(donor, [self._label[row]])]
            rng.shuffle(words)
            given = [words[number % len(words)] for number in range(len(places))]
            yield Draft(_replace(self._texts[row], places, given), (donor,))


def _replace(text: str, places: Sequence[_Place], words: Sequence[str]) -> str:
    pieces, end = [], 0
    for place, word in zip(places, words, strict=True):
        pieces += [text[end : place.start], word]
        end = place.stop
    return "".join([*pieces, text[end:]])
