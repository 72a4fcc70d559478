"""The corpus table of a store, kept up to date with the source of the corpus."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data.documents import Corpus, Documents
from data.errors import StoreDamaged
from data.text_format import plural
from featurestore import CorpusTable, FeatureStore


def create_corpus_table(corpus: Corpus, keys: Sequence[str]) -> CorpusTable:
    """The corpus without its texts. keys: the key of each document's text, in the order of the documents."""
    documents = Documents.from_documents(corpus.documents)
    return CorpusTable(
        name=corpus.name,
        source=corpus.source,
        kind=corpus.kind,
        taxonomy=corpus.taxonomy,
        ids=documents.ids,
        keys=keys,
        splits=documents.splits,
        groups=documents.groups,
        labels=documents.labels,
        notes=corpus.notes,
        spec=corpus.spec,
        tabular=corpus.tabular,
        sample_of=corpus.sample_of,
    )


def save_corpus(corpus: Corpus, keys: Sequence[str], store: FeatureStore) -> tuple[str, ...]:
    """Write the corpus into the store if it has changed; returns sentences on what was replaced."""
    table = create_corpus_table(corpus, keys)
    if store.has_corpus(table):
        return ()
    if corpus.name not in store.corpora():
        store.save_corpus(table)
        return ()
    try:
        before = store.corpus(corpus.name)
    except StoreDamaged as error:
        store.save_corpus(table)
        return (f"{error} It was written again.",)
    differences = tuple(_differences(before, table))
    store.save_corpus(table)
    return differences


def _differences(before: CorpusTable, now: CorpusTable) -> list[str]:
    (old, old_values), (new, new_values) = _hash_rows(before), _hash_rows(now)
    if not np.array_equal(old, new):
        return [
            f"{now.name}: the store had {plural(len(old), 'document')} of this corpus and now has {len(new):,}, "
            f"{int((~np.isin(new, old)).sum()):,} of them with a new id or text. "
            "To keep both versions, embed into another --store, or rename the file."
        ]
    changed = np.flatnonzero(old_values != new_values)
    notes = list[str]()
    if before.taxonomy is not None and before.taxonomy != now.taxonomy:
        other = "no taxonomy" if now.taxonomy is None else "another one"
        notes.append(f"{now.name}: the labels had a taxonomy in the store, and {other} in the source, which counts.")
    if not len(changed):
        return notes
    return [
        *notes,
        f"{now.name}: {plural(len(changed), 'document')} had another label, split or group in the store "
        f"(the first: '{now.ids[int(changed[0])]}'); the values of the source replaced them.",
    ]


def _hash_rows(table: CorpusTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hashes of each document's id and key, and of its split, group and labels: int64 (documents,)."""
    names = zip(table.ids, table.keys, strict=True)
    values = zip(table.splits, table.groups, table.labels, strict=True)
    known = (hash((split or "", group or "", labels)) for split, group, labels in values)
    return np.fromiter(map(hash, names), np.int64, len(table.ids)), np.fromiter(known, np.int64, len(table.ids))
