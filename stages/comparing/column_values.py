"""The values of a column for the documents of a run: what `--group-by` groups by.

A corpus keeps its tabular columns and its group column, and the ids of documents from several files have the name of
the file. Any other column is read from the file of the corpus again, as it was read by `embed`.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.benchmarks import BENCHMARKS
from data.documents import is_group_of_texts
from data.errors import ColumnMissing, EmbedOnceError, UnknownName, suggest_name
from data.readers import read_column
from data.source_spec import SourceSpec
from data.splits import Split
from data.tabular import TabularColumn
from data.text_format import join_names
from featurestore import CorpusTable, Location
from stages.fitting.runs import Run
from stages.stores import open_corpus, open_store

__all__ = ["ColumnValues", "read_column_values"]

MOST_NUMBERS = 20  # different numbers of a column, each of which is a value of its own; of more, there are ranges
RANGES = 4  # of equally many documents
FILE = "file"
_NUMBERED = re.compile(r"(.+)-\d+")


@dataclass(frozen=True)
class ColumnValues:
    """The value of each document by its id; one without a value is missing.

    notes: what a reader must know about them.
    """

    values: Mapping[str, str]
    notes: tuple[str, ...] = ()


def read_column_values(run: Run, column: str, stores: Location) -> ColumnValues:
    """Read a column for the documents of a run.

    Args:
        run: the run.
        column: a tabular column of the corpus, its group column or "group", "file" if it has several, or a column of
            the file that the corpus was read from.
        stores: the folder of the stores.

    Returns:
        The values. Dates are years, and many different numbers are ranges.

    Raises:
        UnknownName: there is no such column, or it cannot be read.
    """
    record = run.record
    try:
        corpus = open_corpus(open_store(Path(record.store), stores), record.corpus)
    except EmbedOnceError as error:
        return _read_from_source(run, column, (), f"The store of {run.name} cannot be read: {error}")
    if corpus.tabular is not None and (tabular := corpus.tabular.column(column)) is not None:
        return _tabular_values(corpus, tabular)
    kept = dict(_kept_columns(corpus))
    if column in kept:
        return ColumnValues(kept[column])
    names = [*(each.name for each in (corpus.tabular.columns if corpus.tabular else ())), *kept]
    return _read_from_source(run, column, names, f"The corpus {corpus.name} does not keep a column '{column}'")


def _kept_columns(corpus: CorpusTable) -> Iterator[tuple[str, dict[str, str]]]:
    """The group column by both of its names, and the files."""
    pairs = zip(corpus.ids, corpus.groups, strict=True)
    groups = {document: group for document, group in pairs if group and not is_group_of_texts(group)}
    if groups:
        yield from ((name, groups) for name in dict.fromkeys((corpus.spec.group or "group", "group")))
    files = {document: match[1] for document in corpus.ids if (match := _NUMBERED.fullmatch(document))}
    names = set(files.values()) - {split.value for split in Split}
    if not corpus.spec.id and len(files) == len(corpus.ids) and len(names) > 1:
        yield FILE, files


def _tabular_values(corpus: CorpusTable, column: TabularColumn) -> ColumnValues:
    present = np.flatnonzero(~column.is_missing)
    values, notes = _as_words(column, column.values[present])
    return ColumnValues(dict(zip((corpus.ids[row] for row in present.tolist()), values, strict=True)), notes)


def _as_words(column: TabularColumn, values: NDArray[Any]) -> tuple[list[str], tuple[str, ...]]:
    """Values that are not missing, as words, and notes on them."""
    if column.kind == "category":
        return [column.levels[code] for code in values.tolist()], ()
    if column.kind == "date":
        years = values.astype("datetime64[D]").astype("datetime64[Y]")
        return [str(year) for year in years], (f"The dates of '{column.name}' are grouped by year.",)
    if len(np.unique(values)) <= MOST_NUMBERS:
        return [f"{value:g}" for value in values.tolist()], ()
    edges = np.unique(np.quantile(values, np.linspace(0, 1, RANGES + 1)))
    names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    ranges = np.searchsorted(edges[1:-1], values, side="left")
    note = (
        f"The numbers of '{column.name}' are grouped into {len(names)} ranges; a number at a bound is in the lower one."
    )
    return [names[each] for each in ranges.tolist()], (note,)


def _read_from_source(run: Run, column: str, kept: "list[str] | tuple[str, ...]", reason: str) -> ColumnValues:
    """Read a column of the corpus's file by the ids of documents. kept, reason: for the error."""
    record = run.record
    spec = SourceSpec.from_json(record.spec)
    known = f" (it keeps {join_names(kept)})" if kept else ""
    if record.source in BENCHMARKS or (Path(record.source).is_dir() and not spec.text):
        kind = "benchmark" if record.source in BENCHMARKS else "folder of texts"
        raise UnknownName(f"{reason}{known}, and a {kind} has no columns.{suggest_name(column, kept)}")
    try:
        cells = read_column(record.source, column, SourceSpec(), spec)
    except ColumnMissing as error:
        raise UnknownName(f"{reason}{known}. {error}") from error
    except (EmbedOnceError, OSError) as error:
        raise UnknownName(
            f"{reason}{known}, and its file cannot be read: {error} To keep the column, run `embedonce embed` again "
            f"with --tabular {shlex.quote(column)}, which encodes no text that is stored."
        ) from error
    values = {document: cell for document, cell in cells.items() if cell}
    matched = "" if spec.id else "; rows are matched by their number, so the file must not have changed since `embed`"
    note = f"'{column}' was read from {record.source} as it is now{matched}."
    return ColumnValues(values, (note,))
