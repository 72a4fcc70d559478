"""JSON Lines, one object per line, and JSON arrays of objects."""

import json
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from data.errors import BadData
from data.packed import PackedStrings
from data.readers.files import InputFile, encoding_notes, open_text
from data.source_spec import SourceSpec
from data.table import ColumnCache, Table, limit_caches
from data.text_format import plural

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_ROWS_BETWEEN_CHECKS = 256  # of the memory that the columns take

# an object, its JSON, and the line where it starts
Item = tuple[Any, str, int]


def read_json(file: InputFile, spec: SourceSpec) -> Table:
    """Read one object per row, from an array if the file begins with "[", else from each line that is not blank.

    A key that an object lacks is a None. Half a character, which JSON can express and UTF-8 cannot ("\\ud83d" alone),
    is read as U+FFFD, with a note. Raises BadData for JSON of another form, and as `open_text`.
    """
    table = _table_of_objects(file, spec)
    return replace(table, notes=(*encoding_notes(file, spec.encoding), *table.notes))


def _objects(file: InputFile, spec: SourceSpec) -> Iterator[tuple[dict[str, Any], bool, int]]:
    """Yield each object, whether halves of characters were replaced in it, and its line."""
    with open_text(file, "\n", spec.encoding) as text:
        line, first = next(((line, content) for line, content in enumerate(text, start=1) if content.strip()), (0, ""))
        if not line:
            raise BadData(f"{file.source} is empty.")
        is_array = first.lstrip().startswith("[")
        lines = _line_items(first, text, line, file.source)
        for item, content, place in _array_items(first + text.read(), line, file.source) if is_array else lines:
            if not isinstance(item, dict):
                found, form = content.strip()[:20], "an array of objects" if is_array else "one object per line"
                raise BadData(f"{file.source} line {place} is not an object but '{found}'. Write {form}.")
            valid = _replace_surrogates(item) if "\\ud" in content.lower() else item
            yield valid, valid != item, place


def _line_items(first: str, others: Iterable[str], line: int, source: str) -> Iterator[Item]:
    for number, content in enumerate(chain([first], others), start=line):
        if content.strip():
            try:
                yield json.loads(content), content, number
            except (ValueError, RecursionError) as error:
                reason = f"{error.msg}, character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else error
                raise BadData(f"{source} line {number} is not JSON ({reason}). Write one object per line.") from error


def _array_items(text: str, line: int, source: str) -> Iterator[Item]:
    """Yield the items of an array one by one: the text is in memory, its objects are not."""
    start = _skip_space(text, text.index("[") + 1)
    end, counted = start, 0
    try:
        while text[start : start + 1] != "]":
            line, counted = line + text.count("\n", counted, start), start
            item, end = _DECODER.raw_decode(text, start)
            yield item, text[start:end], line
            end = _skip_space(text, end)
            if text[end : end + 1] not in (",", "]"):
                raise json.JSONDecodeError("Expecting ',' or ']' after a value", text, end)
            start = _skip_space(text, end + 1) if text[end] == "," else end
        if text[start + 1 :].strip():
            raise json.JSONDecodeError("Extra data after the array", text, start + 1)
    except (ValueError, RecursionError) as error:
        place = line + text.count("\n", counted, getattr(error, "pos", counted))
        reason = getattr(error, "msg", error)
        raise BadData(f"{source} line {place} is not JSON ({reason}). Write an array of objects.") from error


def _skip_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _table_of_objects(file: InputFile, spec: SourceSpec) -> Table:
    cache, lines, repaired = ColumnCache(), array("Q"), 0
    names: dict[str, None] = {}
    for row, is_repaired, line in _objects(file, spec):
        repaired += is_repaired
        for name, cell in row.items():
            names[name] = None
            if cache.is_kept(name):
                cache.columns.setdefault(name, _Column()).append(len(lines), cell)
        lines.append(line)
        if len(lines) % _ROWS_BETWEEN_CHECKS == 0:
            limit_caches([cache], len(lines))

    def read(name: str) -> Iterator[Any]:
        if cache.is_kept(name):
            column: _Column = cache.columns[name]
            return column.cells(len(lines))
        return (row.get(name) for row, _, _ in _objects(file, spec))

    if not lines:
        raise BadData(f"{file.source} is empty.")
    if len(lines) == 1 and _holds_columns(list(row.values())):
        raise BadData(
            f"{file.source} holds columns, as pandas writes them by default, and not one object per row. Write it with "
            'to_json(..., orient="records", lines=True).'
        )
    notes = (f"half a character is read as U+FFFD in {plural(repaired, 'line')}",) if repaired else ()
    return Table(file.source, tuple(names), len(lines), read, lines, notes, caches=(cache,))


def _holds_columns(cells: list[Any]) -> bool:
    """Whether the cells of an only row are columns: objects with the same keys, which are the numbers of rows."""
    are_alike = len(cells) > 1 and all(isinstance(cell, dict) and cell.keys() == cells[0].keys() for cell in cells)
    return are_alike and all(key.isdecimal() for key in cells[0])


class _Column:
    """The cells under one name, packed: a text with "=" before it, anything else as its JSON."""

    def __init__(self) -> None:
        self._rows = array("q")  # a name may occur in a few of a million lines
        self._cells = PackedStrings()

    @property
    def nbytes(self) -> int:
        return self._cells.nbytes + self._rows.itemsize * len(self._rows)

    def append(self, row: int, cell: Any) -> None:
        self._rows.append(row)
        self._cells.append(f"={cell}" if isinstance(cell, str) else json.dumps(cell))

    def cells(self, rows: int) -> Iterator[Any]:
        """Yield one cell for each of `rows`, None if the line lacks the name."""
        next_row = 0
        for row, cell in zip(self._rows, self._cells, strict=True):
            yield from (None for _ in range(row - next_row))
            yield cell[1:] if cell.startswith("=") else json.loads(cell)
            next_row = row + 1
        yield from (None for _ in range(rows - next_row))


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_replace_surrogates(name): _replace_surrogates(item) for name, item in value.items()}
    return value
