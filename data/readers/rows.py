"""From rows of cells to a table: the header, and rows that do not fit it."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Protocol

from data.errors import BadData, CallError
from data.source_spec import SourceSpec
from data.table import Table
from data.text_format import plural

# the cells of a row that is not blank, and its first and last line
Row = tuple[Sequence[Any], int, int]

_HEADERS = ("first", "none")
_BLOCK_ROWS = 32  # faster than row by row; no more, because a row may hold a megabyte


class Column(Protocol):
    """Cells under one name: a list, or PackedStrings."""

    def extend(self, cells: Iterable[Any], /) -> None:
        """Append cells."""

    def __iter__(self) -> Iterator[Any]: ...


def table_of_rows(
    source: str,
    rows: Iterator[Row],
    spec: SourceSpec,
    new_column: Callable[[], Column],
    advice: str,
    unit: str = "line",
) -> Table:
    """Make a table of rows, the first of which names the columns unless `spec.header` is "none".

    Args:
        source: The file's name in messages.
        rows: Its rows.
        spec: How it is read.
        new_column: Makes an empty column.
        advice: What to do if a row has another number of cells than the header.
        unit: What numbers the rows: "line", or "row" of a sheet.

    Raises:
        BadData: There are no rows, a row does not fit the header, or the header occurs again.
        CallError: `spec.header` has an unknown value.
    """
    if spec.header not in (None, *_HEADERS):
        raise CallError(f"The header is '{spec.header}'. Write first, or none if the first row is a document.")
    first = next(rows, None)
    if first is None:
        raise BadData(f"{source} is empty.")
    has_header = spec.header != "none"
    names = _names(first[0]) if has_header else [str(number) for number in range(1, len(first[0]) + 1)]
    rows = rows if has_header else chain([first], rows)
    columns, lines = [new_column() for _ in names], array("q")
    fitting = _check_rows(source, rows, names, lines, advice, unit, has_header=has_header)
    while block := list(islice(fitting, _BLOCK_ROWS)):
        for column, cells in zip(columns, zip(*block, strict=True), strict=True):
            column.extend(cells)
    if not lines:
        raise BadData(f"{source} has a header and no rows. If the first row is a document, add --header none.")
    return Table(source, tuple(names), len(lines), lambda name: columns[names.index(name)], lines, unit=unit)


def _names(cells: Sequence[Any]) -> list[str]:
    return ["" if cell is None else str(cell).lstrip("\ufeff").strip() for cell in cells]


def _check_rows(
    source: str, rows: Iterator[Row], names: list[str], lines: "array[int]", advice: str, unit: str, *, has_header: bool
) -> Iterator[Sequence[Any]]:
    """Yield the cells of each row, and append its line to `lines`."""
    width, last_name = len(names), names[-1]
    for cells, line, last in rows:
        if len(cells) != width:
            place = f"{unit} {line}" if last == line else f"{unit} {line} (to {unit} {last})"
            first = "header" if has_header else "first row"
            raise BadData(f"{source} {place} has {plural(len(cells), 'cell')}, but the {first} has {width}. {advice}")
        if has_header and cells[-1] == last_name and _names(cells) == names:
            raise BadData(
                f"{source} {unit} {line} repeats the header, as if files had been joined. Remove it, or rename the "
                "columns if it is a document."
            )
        yield cells
        lines.append(line)
