"""fastText's format: one document per line, with its labels as words that begin with __label__."""

import re
from array import array
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import Any

from data.packed import CategoricalColumn, PackedStrings
from data.readers.encodings import HEAD_BYTES
from data.readers.files import InputFile, open_text, report_unreadable
from data.source_spec import SourceSpec
from data.table import ColumnCache, Table, limit_caches

_PREFIX = "__label__"
_ROWS_BETWEEN_CHECKS = 256  # of the memory that the texts take
_LABELED_LINE = re.compile(rf"^{_PREFIX}\S".encode(), re.MULTILINE)
_LABELS = re.compile(rf"(?<!\S){_PREFIX}(\S+)\s*")


def is_fasttext(file: InputFile) -> bool:
    """Whether a line at the start of a file begins with __label__. Raises CallError for a file that is unreadable."""
    with report_unreadable(file.source), file.open() as stream:
        return _LABELED_LINE.search(stream.read(HEAD_BYTES).removeprefix(BOM_UTF8)) is not None


def read_fasttext(file: InputFile, spec: SourceSpec) -> Table:
    """Read one document per line that is not blank, with the columns `text` and `label`.

    Labels are lists if a line has several. Raises as `open_text`.
    """
    cache, lines = ColumnCache({"text": PackedStrings()}), array("Q")

    def labels() -> Iterator[tuple[str, ...]]:
        for number, line in _lines(file, spec):
            if cache.is_kept("text"):
                cache.columns["text"].append(_text(line))
            lines.append(number)
            if len(lines) % _ROWS_BETWEEN_CHECKS == 0:
                limit_caches([cache], len(lines))
            yield tuple(_LABELS.findall(line))

    column = CategoricalColumn(labels())
    most = max(map(len, column.categories), default=0)
    cells = column.map(lambda names: None if not names else names if most > 1 else names[0])

    def read(name: str) -> Iterable[Any]:
        if name == "label":
            return (list(each) if isinstance(each, tuple) else each for each in cells)
        return cache.columns[name] if cache.is_kept(name) else (_text(line) for _, line in _lines(file, spec))

    return Table(file.source, ("text", "label"), len(lines), read, lines, caches=(cache,))


def _lines(file: InputFile, spec: SourceSpec) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers."""
    with open_text(file, "\n", spec.encoding) as lines:
        yield from ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _text(line: str) -> str:
    return _LABELS.sub("", line).strip()
