"""The corpus table of a store, kept up to date with the source of the corpus."""

from collections.abc import Sequence

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
    old, new = _rows(before), _rows(now)
    if list(old) != list(new):
        return [
            f"{now.name}: the store had {plural(len(old), 'document')} of this corpus and now has {len(new):,}, "
            f"{len(new.keys() - old.keys()):,} of them with a new id or text. "
            "To keep both versions, embed into another --store, or rename the file."
        ]
    changed = [identifier for (identifier, _), row in new.items() if row != old[identifier, _]]
    if not changed:
        return []
    return [
        f"{now.name}: {plural(len(changed), 'document')} had another label, split or group in the store "
        f"(the first: '{changed[0]}'); the values of the source replaced them."
    ]


def _rows(table: CorpusTable) -> dict[tuple[str, str], tuple[object, ...]]:
    named = zip(table.ids, table.keys, strict=True)
    known = zip(table.splits, table.groups, table.labels, strict=True)
    return {name: (split or "", group or "", labels) for name, (split, group, labels) in zip(named, known, strict=True)}
