"""New labels, splits or groups for the documents of a store, without their texts and without an encoder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data.documents import Corpus, Document
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
    by_id, known = {document.id: document for document in given.documents}, set(table.ids)
    unknown = [name for name in by_id if name not in known]
    if unknown:
        raise BadData(
            f"{source}: {len(unknown):,} of {len(by_id):,} ids are not in corpus '{table.name}' "
            f"(the first is '{unknown[0]}'). Name the column of the ids with --id."
        )
    new = _merge(table, given, by_id)
    changed = {
        name: sum(before != after for before, after in zip(getattr(table, name), getattr(new, name), strict=True))
        for name in ("labels", "splits", "groups")
    }
    if new != table:
        store.save_corpus(new)
    return RelabelResult(table.name, changed, len(table.ids) - len(by_id), given.notes)


def _merge(table: CorpusTable, given: Corpus, by_id: dict[str, Document]) -> CorpusTable:
    new = table
    if any(document.labels is not None for document in given.documents):
        kind, taxonomy = _merge_kind(table, given)
        labels = [by_id[name].labels if name in by_id else old for name, old in _with_ids(table, table.labels)]
        new = replace(new, labels=labels, kind=kind, taxonomy=taxonomy)
    if any(document.split for document in given.documents):
        splits = parse_splits(given)
        split_of = {document.id: str(split) for document, split in zip(given.documents, splits, strict=True)}
        new = replace(new, splits=[split_of.get(name, old) for name, old in _with_ids(table, table.splits)])
    if any(document.group for document in given.documents):
        groups = [by_id[name].group if name in by_id else old for name, old in _with_ids(table, table.groups)]
        new = replace(new, groups=groups)
    if new is table:
        raise BadData(
            f"{given.source} has no labels, splits or groups. Name their columns (--label, --split, --group)."
        )
    return new


def _with_ids(table: CorpusTable, values: Sequence[Any]) -> Iterable[tuple[str, Any]]:
    return zip(table.ids, values, strict=True)


def _merge_kind(table: CorpusTable, given: Corpus) -> tuple[Any, Taxonomy | None]:
    """The kind and the taxonomy of all labels, those that stay and the new ones."""
    old = table.taxonomy.paths if table.taxonomy else {}
    names = {label for document in given.documents for label in document.labels or ()}
    if table.kind == "path" and names <= old.keys():
        return table.kind, table.taxonomy
    if len(given.documents) == len(table.ids):
        return given.kind, given.taxonomy
    if given.kind != table.kind:
        raise CallError(
            f"{given.source} has labels of kind '{given.kind}' for some documents of '{table.name}', and the labels of "
            f"the others are of kind '{table.kind}'. Label all of them, or use labels of that kind."
        )
    new = given.taxonomy.paths if given.taxonomy else {}
    return given.kind, Taxonomy({**old, **new}) if new else None
