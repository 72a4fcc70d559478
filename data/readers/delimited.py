"""CSV and TSV: a header, then one row per document, by the rules of Python's csv module."""

import csv
from array import array
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from data.errors import BadData
from data.packed import PackedStrings
from data.readers.files import open_text
from data.table import Table

_DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_csv(path: Path, source: str) -> Table:
    """Read cells between commas; between semicolons or tabs, with a note, if the header has only those."""
    with closing(_rows(path, source, ",")) as rows:
        header, _ = next(rows)
    delimiter = next((sign for sign in ";\t" if len(header) == 1 and sign in header[0]), ",")
    notes = (f"cells end at each {_DELIMITER_NAMES[delimiter]}",) if delimiter != "," else ()
    return _read_delimited(path, source, delimiter, notes)


def read_tsv(path: Path, source: str) -> Table:
    """Read cells between tabs, quoted as in CSV."""
    return _read_delimited(path, source, "\t")


def _read_delimited(path: Path, source: str, delimiter: str, notes: tuple[str, ...] = ()) -> Table:
    rows = _rows(path, source, delimiter)
    header, _ = next(rows)
    names = [name.strip() for name in header]
    columns: list[PackedStrings] = [PackedStrings() for _ in names]
    lines = array("q")
    for row, line in rows:
        if len(row) != len(names):
            raise BadData(
                f"{source} line {line} has {len(row)} cells, but the header has {len(names)}. "
                f"Put a text with a {_DELIMITER_NAMES[delimiter]} or a new line in it between double quotes."
            )
        for column, cell in zip(columns, row, strict=True):
            column.append(cell)
        lines.append(line)
    if not lines:
        raise BadData(f"{source} has a header and no rows.")
    return Table(source, tuple(names), len(lines), lambda name: columns[names.index(name)], lines, notes)


def _rows(path: Path, source: str, delimiter: str) -> Generator[tuple[list[str], int], None, None]:
    """Yield each row that is not blank, and the line where it starts."""
    line, is_empty = 1, True
    with open_text(path, source, newline="") as file, _unlimited_field_size():
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if row:
                    is_empty = False
                    yield row, line
                line = reader.line_num + 1
        except csv.Error as error:
            raise BadData(
                f"{source} line {line}: a cell in double quotes is not closed, or continues after them. "
                "Double the quotes within a quoted cell."
            ) from error
    if is_empty:
        raise BadData(f"{source} is empty.")


@contextmanager
def _unlimited_field_size() -> Iterator[None]:
    limit = csv.field_size_limit(2**31 - 1)  # the most that a C long holds on every platform
    try:
        yield
    finally:
        csv.field_size_limit(limit)
