"""The train and test split of a corpus: from the source or drawn, with notes on what a user should know of it."""

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
from data.text_format import join_names, plural

RARE_LABEL_DOCUMENTS = 5  # a label with fewer training documents is reported to the user
MOST_LISTED_LABELS = 10  # in one note
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), Split.TRAIN),
    **dict.fromkeys(("dev", "development", "val", "valid", "validation"), Split.VALIDATION),
    **dict.fromkeys(("test", "testing"), Split.TEST),
}


def parse_split_name(word: str) -> Split | None:
    """The split that a usual word for one names, in any case; None for another word."""
    return _SPLIT_NAMES.get(word.strip().lower())


def assign_splits(corpus: Corpus, seed: int, share: float = 0.2) -> Corpus:
    """Assign a `Split` to each document, and add notes on the split.

    The source's split is used if it has test documents. Else a stratified test split is drawn: documents of one group
    stay together, as do documents of equal text without a group, and the source's validation split stays as it is.

    Args:
        corpus: The corpus as a reader returned it.
        seed: Of the drawn split.
        share: The share of documents in the drawn test split.

    Raises:
        BadData: A split has another name, or only some documents have one.
    """
    documents = Documents.from_documents(corpus.documents)
    splits = parse_splits(corpus)
    notes = list(_validation_notes(splits))
    if Split.TEST not in splits:
        reason = "no test documents" if splits else "no split"
        splits = _draw_test_split(documents, splits, seed, share, is_multilabel=corpus.kind == "multilabel")
        notes.append(_drawn_note(splits, seed, reason))
    documents = replace(documents, splits=CategoricalColumn(splits))
    notes += [*_duplicate_notes(documents), *_label_notes(documents)]
    return replace(corpus, documents=documents, notes=tuple(dict.fromkeys((*corpus.notes, *notes))))


def parse_splits(corpus: Corpus) -> list[Split]:
    """Parse the split of each document as the source names it; none at all if the source has no split.

    Raises BadData for another name, and if only some documents have a split.
    """
    documents = Documents.from_documents(corpus.documents)
    if all(split is None for split in documents.splits):
        return []
    splits: list[Split] = []
    for row, word in enumerate(documents.splits):
        split = parse_split_name(word or "")
        if split is None:
            problem = f"'{word}' as its split" if word and word.strip() else "no split"
            raise BadData(
                f"{corpus.source}: document '{documents.ids[row]}' (row {row + 1}) has {problem}. Write train, "
                'validation or test, or ignore the column with --split "".'
            )
        splits.append(split)
    return splits


def _validation_notes(splits: Sequence[Split]) -> Iterator[str]:
    if count := splits.count(Split.VALIDATION):
        verb = _verb(count, "count")
        yield f"{plural(count, 'validation document')} {verb} as training, unless a fit has --validate-on split"


def _draw_test_split(
    documents: Documents, given: Sequence[Split], seed: int, share: float, *, is_multilabel: bool
) -> list[Split]:
    """Draw the test split, except from documents of the given validation split and of their groups."""
    groups = _group_hashes(documents)
    is_validation = np.fromiter((split == Split.VALIDATION for split in given or documents.ids), bool, len(documents))
    rows = np.flatnonzero(~np.isin(groups, groups[is_validation]))
    labels = (documents.labels[row] for row in rows.tolist())
    column = CategoricalColumn(("",) if each is None else each for each in labels)  # "": unlabeled
    y = Target.from_labels(column, "multilabel" if is_multilabel else "single").y
    parts = stratified_split(y, groups[rows], [1 - share, share], seed)
    splits = list(given) or [Split.TRAIN] * len(documents)
    for row in rows[parts == 1].tolist():
        splits[row] = Split.TEST
    return splits


def _drawn_note(splits: Sequence[Split], seed: int, reason: str) -> str:
    test = f"{splits.count(Split.TEST):,} of {len(splits):,} documents"
    return f"{test} are the test split, drawn by label with seed {seed} (the source has {reason})"


def _group_hashes(documents: Documents) -> NDArray[np.int64]:
    """A hash of each document's group, or of its text if it has no group: int64 (documents,).

    Equal texts stay together, so that a head does not see its test documents in training. They do not join groups: a
    short text that many write ("thanks") would join all their groups into one; those are reported in a note instead.
    Hashes, because a million texts in a set would take more memory than the corpus.
    """
    keys = (
        ("group", group) if group else ("text", text) if text.strip() else ("row", row)
        for row, (group, text) in enumerate(zip(documents.groups, documents.texts, strict=True))
    )
    return np.fromiter(map(hash, keys), np.int64, len(documents))


def _duplicate_notes(documents: Documents) -> Iterator[str]:
    hashes = np.fromiter((hash(text) if text.strip() else 0 for text in documents.texts), np.int64, len(documents))
    is_test = np.fromiter((split == Split.TEST for split in documents.splits), bool, len(documents))
    duplicates = np.intersect1d(hashes[is_test & (hashes != 0)], hashes[~is_test])
    if len(duplicates):
        yield f"{plural(len(duplicates), 'text')} {_verb(len(duplicates), 'occur')} in both train and test"


def _label_notes(documents: Documents) -> Iterator[str]:
    train: Counter[str] = Counter()
    test: Counter[str] = Counter()
    for split, labels in zip(documents.splits, documents.labels, strict=True):
        (test if split == Split.TEST else train).update(labels or ())
    if unseen := sorted(test.keys() - train.keys()):
        effect = "it cannot be predicted and counts" if len(unseen) == 1 else "they cannot be predicted and count"
        yield f"{_name_labels(unseen)} only in the test split: {effect} as missed"
    if untested := sorted(train.keys() - test.keys()):
        pronoun = "it" if len(untested) == 1 else "them"
        yield f"{_name_labels(untested)} only in the training split, so no metric includes {pronoun}"
    if rare := sorted((count, label) for label, count in train.items() if count < RARE_LABEL_DOCUMENTS):
        names = _list_labels([f"{label} ({count})" for count, label in rare])
        yield f"Labels with fewer than {RARE_LABEL_DOCUMENTS} training documents: {names}"


def _name_labels(labels: Sequence[str]) -> str:
    return f"label '{labels[0]}' is" if len(labels) == 1 else f"{len(labels)} labels ({_list_labels(labels)}) are"


def _list_labels(labels: Sequence[str]) -> str:
    return join_names(labels, MOST_LISTED_LABELS, quoted=False)


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb
