"""Excel workbooks, read by python-calamine, an optional dependency: the first sheet, a header in its first row."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

from data.errors import BadData, ExtraMissing
from data.readers.files import InputFile, report_unreadable
from data.readers.rows import Row, RowFile, table_of_rows
from data.source_spec import SourceSpec
from data.table import Table
from data.text_format import join_names


def read_excel(file: InputFile, spec: SourceSpec) -> Table:
    """Read the first sheet of a workbook; further sheets are named in a note.

    Raises ExtraMissing without python-calamine, BadData for a file that cannot be used.
    """
    try:
        from python_calamine import CalamineError, load_workbook
    except ImportError as error:
        raise ExtraMissing(
            'Excel files are read by python-calamine, which is missing: pip install "embedonce[excel]".'
        ) from error
    with report_unreadable(file.source), file.open() as stream:
        content = BytesIO(stream.read())
    try:
        workbook = load_workbook(content)
        sheet = workbook.get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False)
    except CalamineError as error:
        raise BadData(f"{file.source} is not an Excel file that can be read ({error}).") from error
    content_rows = RowFile(source=file.source, read=lambda: _rows(rows), advice="Give each column a name.", unit="row")
    table = table_of_rows(content_rows, spec, list)
    others = workbook.sheet_names[1:]
    notes = (f"the first sheet, '{sheet.name}', is read, and not {join_names(others)}",) if others else ()
    return replace(table, notes=notes)


def _rows(rows: list[list[Any]]) -> Iterator[Row]:
    """The rows that are not blank, up to the last column of the header; blank cells are None."""
    width = 0
    for number, cells in enumerate(rows, start=1):
        used = [None if cell == "" else cell for cell in cells]
        filled = max((index for index, cell in enumerate(used, start=1) if cell is not None), default=0)
        width = width or filled
        if filled:
            yield [*used[: max(width, filled)], *[None] * (width - len(used))], number, number
