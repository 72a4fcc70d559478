"""A table as every reader of tables gives it, before anybody knows which column is which."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Columns:
    """What the user says of the columns: a name, None to have it guessed, "" for none.

    separator: what stands between the labels of one cell. path_separator: what stands between the levels of a label;
    None takes a "/" that stands in every label for it.
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
    """Rows under named columns.

    cells: a column's name -> its cell in each row, as the file has it (text, number, list or None).
    lines: the line of the file where each row starts; None where a file has no lines, as Parquet.
    """

    source: str
    names: tuple[str, ...]
    rows: int
    cells: Callable[[str], Iterable[Any]]
    lines: Sequence[int] | None = None
    notes: tuple[str, ...] = ()

    def at(self, row: int) -> str:
        """The file and the place, to open an error with: "letters.csv line 12"."""
        return f"{self.source} {self.place(row)}"

    def place(self, row: int) -> str:
        """How to say where a row is: "line 12" or "row 11", counted from 1."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"
