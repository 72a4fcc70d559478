"""The train and test split of a corpus: from the source or drawn, with notes on what a user should know of it.

A store knows only whether texts are equal. So documents whose texts differ in case or white space get a group, and each
blank document gets one of its own, so that splits and folds keep the former together and spread the latter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Documents, blank_group, similar_group
from data.errors import BadData
from data.packed import CategoricalColumn
from data.splits import Split, stratified_split
from data.splitting.sampling import draw_sample
from data.splitting.split_notes import LabelCounts, check_test_split, duplicate_notes, label_notes
from data.target import Target
from data.text_format import plural
from data.text_hashes import TextHashes

_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), Split.TRAIN),
    **dict.fromkeys(("dev", "development", "val", "valid", "validation"), Split.VALIDATION),
    **dict.fromkeys(("test", "testing"), Split.TEST),
}


def parse_split_name(word: str) -> Split | None:
    """The split that a usual word for one names, in any case; None for another word."""
    return _SPLIT_NAMES.get(word.strip().lower())


def assign_splits(corpus: Corpus, seed: int, share: float = 0.2, sample: int | None = None) -> Corpus:
    """Assign a `Split` to each document, draw a sample if one is wanted, and add notes on the split.

    The source's split is used if it has test documents. Else a stratified test split is drawn: documents of one group
    stay together, as do documents without a group whose texts differ at most in case and white space, and the source's
    validation split stays as it is. A sample is drawn afterwards, so that its documents have the split that they have
    in the whole corpus.

    Args:
        corpus: The corpus as a reader returned it.
        seed: Of the drawn split and of the sample.
        share: The share of documents in the drawn test split.
        sample: The documents of the sample (`draw_sample`); None for all documents.

    Raises:
        BadData: A split has another name, or only some documents have one; or the test split cannot be used
            (`check_test_split`).
        CallError: What `draw_sample` raises.
    """
    source = Documents.from_documents(corpus.documents)
    texts = source.hash_texts()
    documents = replace(source, groups=complete_groups(source, texts), hashes=texts)
    splits, drawn = parse_splits(corpus), ""
    if not splits.count_if(_is_test):
        drawn = "no test documents" if len(splits) else "no split"
        splits = _draw_test_split(
            replace(corpus, documents=documents), group_hashes(documents, texts), splits, seed, share
        )
    documents = replace(documents, splits=splits)
    has_column = bool(corpus.spec.split)
    check_test_split(corpus.source, LabelCounts.of(documents), is_drawn=bool(drawn), has_column=has_column)
    corpus = replace(corpus, documents=documents)
    if sample is not None:
        corpus = draw_sample(corpus, sample, seed, source.groups)
        documents = Documents.from_documents(corpus.documents)
    notes = _split_notes(documents, f"with seed {seed} (the source has {drawn})" if drawn else "")
    return replace(corpus, notes=tuple(dict.fromkeys((*corpus.notes, *notes))))


def _split_notes(documents: Documents, drawn: str) -> Iterator[str]:
    """What a user should know of the splits. drawn: how the test split was drawn, "" if the source has it."""
    splits = CategoricalColumn.of(documents.splits)
    yield from _validation_notes(splits)
    if drawn:
        test = f"{splits.count_if(_is_test):,} of {len(splits):,} documents"
        yield f"{test} are the test split, drawn by label {drawn}"
    yield from duplicate_notes(documents, documents.hash_texts())
    yield from label_notes(LabelCounts.of(documents))


def complete_groups(documents: Documents, texts: TextHashes) -> Sequence[str | None]:
    """The groups of the documents, and groups for near duplicates and blank texts that have none."""
    is_free = CategoricalColumn.of(documents.groups).flags(lambda group: group is None)
    rows = np.flatnonzero(is_free & ~texts.is_blank)
    near = rows[np.isin(texts.folded[rows], _folded_with_variants(texts, rows))].tolist()
    blank = np.flatnonzero(is_free & texts.is_blank).tolist()
    if not near and not blank:
        return documents.groups
    groups, first = list(documents.groups), {texts.folded[row]: row for row in reversed(near)}
    name_of = {folded: similar_group(documents.ids[row]) for folded, row in first.items()}
    for row in near:
        groups[row] = name_of[texts.folded[row]]
    for row in blank:
        groups[row] = blank_group(documents.ids[row])
    return CategoricalColumn(groups)


def _folded_with_variants(texts: TextHashes, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The folded hashes that different texts among `rows` have."""
    rows = rows[np.argsort(texts.folded[rows])]
    folded, exact = texts.folded[rows], texts.exact[rows]
    has_variants = (folded[1:] == folded[:-1]) & (exact[1:] != exact[:-1])
    return np.asarray(folded[1:][has_variants])


def group_hashes(documents: Documents, texts: TextHashes) -> NDArray[np.int64]:
    """A hash of each document's group, or of its folded text if it has no group: int64 (documents,).

    Equal texts stay together, so that a head does not see its test documents in training. They do not join groups: a
    short text that many write ("thanks") would join all their groups into one; those are reported in a note instead.
    """
    groups = CategoricalColumn.of(documents.groups)
    hashes = np.array([hash(("group", group)) for group in groups.categories], dtype=np.int64)
    return np.asarray(np.where(groups.flags(bool), np.take(hashes, groups.codes), texts.folded), dtype=np.int64)


def parse_splits(corpus: Corpus) -> CategoricalColumn[Split]:
    """Parse the split of each document as the source names it; none at all if the source has no split.

    Raises BadData for another name, and if only some documents have a split.
    """
    documents = Documents.from_documents(corpus.documents)
    words = CategoricalColumn.of(documents.splits)
    if set(words.categories) <= {None}:
        return CategoricalColumn(())
    unknown = words.flags(lambda word: parse_split_name(word or "") is None)
    if unknown.any():
        row = int(np.argmax(unknown))
        word = words[row]
        problem = f"'{word}' as its split" if word and word.strip() else "no split"
        raise BadData(
            f"{corpus.source}: document '{documents.ids[row]}' (row {row + 1}) has {problem}. Write train, "
            'validation or test, or ignore the column with --split "".'
        )
    return words.map(lambda word: parse_split_name(word or "") or Split.TRAIN)


def _is_test(split: str | None) -> bool:
    return split == Split.TEST


def _is_validation(split: str | None) -> bool:
    return split == Split.VALIDATION


def _validation_notes(splits: CategoricalColumn[str | None]) -> Iterator[str]:
    if count := splits.count_if(_is_validation):
        verb = "counts" if count == 1 else "count"
        yield f"{plural(count, 'validation document')} {verb} as training, unless a fit has --validate-on split"


def _draw_test_split(
    corpus: Corpus, groups: NDArray[np.int64], given: CategoricalColumn[Split], seed: int, share: float
) -> CategoricalColumn[Split]:
    """Draw the test split, except from documents of the given validation split and of their groups."""
    is_validation = given.flags(_is_validation) if len(given) else np.zeros(len(corpus.documents), dtype=bool)
    rows = np.flatnonzero(~np.isin(groups, groups[is_validation]))
    labels = CategoricalColumn.of(Documents.from_documents(corpus.documents).labels).take(rows)
    target = Target.with_unlabeled(labels, corpus.kind, corpus.taxonomy)
    parts = stratified_split(target.strata, groups[rows], [1 - share, share], seed)
    codes = is_validation.astype(np.int8)
    codes[rows[parts == 1]] = 2
    return CategoricalColumn.from_codes(codes, (Split.TRAIN, Split.VALIDATION, Split.TEST))
