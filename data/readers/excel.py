"""Excel workbooks, read by python-calamine, an optional dependency: the first sheet that has cells, below a header."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

from data.errors import BadData, ExtraMissing
from data.readers.files import InputFile, report_unreadable
from data.readers.rows import Row, RowFile, table_of_rows
from data.source_spec import SourceSpec
from data.table import Table
from data.text_format import join_names, plural


def read_excel(file: InputFile, spec: SourceSpec) -> Table:
    """Read the first sheet of a workbook that has cells; the other sheets are named in a note.

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
        sheets = map(workbook.get_sheet_by_index, range(len(workbook.sheet_names)))
        contents = ((sheet, sheet.to_python(skip_empty_area=False)) for sheet in sheets)
        sheet, rows = next((content for content in contents if content[1]), (None, []))
    except CalamineError as error:
        raise BadData(f"{file.source} is not an Excel file that can be read ({error}).") from error
    content_rows = RowFile(source=file.source, read=lambda: _rows(rows), advice="Give each column a name.", unit="row")
    table = table_of_rows(content_rows, spec, list)
    return replace(table, notes=tuple(_notes(sheet, workbook.sheet_names)))


def _notes(sheet: Any, names: Sequence[str]) -> Iterator[str]:
    if others := [name for name in names if name != sheet.name]:
        which = "the first sheet" if sheet.name == names[0] else "the first sheet with cells"
        yield f"{which}, '{sheet.name}', is read, and not {join_names(others)}"
    if count := sum(last[0] > first[0] for first, last in sheet.merged_cell_ranges or ()):
        verbs = "spans rows and has" if count == 1 else "span rows and have"
        yield f"{plural(count, 'merged cell')} {verbs} a value in the first of these; the others are blank"


def _rows(rows: list[list[Any]]) -> Iterator[Row]:
    """The rows that are not blank, up to the last column of the header; blank cells are None."""
    width = 0
    for number, cells in enumerate(rows, start=1):
        used = [None if cell == "" else cell for cell in cells]
        filled = max((index for index, cell in enumerate(used, start=1) if cell is not None), default=0)
        width = width or filled
        if filled:
            yield [*used[: max(width, filled)], *[None] * (width - len(used))], number, number
