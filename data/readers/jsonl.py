"""JSON Lines: one object per line."""

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import BadData
from data.packed import PackedStrings
from data.readers.files import open_text
from data.table import Table
from data.text_format import plural


def read_jsonl(path: Path, source: str) -> Table:
    """Read one object per line; a key that an object lacks is a None, and blank lines are skipped.

    Half a character, which JSON can express and UTF-8 cannot ("\\ud83d" alone), is read as U+FFFD, with a note.
    """
    columns: dict[str, _Column] = {}
    lines, repaired = array("q"), 0
    with open_text(path, source, newline="\n") as file:
        for line, content in enumerate(file, start=1):
            if content.strip():
                row = _parse_object(content, f"{source} line {line}")
                if "\\ud" in content.lower() and (valid := _replace_surrogates(row)) != row:
                    row, repaired = valid, repaired + 1
                for name, cell in row.items():
                    columns.setdefault(name, _Column()).append(len(lines), cell)
                lines.append(line)
    if not lines:
        raise BadData(f"{source} is empty.")
    notes = (f"half a character is read as U+FFFD in {plural(repaired, 'line')}",) if repaired else ()
    return Table(source, tuple(columns), len(lines), lambda name: columns[name].cells(len(lines)), lines, notes)


class _Column:
    """The cells under one name, packed: a text with "=" before it, anything else as its JSON."""

    def __init__(self) -> None:
        self._rows = array("q")  # a name may occur in a few of a million lines
        self._cells = PackedStrings()

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


def _parse_object(content: str, location: str) -> dict[str, Any]:
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadData(f"{location} is not JSON ({error}). Write one object per line.") from error
    if not isinstance(row, dict):
        raise BadData(f"{location} is not an object but '{content.strip()[:20]}'. Write one object per line.")
    return row


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_replace_surrogates(name): _replace_surrogates(item) for name, item in value.items()}
    return value
