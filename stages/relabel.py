"""New labels, splits or groups for the documents of a store, without their texts and without an encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import eq, ne
from typing import Any

from data.documents import Corpus, Documents
from data.errors import BadData, CallError
from data.readers import read_labels_by_id
from data.source_spec import SourceSpec
from data.taxonomy import Taxonomy
from data.train_test_split import parse_splits
from featurestore import CorpusTable, FeatureStore


@dataclass(frozen=True)
class RelabelResult:
    """What was replaced.

    changed: column -> number of documents whose value changed. missing: documents of the corpus that the source lacks.
    """

    corpus: str
    changed: dict[str, int]
    missing: int
    notes: tuple[str, ...]


def relabel(store: FeatureStore, table: CorpusTable, source: str, spec: SourceSpec) -> RelabelResult:
    """Replace the labels, splits and groups of a corpus by columns of a table, matched by document id.

    Documents that the table lacks keep their values, and features do not change.

    Args:
        store: the store of the corpus.
        table: the corpus.
        source: the path of the table.
        spec: how the table is read; what it leaves open is read as in the source of the corpus.

    Returns:
        What was replaced.

    Raises:
        BadData: for an id that the corpus lacks, and for a source with none of these columns.
        CallError: if labels of another kind would be mixed with the existing ones; and what reading the table raises.
    """
    given = read_labels_by_id(source, spec, table.spec.for_file(source, table.source))
    documents = Documents.from_documents(given.documents)
    rows = _match_rows(table, documents, source)
    missing = rows.count(None)
    new = _merge(table, given, documents, rows)
    changed = {
        name: _count_changes(getattr(table, name), getattr(new, name)) for name in ("labels", "splits", "groups")
    }
    if new != table:
        store.save_corpus(new)
    return RelabelResult(table.name, changed, missing, given.notes)


def _match_rows(table: CorpusTable, documents: Documents, source: str) -> Sequence[int | None]:
    """The row of `documents` for each document of the table. Raises BadData for an id that the table lacks."""
    if len(documents) == len(table.ids) and all(map(eq, documents.ids, table.ids)):
        return range(len(documents))
    row_of = dict(zip(documents.ids, range(len(documents)), strict=True))
    rows = list(map(row_of.get, table.ids))
    if len(rows) - rows.count(None) < len(row_of):
        unknown = sorted(row_of.keys() - set(table.ids), key=row_of.__getitem__)
        raise BadData(
            f"{source}: {len(unknown):,} of {len(row_of):,} ids are not in corpus '{table.name}' "
            f"(the first is '{unknown[0]}'). Name the column of the ids with --id."
        )
    return rows


def _count_changes(before: Sequence[Any], after: Sequence[Any]) -> int:
    return 0 if before is after else sum(map(ne, before, after))


def _merge(table: CorpusTable, given: Corpus, documents: Documents, rows: Sequence[int | None]) -> CorpusTable:
    """The table with the given columns. rows: the row of `documents` for each document of the table."""
    new = table
    if any(labels is not None for labels in documents.labels):
        kind, taxonomy = _merge_kind(table, given, documents)
        new = replace(new, labels=_update(table.labels, documents.labels, rows), kind=kind, taxonomy=taxonomy)
    if any(documents.splits):
        new = replace(new, splits=_update(table.splits, list(map(str, parse_splits(given))), rows))
    if any(documents.groups):
        new = replace(new, groups=_update(table.groups, documents.groups, rows))
    if new is table:
        raise BadData(
            f"{given.source} has no labels, splits or groups. Name their columns (--label, --split, --group)."
        )
    return new


def _update(old: Sequence[Any], given: Sequence[Any], rows: Sequence[int | None]) -> list[Any]:
    """The given values where the given table has a row, else the old ones."""
    values = list(given)
    return [before if row is None else values[row] for row, before in zip(rows, old, strict=True)]


def _merge_kind(table: CorpusTable, given: Corpus, documents: Documents) -> tuple[Any, Taxonomy | None]:
    """The kind and the taxonomy of all labels, those that stay and the new ones."""
    old = table.taxonomy.parents if table.taxonomy else {}
    names = {label for labels in set(documents.labels) for label in labels or ()}
    if table.kind == "path" and names <= old.keys():
        return table.kind, table.taxonomy
    if len(documents) == len(table.ids):
        return given.kind, given.taxonomy
    if given.kind != table.kind:
        raise CallError(
            f"{given.source} has labels of kind '{given.kind}' for some documents of '{table.name}', and the labels of "
            f"the others are of kind '{table.kind}'. Label all of them, or use labels of that kind."
        )
    new = given.taxonomy.parents if given.taxonomy else {}
    return given.kind, Taxonomy.from_parents({**old, **new}) if new else None
