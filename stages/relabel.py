"""New labels, splits or groups for the documents of a store, without their texts and without an encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import eq, ne
from typing import Any

import numpy as np

from data.corpus_summary import TaxonomySummary
from data.documents import Corpus, Documents, Kind, Labels, is_group_of_texts
from data.errors import BadData, CallError
from data.readers import read_labels_by_id
from data.readers.labels_in_taxonomy import resolve_labels
from data.readers.taxonomy_file import TaxonomyFile, read_taxonomy
from data.source_spec import SourceSpec
from data.splitting.train_test_split import parse_splits
from data.taxonomy import Taxonomy
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


def relabel(store: FeatureStore, table: CorpusTable, source: str | None, spec: SourceSpec) -> RelabelResult:
    """Replace the labels, splits and groups of a corpus by columns of a table, matched by document id; or its taxonomy.

    Documents that the table lacks keep their values, and features do not change. New labels of some documents are read
    as labels of the corpus's kind: "a/b" is no path if the others are none.

    Args:
        store: the store of the corpus.
        table: the corpus.
        source: the path of the table; None if only the taxonomy is replaced.
        spec: how the table is read; what it leaves open is read as in the source of the corpus. If it names the file of
            a taxonomy, this becomes the taxonomy of all labels, those that stay included.

    Returns:
        What was replaced.

    Raises:
        BadData: for an id that the corpus lacks, for a source with none of these columns, and for a label that is not
            in the taxonomy.
        CallError: if labels of another kind would be mixed with the existing ones, or nothing is given to replace; and
            what reading the table and the taxonomy raises.
    """
    if source is None and not spec.taxonomy:
        raise CallError("Name a table with a column of ids and one of labels, or a taxonomy with --taxonomy.")
    file = read_taxonomy(spec.taxonomy) if spec.taxonomy else None
    new, missing, notes = table, 0, tuple[str, ...]()
    if source is not None:
        requested = spec if file is None else spec.without_taxonomy()
        known = table.spec.for_values(source, table.source)
        given = read_labels_by_id(source, requested, known, partial(_kind_of_others, table))
        given = _select_sample(table, given)
        documents = Documents.from_documents(given.documents)
        rows = _match_rows(table, documents, source)
        new, missing, notes = _merge(table, given, documents, rows, file), rows.count(None), given.notes
    if file is not None:
        new = _attach(new, file, spec)
        summary = TaxonomySummary.of(file.taxonomy, new.labels)
        notes = (*notes, *file.notes, f"the taxonomy of the labels: {summary}")
    changed = {
        name: _count_changes(getattr(table, name), getattr(new, name)) for name in ("labels", "splits", "groups")
    }
    if new != table:
        store.save_corpus(new)
    return RelabelResult(table.name, changed, missing, notes)


def _kind_of_others(table: CorpusTable, ids: Sequence[str]) -> Kind | None:
    """The kind of the corpus, which new labels of some documents join; None if there are no others."""
    given = len(ids) if table.sample_of is None else len(set(ids) & set(table.ids))
    is_alone = given == len(table.ids) or all(labels is None for labels in table.labels)
    return None if is_alone else table.kind


def _select_sample(table: CorpusTable, given: Corpus) -> Corpus:
    """What is given; for a sample only its documents, if any of them are given."""
    if table.sample_of is None:
        return given
    documents, known = Documents.from_documents(given.documents), set(table.ids)
    rows = [row for row, identifier in enumerate(documents.ids) if identifier in known]
    return replace(given, documents=documents.take(np.array(rows))) if rows else given


def _attach(table: CorpusTable, file: TaxonomyFile, spec: SourceSpec) -> CorpusTable:
    """The corpus with another taxonomy, whose nodes its labels are or end in."""
    separator = spec.path_separator or table.spec.path_separator or ("/" if table.kind == "path" else "")
    return replace(
        table,
        labels=resolve_labels(table.name, table.ids, table.labels, file, separator),
        kind="multilabel" if table.kind == "multilabel" else "path",
        taxonomy=file.taxonomy,
        spec=replace(table.spec, taxonomy=spec.taxonomy, path_separator=separator),
    )


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


def _merge(
    table: CorpusTable,
    given: Corpus,
    documents: Documents,
    rows: Sequence[int | None],
    file: TaxonomyFile | None,
) -> CorpusTable:
    """The table with the given columns. rows: the row of `documents` for each document of the table."""
    new = table
    if any(labels is not None for labels in documents.labels):
        labels, kind, taxonomy = _merge_labels(table, given, documents, file)
        new = replace(new, labels=_update(table.labels, labels, rows), kind=kind, taxonomy=taxonomy)
    if any(documents.splits):
        new = replace(new, splits=_update(table.splits, list(map(str, parse_splits(given))), rows))
    if any(documents.groups):
        new = replace(new, groups=_update_groups(table.groups, documents.groups, rows))
    if new is table:
        raise BadData(
            f"{given.source} has no labels, splits or groups. Name their columns (--label, --split, --group)."
        )
    return new


def _update(old: Sequence[Any], given: Sequence[Any], rows: Sequence[int | None]) -> list[Any]:
    """The given values where the given table has a row, else the old ones."""
    values = list(given)
    return [before if row is None else values[row] for row, before in zip(rows, old, strict=True)]


def _update_groups(
    old: Sequence[str | None], given: Sequence[str | None], rows: Sequence[int | None]
) -> list[str | None]:
    """As `_update`; a document that gets no group keeps the one that it has because of its text."""
    groups = zip(old, _update(old, given, rows), strict=True)
    return [before if group is None and is_group_of_texts(before) else group for before, group in groups]


def _merge_labels(
    table: CorpusTable, given: Corpus, documents: Documents, file: TaxonomyFile | None
) -> tuple[Sequence[Labels], Kind, Taxonomy | None]:
    """The given labels, and the kind and the taxonomy of all labels, those that stay and the new ones.

    file: the taxonomy that all labels get; None if there is no new one.
    """
    is_complete, is_alike = len(documents) == len(table.ids), _is_multilabel(given) == _is_multilabel(table)
    if table.taxonomy is not None and is_alike and file is None:
        try:
            labels = _resolve_known(table.taxonomy, table.name, given, documents)
        except BadData:
            known = {
                label for labels in set(documents.labels) for label in labels or ()
            } & table.taxonomy.parents.keys()
            if given.taxonomy is None and (known or not is_complete):  # else these are other labels, of all documents
                raise
        else:
            return labels, table.kind, table.taxonomy
    if is_complete or (file is not None and is_alike):
        return documents.labels, given.kind, given.taxonomy
    if given.kind != table.kind:
        raise CallError(
            f"{given.source} has labels of kind '{given.kind}' for some documents of '{table.name}', and the labels of "
            f"the others are of kind '{table.kind}'. Label all of them, or use labels of that kind."
        )
    old = table.taxonomy.parents if table.taxonomy else {}
    new = given.taxonomy.parents if given.taxonomy else {}
    return documents.labels, given.kind, Taxonomy.from_parents({**old, **new}) if new else None


def _is_multilabel(corpus: Corpus | CorpusTable) -> bool:
    return corpus.kind == "multilabel"


def _resolve_known(taxonomy: Taxonomy, name: str, given: Corpus, documents: Documents) -> Sequence[Labels]:
    """The given labels as nodes of the taxonomy that the corpus has. Raises BadData as `resolve_labels`."""
    file, separator = TaxonomyFile(f"the taxonomy of '{name}'", taxonomy), given.spec.path_separator or ""
    return resolve_labels(given.source, documents.ids, documents.labels, file, separator)
