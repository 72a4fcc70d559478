"""A table as every reader of tables returns it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows under named columns, before any column has a role.

    cells: maps a column's name to its cell in each row, as the file has it (text, number, list or None).
    lines: the line of the file at which each row starts; None if a file has no lines, such as Parquet.
    splits: the split of each row if the names of files say it (data/readers/split_files.py), else None.
    unit: what `lines` numbers: "line", or "row" of a sheet.
    """

    source: str
    names: tuple[str, ...]
    rows: int
    cells: Callable[[str], Iterable[Any]]
    lines: Sequence[int] | None = None
    notes: tuple[str, ...] = ()
    splits: Sequence[str] | None = None
    unit: str = "line"

    def location(self, row: int) -> str:
        """The file and the row, for the start of an error: "letters.csv line 12"."""
        return f"{self.source} {self.row_name(row)}"

    def row_name(self, row: int) -> str:
        """The row as a user finds it: "line 12", or "row 11" counted from 1."""
        return f"row {row + 1}" if self.lines is None else f"{self.unit} {self.lines[row]}"
