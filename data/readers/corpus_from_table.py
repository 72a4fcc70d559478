"""A table's rows become documents."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from data.documents import Corpus, Documents
from data.errors import BadData
from data.labels import ParsedLabels, cell_text, parse_labels
from data.packed import CategoricalColumn, PackedStrings, RowNumbers
from data.readers.column_roles import resolve_columns
from data.readers.files import safe_file_name
from data.table import Columns, Table


def corpus_from_table(table: Table, path: Path, asked: Columns) -> Corpus:
    """The documents of a table, in the order of its rows. Raises as `resolve_columns` and `parse_labels` do.

    Also BadData for a text that is a list or an object, an id that is missing, and two rows of one id.
    """
    columns, guessed = resolve_columns(asked, table)
    labels = ParsedLabels(CategoricalColumn(() for _ in range(table.rows)))
    if columns.label:
        labels = parse_labels(table.cells(columns.label), columns, table.at)
    documents = Documents(
        ids=_ids(table, columns.id),
        texts=PackedStrings(_texts(table, columns.text)),
        labels=labels.labels,
        splits=CategoricalColumn(_words(table, columns.split)),
        groups=CategoricalColumn(_words(table, columns.group)),
    )
    notes = (*table.notes, *guessed, *labels.notes, *_gaps(documents, labelled=columns.label is not None))
    return Corpus(safe_file_name(path.stem), table.source, documents, labels.kind, labels.taxonomy, notes)


def _words(table: Table, name: str | None) -> Iterator[str | None]:
    cells = table.cells(name) if name else (None for _ in range(table.rows))
    return (cell_text(cell, row, table.at) for row, cell in enumerate(cells))


def _texts(table: Table, name: str | None) -> Iterator[str]:
    """Texts untouched; a number as it is written, and nothing as an empty text."""
    cells = table.cells(name or "")
    return (cell if isinstance(cell, str) else cell_text(cell, row, table.at) or "" for row, cell in enumerate(cells))


def _ids(table: Table, name: str | None) -> Sequence[str]:
    """The column's cells, or without one the rows' numbers from 1."""
    if not name:
        return RowNumbers(table.rows)
    ids = PackedStrings()
    for row, word in enumerate(_words(table, name)):
        if word is None:
            raise BadData(f"{table.at(row)} has no id in column '{name}'. Fill it, or number the rows with --id \"\".")
        ids.append(word)
    if len(np.unique(np.fromiter(map(hash, ids), np.int64))) < len(ids):  # 8 bytes an id, where a set takes 100
        _check_unlike(table, ids)
    return ids


def _check_unlike(table: Table, ids: Sequence[str]) -> None:
    rows: dict[str, int] = {}
    for row, word in enumerate(ids):
        if rows.setdefault(word, row) != row:
            raise BadData(
                f"{table.source}: id '{word}' of {table.place(rows[word])} stands again in {table.place(row)}. "
                'Name a column of unlike ids with --id, or number the rows with --id "".'
            )


def _gaps(documents: Documents, *, labelled: bool) -> Iterator[str]:
    unlabelled = sum(not labels for labels in documents.labels) if labelled else 0
    if unlabelled:
        yield f"{unlabelled:,} of {len(documents):,} documents have no label"
    if empty := sum(not text.strip() for text in documents.texts):
        yield f"{empty:,} of {len(documents):,} documents have no text"
