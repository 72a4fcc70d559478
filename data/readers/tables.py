"""A table's rows become documents."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from data.columns import Columns
from data.documents import Corpus, Document
from data.errors import BadData
from data.labels import Labels, read_labels, scalar
from data.readers.guessing import resolve
from data.readers.names import file_name
from data.table import Table


def corpus_of(table: Table, path: Path, asked: Columns) -> Corpus:
    """The documents of a table, in the order of its rows. Raises as `resolve` and `read_labels` do.

    Also BadData for a text that is a list or an object, an id that is missing, and two rows of one id.
    """
    columns, guessed = resolve(asked, table)
    labels = Labels([()] * table.rows)
    if columns.label:
        labels = read_labels(table.cells(columns.label), columns, table.at)
    splits, groups = (_words(table, name) for name in (columns.split, columns.group))
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # a million documents of a few labels hold each label once
    of_each = (shared.setdefault(each, each) for each in labels.of_each)
    rows = zip(_ids(table, columns.id), _texts(table, columns.text), of_each, splits, groups, strict=True)
    documents = [Document(*row) for row in rows]
    notes = (*table.notes, *guessed, *labels.notes, *_gaps(documents, labelled=columns.label is not None))
    return Corpus(file_name(path.stem), table.source, documents, labels.kind, labels.taxonomy, notes)


def _words(table: Table, name: str | None) -> list[str | None]:
    if not name:
        return [None] * table.rows
    return [scalar(cell, row, table.at) for row, cell in enumerate(table.cells(name))]


def _texts(table: Table, name: str | None) -> list[str]:
    """Texts untouched; a number as it is written, and nothing as an empty text."""
    cells = table.cells(name or "")
    return [cell if isinstance(cell, str) else scalar(cell, row, table.at) or "" for row, cell in enumerate(cells)]


def _ids(table: Table, name: str | None) -> list[str]:
    """The column's cells, or without one the rows' numbers from 1."""
    if not name:
        return [str(number) for number in range(1, table.rows + 1)]
    ids: dict[str, int] = {}
    for row, word in enumerate(_words(table, name)):
        if word is None:
            raise BadData(f"{table.at(row)} has no id in column '{name}'. Fill it, or number the rows with --id \"\".")
        if ids.setdefault(word, row) != row:
            raise BadData(
                f"{table.source}: id '{word}' of {table.place(ids[word])} stands again in {table.place(row)}. "
                'Name a column of unlike ids with --id, or number the rows with --id "".'
            )
    return list(ids)


def _gaps(documents: Sequence[Document], *, labelled: bool) -> Iterator[str]:
    unlabelled = sum(not document.labels for document in documents) if labelled else 0
    if unlabelled:
        yield f"{unlabelled:,} of {len(documents):,} documents have no label"
    if empty := sum(not document.text.strip() for document in documents):
        yield f"{empty:,} of {len(documents):,} documents have no text"
