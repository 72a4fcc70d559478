"""JSON Lines: an object a line."""

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import BadData
from data.packed import PackedStrings
from data.readers.files import open_text
from data.table import Table


def read_jsonl(path: Path, source: str) -> Table:
    """A table of one object a line; a key that an object lacks is a None, and blank lines are passed over.

    Half a character, which JSON can write and UTF-8 cannot ("\\ud83d" alone), is read as U+FFFD, with a note.
    """
    columns: dict[str, _Column] = {}
    lines, mended = array("q"), 0
    with open_text(path, source, newline="\n") as file:
        for line, content in enumerate(file, start=1):
            if content.strip():
                row = _object(content, f"{source} line {line}")
                if "\\ud" in content.lower() and (whole := _whole(row)) != row:
                    row, mended = whole, mended + 1
                for name, cell in row.items():
                    columns.setdefault(name, _Column()).put(len(lines), cell)
                lines.append(line)
    if not lines:
        raise BadData(f"{source} is empty.")
    notes = (f"half a character is read as U+FFFD in {mended:,} line{'s'[: mended > 1]}",) if mended else ()
    return Table(source, tuple(columns), len(lines), lambda name: columns[name].cells(len(lines)), lines, notes)


class _Column:
    """The cells under one name, packed: a text behind an "=", anything else as the JSON that it was."""

    def __init__(self) -> None:
        self._rows = array("q")  # a name may be in a few lines of a million
        self._cells = PackedStrings()

    def put(self, row: int, cell: Any) -> None:
        self._rows.append(row)
        self._cells.append(f"={cell}" if isinstance(cell, str) else json.dumps(cell))

    def cells(self, rows: int) -> Iterator[Any]:
        """A cell for each of `rows`, None where a line lacks the name."""
        reached = 0
        for row, cell in zip(self._rows, self._cells, strict=True):
            yield from (None for _ in range(row - reached))
            yield cell[1:] if cell.startswith("=") else json.loads(cell)
            reached = row + 1
        yield from (None for _ in range(rows - reached))


def _object(content: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadData(f"{where} is not JSON ({error}). Write one object a line.") from error
    if not isinstance(row, dict):
        raise BadData(f"{where} is no object but '{content.strip()[:20]}'. Write one object a line.")
    return row


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(part) for part in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(part) for name, part in value.items()}
    return value
