"""fastText's format: one document per line, with its labels as words that begin with __label__."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from data.errors import BadData
from data.packed import CategoricalColumn, PackedStrings
from data.readers.files import open_text
from data.table import Table

_PREFIX = "__label__"
_LABELS = re.compile(rf"(?<!\S){_PREFIX}(\S+)\s*")


def is_fasttext(path: Path) -> bool:
    """Whether the first line of a file that is not blank begins with __label__."""
    try:
        with path.open("rb") as file:
            return file.read(2**12).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_PREFIX.encode())
    except OSError:
        return False


def read_fasttext(path: Path, source: str) -> Table:
    """Read one document per line that is not blank, with the columns `text` and `label`.

    Labels are lists if a line has several. Raises BadData for a file without labels.
    """
    texts, lines = PackedStrings(), list[int]()

    def labels() -> Iterator[tuple[str, ...]]:
        with open_text(path, source, newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    texts.append(_LABELS.sub("", line).strip())
                    lines.append(number)
                    yield tuple(_LABELS.findall(line))

    column = CategoricalColumn(labels())
    most = max(map(len, column.categories), default=0)
    if not most:
        raise BadData(f"{source} has no label. Write each document in a line that begins with {_PREFIX}NAME.")
    cells = column.map(lambda names: None if not names else names if most > 1 else names[0])

    def read(name: str) -> Iterable[Any]:
        return texts if name == "text" else (list(each) if isinstance(each, tuple) else each for each in cells)

    return Table(source, ("text", "label"), len(lines), read, lines)
