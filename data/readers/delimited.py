"""CSV and TSV: a header, then a row a document, by the rules of Python's csv module."""

import csv
from array import array
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from data.errors import BadData
from data.packed import PackedStrings
from data.readers.files import open_text
from data.table import Table

_SIGNS = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_csv(path: Path, source: str) -> Table:
    """A table of cells between commas; between semicolons or tabs, with a note, where the header has those only."""
    with closing(_rows(path, source, ",")) as rows:
        header, _ = next(rows)
    delimiter = next((sign for sign in ";\t" if len(header) == 1 and sign in header[0]), ",")
    return _table(path, source, delimiter, (f"cells end at each {_SIGNS[delimiter]}",) if delimiter != "," else ())


def read_tsv(path: Path, source: str) -> Table:
    """A table of cells between tabs, quoted as in CSV."""
    return _table(path, source, "\t")


def _table(path: Path, source: str, delimiter: str, notes: tuple[str, ...] = ()) -> Table:
    numbered = _rows(path, source, delimiter)
    header, _ = next(numbered)
    names = [name.strip() for name in header]
    columns: list[PackedStrings] = [PackedStrings() for _ in names]
    lines = array("q")
    for row, line in numbered:
        if len(row) != len(names):
            raise BadData(
                f"{source} line {line} has {len(row)} cells where the header has {len(names)}. "
                f"Put a text with a {_SIGNS[delimiter]} or a new line in it between double quotes."
            )
        for column, cell in zip(columns, row, strict=True):
            column.append(cell)
        lines.append(line)
    if not lines:
        raise BadData(f"{source} has a header and no rows.")
    return Table(source, tuple(names), len(lines), lambda name: columns[names.index(name)], lines, notes)


def _rows(path: Path, source: str, delimiter: str) -> Generator[tuple[list[str], int], None, None]:
    """Each row that is not blank, with the line where it starts."""
    line, found = 1, False
    with open_text(path, source, newline="") as file, _fields_of_any_size():
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if row:
                    found = True
                    yield row, line
                line = reader.line_num + 1
        except csv.Error as error:
            raise BadData(
                f"{source} line {line}: a cell in double quotes is not closed, or goes on after them. "
                "Double the quotes within a quoted cell."
            ) from error
    if not found:
        raise BadData(f"{source} is empty.")


@contextmanager
def _fields_of_any_size() -> Iterator[None]:
    before = csv.field_size_limit(2**31 - 1)  # the most that a C long holds everywhere
    try:
        yield
    finally:
        csv.field_size_limit(before)
