"""CSV, TSV and other delimited text: a header, then one row per document."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock

from data.errors import BadData
from data.packed import PackedStrings
from data.readers.dialect import Dialect, find_dialect
from data.readers.files import InputFile, encoding_notes, open_text
from data.readers.rows import Row, RowFile, table_of_rows
from data.source_spec import SourceSpec
from data.table import Table
from data.text_format import plural


def read_delimited(file: InputFile, spec: SourceSpec) -> Table:
    """Read a delimited file; its notation is guessed as far as `spec` does not say it.

    Raises:
        BadData: A row does not fit the header, a quote is not closed, or rows are enclosed in the quotes of another.
        CallError: A value of `spec` is unknown; and as in `open_text`.
    """
    with _unlimited_field_size():
        dialect, guesses = find_dialect(file, spec)
        spanning: list[int] = []
        rows = RowFile(
            source=file.source,
            read=lambda: _rows(file, spec, dialect, spanning),
            advice=_advise_on_cells(dialect),
        )
        table = table_of_rows(rows, spec, PackedStrings)
    spans = (f"{plural(sum(spanning), 'cell spans', 'cells span')} lines",) if spanning else ()
    return replace(table, notes=(*encoding_notes(file, spec.encoding), *guesses, *spans))


def _advise_on_cells(dialect: Dialect) -> str:
    name = dialect.delimiter_name
    if dialect.quoted:
        return f"Put a text with a {name} or a new line in it between double quotes."
    return f"Each {name} ends a cell here; if double quotes enclose cells, add --quoting standard."


def _rows(file: InputFile, spec: SourceSpec, dialect: Dialect, spanning: list[int]) -> Iterator[Row]:
    """Yield each row that is not blank; the number of its cells that span lines is appended to `spanning`."""
    line, before = dialect.first_line, dialect.first_line - 1
    with _unlimited_field_size(), open_text(file, "", spec.encoding) as text:
        for _ in range(before):
            next(text)
        reader = dialect.rows(text)
        try:
            for cells in reader:
                last = before + reader.line_num
                if cells:
                    if last > line:
                        spanning.append(_count_spanning(cells, file.source, dialect, line, last))
                    yield cells, line, last
                line = last + 1
        except csv.Error as error:
            noticed = before + reader.line_num
            where = f" (up to line {noticed})" if noticed > line else ""
            raise BadData(
                f"{file.source} line {line}: a cell in double quotes is not closed, or continues after them{where}. "
                "Double the quotes within a quoted cell, or read them as text with --quoting none."
            ) from error


def _count_spanning(cells: list[str], source: str, dialect: Dialect, line: int, last: int) -> int:
    if dialect.swallows_rows(cells):
        raise BadData(
            f"{source} line {line}: a cell in double quotes opens here and closes on line {last}, but each of these "
            "lines looks like a row of its own. Close the quote, read quotes as text with --quoting none, or keep the "
            "cell as it is with --quoting standard."
        )
    return sum("\n" in cell or "\r" in cell for cell in cells)


_OPEN = {"files": 0, "limit": 0}  # how many files are being read, and the limit before the first of them
_LOCK = Lock()


@contextmanager
def _unlimited_field_size() -> Iterator[None]:
    """Read cells of any size; the limit is one of the process, and several files may be read at once."""
    with _LOCK:
        if not _OPEN["files"]:
            _OPEN["limit"] = csv.field_size_limit(2**31 - 1)  # the most that a C long holds on every platform
        _OPEN["files"] += 1
    try:
        yield
    finally:
        with _LOCK:
            _OPEN["files"] -= 1
            if not _OPEN["files"]:
                csv.field_size_limit(_OPEN["limit"])
