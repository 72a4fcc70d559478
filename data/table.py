"""A table as every reader of tables returns it, and the roles that a user gives to its columns."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Columns:
    """The roles of a table's columns: a column's name, None to guess it, "" for no column.

    separator: what separates the labels in one cell. path_separator: what separates the levels of a label; None takes
    "/" if every label has one.
    """

    text: str | None = None
    label: str | None = None
    id: str | None = None
    split: str | None = None
    group: str | None = None
    separator: str | None = None
    path_separator: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows under named columns, before any column has a role.

    cells: maps a column's name to its cell in each row, as the file has it (text, number, list or None).
    lines: the line of the file at which each row starts; None if a file has no lines, such as Parquet.
    """

    source: str
    names: tuple[str, ...]
    rows: int
    cells: Callable[[str], Iterable[Any]]
    lines: Sequence[int] | None = None
    notes: tuple[str, ...] = ()

    def location(self, row: int) -> str:
        """The file and the row, for the start of an error: "letters.csv line 12"."""
        return f"{self.source} {self.row_name(row)}"

    def row_name(self, row: int) -> str:
        """The row as a user finds it: "line 12", or "row 11" counted from 1."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"
