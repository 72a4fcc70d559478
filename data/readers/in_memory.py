"""Documents that are already in memory: a list of texts, a data frame, or a Hugging Face dataset."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.documents import Corpus
from data.errors import BadData, CallError
from data.readers.class_names import name_classes
from data.readers.corpus_from_table import corpus_from_table, follow_known
from data.readers.inputs import MEMORY_PREFIX
from data.readers.joined_tables import join_tables
from data.readers.labels_in_taxonomy import attach_taxonomy
from data.readers.tables import exists
from data.readers.taxonomy_file import read_taxonomy
from data.source_spec import SourceSpec
from data.splitting.train_test_split import parse_split_name
from data.table import Table
from data.text_format import join_names

TEXT = "text"
LABEL = "label"
MEMORY = "the data in memory"


def read_in_memory(
    source: Any,
    spec: SourceSpec,
    labels: Sequence[Any] | None = None,
    name: str | None = None,
    known: SourceSpec | None = None,
) -> Corpus:
    """A corpus of the rows of `source`, in their order; row numbers are ids unless `columns` names a column of ids.

    Args:
        source: a list, an array or a series of texts; a data frame that narwhals knows (pandas, polars, pyarrow, ...);
            a `datasets.Dataset`; or a dict from splits to data frames or datasets, such as a `DatasetDict`. Class
            numbers of a dataset's `ClassLabel` column are read as their names.
        columns: names of the columns; None is guessed, as in a file. A list of texts has none.
        labels: (documents,), only with a list of texts: a string, a number, a list of these or None for each.
        name: names the corpus, and so its store. By default `memory-` and eight hex digits of a hash of the rows,
            so that the same rows find the same store.
        known: how another source was read, for what `spec` leaves open, as in `read_corpus`.

    Raises:
        CallError: for a source of another type, an unequal number of texts and labels, and for `labels` with a table.
        BadData: as for a file; rows are named by their number, counted from 1. Also for two columns with one name.
    """
    if spec.taxonomy:
        file = read_taxonomy(spec.taxonomy)
        corpus = attach_taxonomy(read_in_memory(source, spec.without_taxonomy(), labels, name, known), file)
        return replace(corpus, spec=replace(corpus.spec, taxonomy=spec.taxonomy))
    if isinstance(source, str | bytes) or not hasattr(source, "__len__"):
        raise CallError(f"{_type_name(source)} is no source of documents. {_EXPECTED}")
    if spec.split_files:
        raise CallError("test_file and validation_file need a file of training documents, not data in memory.")
    if _is_one_column(source):
        table, spec = _table_of_texts(list(source), labels), _spec_of_texts(spec, labels)
    else:
        table = _table_of_splits(source, spec) if isinstance(source, dict) else _table_of_rows(source)
        if labels is not None:
            raise CallError(
                "Labels are given twice: a table has them in a column. Name that column with label=, or several "
                'columns of 0 and 1 as label="one,two".'
            )
    spec = follow_known(spec, table, known)[0] if known else spec
    corpus = corpus_from_table(table, Path(f"{name or f'memory-{_digest(table)}'}.memory"), spec)
    return replace(corpus, source=f"{MEMORY_PREFIX}{corpus.name}")


_EXPECTED = (
    "Pass a path, a list of texts, a pandas or polars data frame, a datasets.Dataset, or a dict of data frames or "
    "datasets by split."
)


def _type_name(source: Any) -> str:
    return f"An object of type {type(source).__name__}"


def _is_one_column(source: Any) -> bool:
    """Whether a source is a list of texts, or what holds them as one: an array, a series, a column of a dataset."""
    if isinstance(source, Sequence) or getattr(source, "ndim", 0) == 1:
        return True
    from narwhals.dependencies import is_into_series

    return bool(is_into_series(source))


def _is_dataset(source: Any) -> bool:
    return hasattr(source, "column_names") and hasattr(source, "features")


def _table_of_texts(texts: list[Any], labels: Sequence[Any] | None) -> Table:
    for row, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            problem = f"Text {row} of the list is of type {type(text).__name__}"
            raise CallError(f'{problem}. Write "" for a document without text. {_EXPECTED}')
    if texts and all(exists(path) and path.is_file() for path in map(Path, texts)):
        raise CallError("The list has the names of files. To read these, pass Path objects: [Path(name), ...].")
    cells: dict[str, Sequence[Any]] = {TEXT: texts}
    if labels is not None:
        if len(labels) != len(texts):
            raise CallError(f"There are {len(texts):,} texts and {len(labels):,} labels. Give one label per text.")
        cells[LABEL] = [_plain(label) for label in labels]
    return _table(cells.keys(), len(texts), cells.__getitem__)


def _spec_of_texts(spec: SourceSpec, labels: Sequence[Any] | None) -> SourceSpec:
    if any((spec.text, spec.template, spec.label, spec.id, spec.split, spec.group, spec.tabular)):
        raise CallError("A list of texts has no columns. Pass its labels as a list, or a data frame for more columns.")
    return replace(spec, text=(TEXT,), label=None if labels is None else LABEL)


def _table_of_splits(source: dict[Any, Any], spec: SourceSpec) -> Table:
    if spec.split:
        raise CallError(f"split={spec.split!r} names a column, but the keys of the dict name the splits. Leave it out.")
    splits = {key: parse_split_name(str(key)) for key in source}
    if unknown := [str(key) for key, split in splits.items() if split is None]:
        raise CallError(
            f"{join_names(unknown)} {'is' if len(unknown) == 1 else 'are'} not the name of a split (train, validation "
            'or test). Pass a dict of splits, such as {"train": frame, "test": other}, or a data frame.'
        )
    if not splits:
        raise CallError("The dict has no splits. Pass at least one document.")
    if lists := [str(key) for key, rows in source.items() if isinstance(rows, list | tuple)]:
        raise CallError(
            f"{join_names(lists)} of the dict {'is a list' if len(lists) == 1 else 'are lists'}. Pass a data frame or "
            "a dataset for each split, or one list of all texts."
        )
    tables = (_table_of_rows(source[key], f"split {key}") for key in splits)
    return join_tables(MEMORY, list(filter(None, splits.values())), tables)


def _table_of_rows(source: Any, name: str = MEMORY) -> Table:
    table = _table_of_dataset(source, name) if _is_dataset(source) else _table_of_frame(source)
    return replace(table, source=name)


def _table_of_frame(frame: Any) -> Table:
    import narwhals

    try:
        eager = narwhals.from_native(frame, eager_only=True)
    except TypeError as error:
        raise CallError(f"{_type_name(frame)} is no source of documents. {_EXPECTED}") from error
    except narwhals.exceptions.DuplicateError as error:
        _check_distinct(map(str, getattr(frame, "column_names", None) or frame.columns))
        raise BadData(f"{_type_name(frame)} cannot be read: {error}") from error
    names = [str(column) for column in eager.columns]  # pandas may have numbers
    _check_distinct(names)
    return _table(names, len(eager), lambda name: map(_plain, eager[:, names.index(name)].to_list()))


def _check_distinct(names: Iterable[str]) -> None:
    """Raise BadData for names of columns that occur more than once."""
    repeated = [name for name, number in Counter(names).items() if number > 1]
    if repeated:
        raise BadData(f"The data frame has more than one column called {join_names(repeated)}. Rename all but one.")


def _table_of_dataset(dataset: Any, source: str) -> Table:
    features = dataset.features.to_dict()
    return _table(
        dataset.column_names,
        len(dataset),
        lambda name: name_classes(dataset[name], features, name, source),
    )


def _table(names: Iterable[str], rows: int, cells: Callable[[str], Iterable[Any]]) -> Table:
    if not rows:
        raise CallError("The source has no rows. Pass at least one document.")
    return Table(MEMORY, tuple(names), rows, cells)


def _plain(cell: Any) -> Any:
    """A cell without NumPy's and pandas' types: numbers as Python's, arrays as lists, every kind of missing as None.

    The same holds for the items of a list and the values of an object.
    """
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if isinstance(cell, set | frozenset):
        cell = sorted(cell, key=str)  # the order of a set of texts differs between processes
    if isinstance(cell, list | tuple):
        return [_plain(item) for item in cell]
    if isinstance(cell, dict):
        return {name: _plain(value) for name, value in cell.items()}
    is_missing = (
        cell is None or type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and cell != cell)
    )
    return None if is_missing else cell


def _digest(table: Table) -> str:
    content = hashlib.sha256(json.dumps(list(table.splits)).encode() if table.splits else b"")
    for name in table.names:
        for cell in (name, *table.cells(name)):
            content.update(json.dumps(cell, default=str).encode() + b"\n")
    return content.hexdigest()[:8]
