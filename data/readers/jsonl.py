"""JSON Lines: an object a line."""

import json
from pathlib import Path
from typing import Any

from data.errors import BadData
from data.readers.files import opened
from data.table import Table


def read_jsonl(path: Path, source: str) -> Table:
    """A table of one object a line; a key that an object lacks is a None, and blank lines are passed over.

    Half a character, which JSON can write and UTF-8 cannot ("\\ud83d" alone), is read as U+FFFD, with a note.
    """
    rows: list[dict[str, Any]] = []
    lines, mended = [], 0
    with opened(path, source, newline="\n") as file:
        for line, content in enumerate(file, start=1):
            if content.strip():
                row = _object(content, f"{source} line {line}")
                if "\\ud" in content.lower() and (whole := _whole(row)) != row:
                    row, mended = whole, mended + 1
                rows.append(row)
                lines.append(line)
    if not rows:
        raise BadData(f"{source} is empty.")
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    notes = (f"half a character is read as U+FFFD in {mended:,} line{'s'[: mended > 1]}",) if mended else ()
    return Table(source, names, len(rows), lambda name: [row.get(name) for row in rows], lines, notes)


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
