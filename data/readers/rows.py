"""From rows of cells to a table: the header, and rows that do not fit it."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

from data.errors import BadData, CallError
from data.packed import PackedStrings
from data.source_spec import SourceSpec
from data.table import ColumnCache, Table, limit_caches
from data.text_format import plural

# the cells of a row that is not blank, and its first and last line
Row = tuple[Sequence[Any], int, int]

_HEADERS = ("first", "none")
_BLOCK_ROWS = 32  # faster than row by row; no more, because a row may hold a megabyte
_BLOCKS_BETWEEN_CHECKS = 8  # of the memory that the columns take


class Column(Iterable[Any], Protocol):
    """Cells under one name: a list, or PackedStrings."""

    def extend(self, cells: Iterable[Any], /) -> None:
        """Append cells."""


@dataclass(frozen=True, kw_only=True)
class RowFile:
    """A file of rows.

    source: the file's name in messages. read: starts to read its rows, from the first on. advice: what to do if a row
    has another number of cells than the header. unit: what numbers the rows: "line", or "row" of a sheet.
    """

    source: str
    read: Callable[[], Iterator[Row]]
    advice: str
    unit: str = "line"


def table_of_rows(file: RowFile, spec: SourceSpec, new_column: Callable[[], Column]) -> Table:
    """Make a table of rows, the first of which names the columns unless `spec.header` is "none".

    Args:
        file: The rows.
        spec: How they are read.
        new_column: Makes an empty column. PackedStrings are kept as far as `limit_caches` lets them.

    Raises:
        BadData: There are no rows, a row does not fit the header, or the header occurs again.
        CallError: `spec.header` has an unknown value.
    """
    if spec.header not in (None, *_HEADERS):
        raise CallError(f"The header is '{spec.header}'. Write first, or none if the first row is a document.")
    has_header, lines = spec.header != "none", array("Q")
    names, rows = _open_rows(file, lines, has_header=has_header)
    index_of = {name: names.index(name) for name in names}  # of columns with the same name, the first is read
    cache = ColumnCache({name: new_column() for name in index_of})
    can_drop = new_column is PackedStrings
    for number, block in enumerate(iter(lambda: list(islice(rows, _BLOCK_ROWS)), [])):
        cells = list(zip(*block, strict=True))
        for name, column in cache.columns.items():
            column.extend(cells[index_of[name]])
        if can_drop and number % _BLOCKS_BETWEEN_CHECKS == 0:
            limit_caches([cache], len(lines))
    if not lines:
        raise BadData(f"{file.source} has a header and no rows. If the first row is a document, add --header none.")

    def read(name: str) -> Iterable[Any]:
        if cache.is_kept(name):
            column: Column = cache.columns[name]
            return column
        return (cells[index_of[name]] for cells in _open_rows(file, array("Q"), has_header=has_header)[1])

    caches = (cache,) if can_drop else ()
    return Table(file.source, tuple(names), len(lines), read, lines, unit=file.unit, caches=caches)


def _open_rows(file: RowFile, lines: "array[int]", *, has_header: bool) -> tuple[list[str], Iterator[Sequence[Any]]]:
    """The names of the columns, and the rows below them; the line of each row is appended to `lines`."""
    rows = file.read()
    first = next(rows, None)
    if first is None:
        raise BadData(f"{file.source} is empty.")
    if not has_header:
        names, rows = [str(number) for number in range(1, len(first[0]) + 1)], chain([first], rows)
    else:
        names = _names(first[0])
    return names, _check_rows(file, rows, names, lines, has_header=has_header)


def _names(cells: Sequence[Any]) -> list[str]:
    return ["" if cell is None else str(cell).lstrip("\ufeff").strip() for cell in cells]


def _check_rows(
    file: RowFile, rows: Iterator[Row], names: list[str], lines: "array[int]", *, has_header: bool
) -> Iterator[Sequence[Any]]:
    """Yield the cells of each row, and append its line to `lines`."""
    width, last_name, unit = len(names), names[-1], file.unit
    for cells, line, last in rows:
        if len(cells) != width:
            place = f"{unit} {line}" if last == line else f"{unit} {line} (to {unit} {last})"
            first, count = "header" if has_header else "first row", plural(len(cells), "cell")
            raise BadData(f"{file.source} {place} has {count}, but the {first} has {width}. {file.advice}")
        if has_header and cells[-1] == last_name and _names(cells) == names:
            raise BadData(
                f"{file.source} {unit} {line} repeats the header, as if files had been joined. Remove it, or rename "
                "the columns if it is a document."
            )
        yield cells
        lines.append(line)
