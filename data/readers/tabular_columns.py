"""Tabular columns from the cells of a table: a column of numbers, of dates, else of categories."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.labels import cell_text
from data.readers.column_roles import check_columns
from data.table import Table
from data.tabular import KINDS, ColumnKind, Tabular, TabularColumn
from data.text_format import join_words, plural

# missing numbers and dates, as programs write them; a category may have any of these names, as Namibia is NA
_MISSING = frozenset({"nan", "na", "n/a", "#n/a", "<na>", "null", "none", "nat", "-", "?"})
# in 1,234 the comma may separate thousands
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+,(\d{1,2}|\d{4,})|0,\d+)")
_CODE = re.compile(r"0\d+")  # 01067 is no number
_MANY = 50  # categories, from which on more than half as many as documents is reported
_SECONDS = 86_400


def parse_tabular(requested: Sequence[str], table: Table) -> dict[str, ColumnKind | None]:
    """The columns of `--tabular` and their kinds: "price:number", or "price" to guess it (None)."""
    kinds: dict[str, ColumnKind | None] = {}
    for item in requested:
        name, _, kind = item.rpartition(":")
        if table.has_column(item) or kind not in KINDS:
            kinds[item] = None
        else:
            kinds[name] = cast(ColumnKind, kind)
    return kinds


def read_tabular(
    table: Table, kinds: Mapping[str, ColumnKind | None], labels: Sequence[str]
) -> tuple[Tabular | None, tuple[str, ...]]:
    """Read tabular columns, None if there are none; and notes on what was guessed and is missing.

    A cell that is no number or no date is missing, with a note, if the user gave the kind; else it makes the column one
    of categories.

    Args:
        table: The table.
        kinds: The columns with their kinds, from `parse_tabular`.
        labels: The columns of the labels, which may not be among them.

    Raises:
        ColumnMissing, BadData: The table lacks a column, or has it twice; a cell is a list.
        CallError: A column is one of `labels`.
    """
    if not kinds:
        return None, ()
    check_columns(table, kinds)
    if label := next((name for name in labels if name in kinds), None):
        raise CallError(f"'{label}' is the label: as a tabular column it gives the answer away. Leave it out.")
    notes: list[str] = []
    columns = [_read_column(table, name, kind, notes) for name, kind in kinds.items()]
    guesses = [_describe(column) for column in columns if kinds[column.name] is None]
    if guesses:
        notes.insert(0, f"tabular columns are {join_words(guesses)} (guessed; name one as in --tabular zip:category)")
    return Tabular(tuple(columns)), tuple(notes)


def _describe(column: TabularColumn) -> str:
    kind = {"number": "numbers", "date": "dates", "category": plural(len(column.levels), "category", "categories")}
    missing = int(column.is_missing.sum())
    return f"'{column.name}' ({kind[column.kind]}{f', {missing:,} missing' if missing else ''})"


def _read_column(table: Table, name: str, kind: ColumnKind | None, notes: list[str]) -> TabularColumn:
    levels: dict[str, int] = {}
    words = (cell_text(cell, row, table.location) for row, cell in enumerate(table.cells(name)))
    codes = np.fromiter((-1 if word is None else levels.setdefault(word, len(levels)) for word in words), np.int32)
    parsed = {parser: _parse(levels, parser) for parser in ("number", "date") if kind in (None, parser)}
    if kind is None and any(map(_CODE.fullmatch, levels)):
        kind = "category"
    kind = kind or _guess_kind(parsed)
    if kind == "category":
        notes.extend(_category_notes(name, levels, table.rows, parsed))
        order = sorted(levels)
        ranks = np.empty(len(levels) + 1, np.int32)
        ranks[[levels[level] for level in order]] = np.arange(len(order))
        ranks[-1] = -1  # for code -1, a blank cell
        return TabularColumn(name, kind, ranks[codes], tuple(order))
    values, invalid = parsed[kind]
    rows = np.flatnonzero(np.isin(codes, [levels[word] for word in invalid]))
    if len(rows):
        notes.append(
            f"{plural(len(rows), 'cell')} of '{name}' {'is' if len(rows) == 1 else 'are'} no {kind} and read as "
            f"missing (the first is '{invalid[0][:40]}', {table.row_name(int(rows[0]))})"
        )
    return TabularColumn(name, kind, values[codes])


def _guess_kind(parsed: dict[str, tuple[NDArray[np.float64], list[str]]]) -> ColumnKind:
    """The kind that every cell has; categories if none, and numbers for a blank column."""
    for kind, (values, invalid) in parsed.items():
        if not invalid and (len(values) == 1 or np.isfinite(values).any()):
            return cast(ColumnKind, kind)
    return "category"


def _parse(levels: dict[str, int], parser: str) -> tuple[NDArray[np.float64], list[str]]:
    """The value of each distinct cell, and one NaN more for code -1; and the cells that have none, in their order."""
    parse: Callable[[str], float] = {"number": _number, "date": _days}[parser]
    values = np.array([*map(parse, levels), math.nan])
    invalid = [word for word, value in zip(levels, values.tolist(), strict=False) if math.isnan(value)]
    return values, [word for word in invalid if word.lower() not in _MISSING]


def _number(word: str) -> float:
    """The number, perhaps with a decimal comma; NaN for anything else, and for an infinite one."""
    if _DECIMAL_COMMA.fullmatch(word):
        word = word.replace(",", ".")
    try:
        value = math.nan if "_" in word else float(word)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _days(word: str) -> float:
    """Days since 1970-01-01 UTC of a date in ISO 8601, with a fraction for its time; NaN for anything else."""
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        return math.nan
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() / _SECONDS


def _category_notes(
    name: str, levels: dict[str, int], rows: int, parsed: Mapping[str, tuple[NDArray[np.float64], list[str]]]
) -> Iterator[str]:
    near = {kind: invalid for kind, (_, invalid) in parsed.items() if 0 < len(invalid) < len(levels) / 2}
    for kind, invalid in near.items():
        yield (
            f"most cells of '{name}' are {kind}s, but '{invalid[0][:40]}' is none, so it is read as categories; "
            f"--tabular {name}:{kind} reads such cells as missing"
        )
    if not near and len(levels) > max(_MANY, rows / 2):
        yield f"'{name}' has {len(levels):,} categories in {rows:,} documents: heads read rare ones as 'other'"
