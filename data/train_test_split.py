"""Which side of the split each document of a corpus stands on, and what a user should know of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Documents
from data.errors import BadData
from data.packed import CategoricalColumn
from data.splits import Split, stratified_split
from data.target import Target

RARE = 5  # training documents below which a label is named to the user
NAMED = 10  # labels named in one note
_WORDS = dict.fromkeys(("train", "training"), Split.TRAIN) | dict.fromkeys(("test", "testing"), Split.TEST)
_VALIDATION = frozenset({"dev", "development", "val", "valid", "validation"})


def is_split_name(word: str) -> bool:
    """Whether a word says train, test or validation in one of the usual ways."""
    return word.strip().lower() in _WORDS.keys() | _VALIDATION


def assign_splits(corpus: Corpus, seed: int, share: float = 0.2) -> Corpus:
    """The corpus with `Split.TRAIN` or `Split.TEST` at each document, and notes on what that split is like.

    The source's own words are read in any case (train, training, test, testing); validation documents count as
    training. A corpus without words, or without test documents, gets a split drawn by label with `seed`: `share` of
    the documents are the test side, and documents of one group stay together, as do those of equal text that have no
    group. Raises BadData for another word, and where only some documents have one.
    """
    documents = Documents.from_documents(corpus.documents)
    sides, notes = parse_splits(corpus)
    if Split.TEST not in sides:
        found = "training documents only" if sides else "no split"
        sides = _drawn(documents, corpus.kind == "multilabel", seed, share)
        notes = [_drawn_note(sides, seed, found)]
    documents = replace(documents, splits=CategoricalColumn(sides))
    notes += [*_equal_texts(documents), *_label_notes(documents)]
    return replace(corpus, documents=documents, notes=tuple(dict.fromkeys((*corpus.notes, *notes))))


def parse_splits(corpus: Corpus) -> tuple[list[Split], list[str]]:
    """The side of each document as the source has it, or no sides at all; and notes. Raises BadData."""
    documents = Documents.from_documents(corpus.documents)
    if all(split is None for split in documents.splits):
        return [], []
    sides, validation = [], 0
    for row, split in enumerate(documents.splits):
        word = (split or "").strip().lower()
        if not is_split_name(word):
            found = f"'{split}' as its split" if word else "no split"
            raise BadData(
                f"{corpus.source}: document '{documents.ids[row]}' (row {row + 1}) has {found}. Write train, "
                'validation or test, or leave the column out with --split "".'
            )
        validation += word in _VALIDATION
        sides.append(_WORDS.get(word, Split.TRAIN))
    if validation:
        return sides, [f"{_count(validation, 'validation document counts', 'validation documents count')} as training"]
    return sides, []


def _drawn(documents: Documents, multilabel: bool, seed: int, share: float) -> list[Split]:
    labels = documents.labels if multilabel else CategoricalColumn((" ".join(each),) for each in documents.labels)
    y = Target.from_labels(labels, "multilabel" if multilabel else "single").y
    parts = stratified_split(y, _together(documents), [1 - share, share], seed)
    return [Split.TEST if part else Split.TRAIN for part in parts.tolist()]


def _drawn_note(sides: Sequence[Split], seed: int, found: str) -> str:
    test = f"{sides.count(Split.TEST):,} of {len(sides):,} documents"
    return f"{test} are the test split, drawn by label with seed {seed} (the source has {found})"


def _together(documents: Documents) -> NDArray[np.int64]:
    """What ties a document to others: its group, or without one its text, so that a head does not see its answers.

    Not both: a short text that many write ("thanks") would tie all their groups into one. Those are counted aloud.
    int64 (documents,), hashes: a million of texts themselves would take more than the corpus.
    """
    ties = (
        ("group", group) if group else ("text", text) if text.strip() else ("row", row)
        for row, (group, text) in enumerate(zip(documents.groups, documents.texts, strict=True))
    )
    return np.fromiter(map(hash, ties), np.int64, len(documents))


def _equal_texts(documents: Documents) -> Iterator[str]:
    hashes = np.fromiter((hash(text) if text.strip() else 0 for text in documents.texts), np.int64, len(documents))
    splits = np.fromiter((split == Split.TEST for split in documents.splits), bool, len(documents))
    both = np.intersect1d(hashes[splits & (hashes != 0)], hashes[~splits])
    if len(both):
        yield f"{_count(len(both), 'text stands', 'texts stand')} on both sides of the split"


def _label_notes(documents: Documents) -> Iterator[str]:
    both = list(zip(documents.splits, documents.labels, strict=True))
    train, test = (Counter(label for split, labels in both if split == side for label in labels) for side in Split)
    if unseen := sorted(test.keys() - train.keys()):
        fate = "it cannot be predicted and counts" if len(unseen) == 1 else "they cannot be predicted and count"
        yield f"{_named(unseen)} only in the test split: {fate} as missed"
    if untested := sorted(train.keys() - test.keys()):
        it = "it" if len(untested) == 1 else "them"
        yield f"{_named(untested)} only in the training split, so no figure speaks of {it}"
    if rare := sorted((count, label) for label, count in train.items() if count < RARE):
        names = _listed([f"{label} ({count})" for count, label in rare])
        yield f"Labels with fewer than {RARE} training documents: {names}"


def _named(labels: Sequence[str]) -> str:
    return f"label '{labels[0]}' is" if len(labels) == 1 else f"{len(labels)} labels ({_listed(labels)}) are"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
