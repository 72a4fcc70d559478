"""The notation of a delimited table: what ends a cell, and what quotes mean; named by the user, else guessed."""

import csv
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from data.errors import CallError
from data.readers.files import InputFile, open_text
from data.source_spec import SourceSpec

if TYPE_CHECKING:
    from _csv import Reader

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}  # in the order of preference
_QUOTINGS = ("standard", "none")
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 1000, 1 << 20
_SEP_LINE = re.compile(r'("?)sep=([^"\w\r\n])\1[\r\n]*', re.IGNORECASE)  # the first line of some files of Excel
_DOUBLED_QUOTES = re.compile(r'(?:^|\t)"(?:[^"\t]*"")+[^"\t]*"(?:[\t\r\n]|$)')


@dataclass(frozen=True)
class Dialect:
    """A notation that Python's csv module reads.

    quoted: whether double quotes enclose a cell; if not, they are text.
    trusted: whether the user said so; if not, cells that span lines are checked.
    skips_spaces: whether spaces after a delimiter are no part of the cell.
    first_line: the line of the first row, 2 after a line `sep=;`.
    """

    delimiter: str = ","
    quoted: bool = True
    trusted: bool = False
    skips_spaces: bool = False
    first_line: int = 1

    @property
    def delimiter_name(self) -> str:
        """The delimiter in words: "comma"."""
        return _DELIMITERS.get(self.delimiter, f"'{self.delimiter}'")

    def rows(self, lines: Iterable[str]) -> "Reader":
        """Parse lines into rows, and count them."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            skipinitialspace=self.skips_spaces,
            strict=True,
        )

    def swallows_rows(self, cells: Sequence[str]) -> bool:
        """Whether each line of a row that spans lines looks like a row of its own, as if a quote were not closed.

        A comma before a space or at the end of a line is one of a sentence, and does not count.
        """
        if self.trusted or len(cells) == 1:
            return False
        in_sentence = "" if self.skips_spaces or self.delimiter not in ",;" else r"(?![ \r\n]|$)"
        end = re.compile(re.escape(self.delimiter) + in_sentence)
        lines = StringIO(self.delimiter.join(cells), newline="")
        return all(len(end.findall(line)) == len(cells) - 1 for line in lines)


def find_dialect(file: InputFile, spec: SourceSpec) -> tuple[Dialect, tuple[str, ...]]:
    """Determine the notation of a delimited file, and report what was guessed.

    Args:
        file: The file; its suffix says whether tabs are expected.
        spec: What the user said.

    Raises:
        CallError: The delimiter is not one character, or the quoting is unknown; and as in `open_text`.
        BadData: As in `open_text`.
    """
    if spec.quoting not in (None, *_QUOTINGS):
        raise CallError(f"The quoting is '{spec.quoting}'. Write standard, or none if quotes are text.")
    with open_text(file, "", spec.encoding) as text:
        lines = _sample_lines(text)
    dialect, notes = _find_delimiter(file, spec, lines)
    if dialect.delimiter == "\t" and spec.quoting is None:
        dialect, quoting_notes = _guess_quoting(file, spec, dialect)
        notes += quoting_notes
    if dialect.quoted and _has_spaces_before_quotes(lines, dialect):
        dialect = replace(dialect, skips_spaces=True)
        notes.append(f"spaces after a {dialect.delimiter_name} are not part of a cell")
    return dialect, tuple(notes)


def _find_delimiter(file: InputFile, spec: SourceSpec, lines: Sequence[str]) -> tuple[Dialect, list[str]]:
    """The delimiter that the user named, else that of a line `sep=;`, else a tab for .tsv, else a guess."""
    named = None if spec.delimiter is None else _parse_delimiter(spec.delimiter)
    sep = _SEP_LINE.fullmatch(lines[0]) if lines else None
    dialect = Dialect(quoted=spec.quoting != "none", trusted=spec.quoting == "standard", first_line=2 if sep else 1)
    expected = "\t" if file.suffix == ".tsv" else None
    delimiter = named or (sep and sep[2]) or expected or _guess_delimiter(lines, dialect)
    dialect = replace(dialect, delimiter=delimiter)
    is_expected = named or delimiter == (expected or ",")
    return dialect, [] if is_expected else [f"cells end at each {dialect.delimiter_name}"]


def _sample_lines(text: Iterable[str]) -> list[str]:
    lines: list[str] = []
    characters = 0
    for line in islice(text, _SAMPLE_LINES):
        lines.append(line)
        characters += len(line)
        if characters > _SAMPLE_CHARACTERS:
            break
    return lines


def _parse_delimiter(written: str) -> str:
    delimiter = {"\\t": "\t", "tab": "\t"}.get(written, written)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise CallError(f"The delimiter is {written!r}. Give one character, or tab; not a quote or a line end.")
    return delimiter


def _guess_delimiter(lines: Sequence[str], dialect: Dialect) -> str:
    """The first sign that divides the header, and preferably every row of the sample into as many cells."""
    rows = {sign: _sample_rows(lines, replace(dialect, delimiter=sign)) for sign in _DELIMITERS}
    dividing = [sign for sign, cells in rows.items() if cells and len(cells[0]) > 1]
    regular = [sign for sign in dividing if len({len(cells) for cells in rows[sign]}) == 1]
    return next(iter([*regular, *dividing]), ",")


def _sample_rows(lines: Sequence[str], dialect: Dialect) -> list[list[str]]:
    """The rows up to the end of the sample or the first that cannot be parsed; none of them is blank."""
    rows: list[list[str]] = []
    with suppress(csv.Error):  # the sample may end within a cell
        rows.extend(cells for cells in dialect.rows(lines[dialect.first_line - 1 :]) if cells)
    return rows


def _has_spaces_before_quotes(lines: Sequence[str], dialect: Dialect) -> bool:
    """Whether the cells differ, in more than spaces, once spaces after a delimiter are skipped: `"a", "b"`."""
    kept, skipped = (
        [[cell.lstrip() for cell in cells] for cells in _sample_rows(lines, replace(dialect, skips_spaces=skips))]
        for skips in (False, True)
    )
    return kept != skipped


def _guess_quoting(file: InputFile, spec: SourceSpec, dialect: Dialect) -> tuple[Dialect, list[str]]:
    """Decide whether quotes enclose the cells between tabs; many programs write these without any quoting.

    They do if the header has them, if the lines have the same number of cells only then, or if a cell has doubled
    quotes within quotes. If every line is a row without them, a cell that spans lines would swallow rows.
    """
    plain = replace(dialect, quoted=False)
    with open_text(file, "", spec.encoding) as text:
        signs = _find_signs_of_quoting(islice(text, dialect.first_line - 1, None))
    if not signs.starts_cells:
        return plain, []
    parses, spans = _parse_all(file, spec, dialect)
    is_regular, is_narrow = len(signs.tabs) == 1, signs.tabs == {0}
    is_used = not is_regular or (signs.are_doubled and (is_narrow or not spans))
    if signs.in_header or (parses and is_used):
        return dialect, ["double quotes around a cell are no part of it (guessed; --quoting none reads them as text)"]
    return plain, ["double quotes are read as text (guessed; --quoting standard if they enclose cells)"]


class _Signs(NamedTuple):
    """Where double quotes are in a file, and the numbers of tabs that its lines have."""

    starts_cells: bool
    are_doubled: bool
    in_header: bool
    tabs: set[int]


def _find_signs_of_quoting(lines: Iterable[str]) -> _Signs:
    starts_cells, are_doubled, in_header = False, False, False
    tabs: set[int] = set()
    for line in lines:
        if '"' in line:
            starts_cells = starts_cells or line[0] == '"' or '\t"' in line
            are_doubled = are_doubled or _DOUBLED_QUOTES.search(line) is not None
            in_header = in_header or (not tabs and line[0] == '"')
        if line.strip("\r\n"):
            tabs.add(line.count("\t"))
    return _Signs(starts_cells, are_doubled, in_header, tabs)


def _parse_all(file: InputFile, spec: SourceSpec, dialect: Dialect) -> tuple[bool, bool]:
    """Whether all rows have as many cells if quotes enclose them, and whether a cell then spans lines."""
    widths: set[int] = set()
    spans = False
    with open_text(file, "", spec.encoding) as text:
        try:
            for cells in dialect.rows(islice(text, dialect.first_line - 1, None)):
                if cells:
                    widths.add(len(cells))
                    spans = spans or any("\n" in cell or "\r" in cell for cell in cells)
        except csv.Error:
            return False, spans
    return len(widths) == 1, spans
