"""Counts, lists of names, durations and sizes as text, as in every message of the project; and texts as cells of CSV.

This module imports only the standard library, so that `embedonce --help` may import it.

A spreadsheet would execute a cell such as =1+1 as a formula. In a CSV file that people open, it gets an apostrophe in
front, which makes it a text for every spreadsheet (OWASP, "CSV Injection"). So does a text that would otherwise look as
if it had got one: `restore` gives every text back.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence

MOST_NAMES = 5
# characters without width: soft hyphen, spaces, joiners, direction marks, byte order mark
_NO_WIDTH = (0xAD, 0x34F, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
_INVISIBLE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace() or code in _NO_WIDTH) + "\ufeff"
# after apostrophes, what starts a formula, also in the full-width forms that spreadsheets for East Asia read; no number
_FORMULA = re.compile(r"'*(?![+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$)[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def is_blank(text: str) -> bool:
    """Whether a text has no visible character: it is empty, or only white space and characters without width."""
    return not text.strip(_INVISIBLE)


def fold_text(text: str) -> str:
    """A text without differences of case and of white space, to compare it with others."""
    return " ".join(text.casefold().split())


def plural(count: int, noun: str, many: str = "") -> str:
    """The count with its noun: "1 document", "2,568 documents". `many` is an irregular plural."""
    return f"{count:,} {noun if count == 1 else many or f'{noun}s'}"


def join_words(words: Sequence[str], conjunction: str = "and") -> str:
    """The words as an enumeration: "a", "a and b", "a, b and c"."""
    *others, last = words or [""]
    return f"{', '.join(others)} {conjunction} {last}" if others else last


def join_names(names: Sequence[str], most: int = MOST_NAMES, *, quoted: bool = True) -> str:
    """The first `most` names, in quotation marks unless not `quoted`, and how many more: "'a', 'b' and 3 more"."""
    shown = ", ".join(f"'{name}'" if quoted else name for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def csv_row(cells: Sequence[str]) -> str:
    """The cells as a row of a CSV file without its line end, as an option with several names takes them."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(cells)
    return row.getvalue()


def format_duration(seconds: float) -> str:
    """Seconds in the unit that suits them: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


def format_bytes(count: float) -> str:
    """A number of bytes in the unit that suits it: "812 B", "1.2 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def neutralize(cell: str) -> str:
    """The cell as a spreadsheet shows it as text."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def neutralize_row(cells: Iterable[str]) -> list[str]:
    """The cells of a row as a spreadsheet shows them as text."""
    return [neutralize(cell) for cell in cells]


def restore(cell: str) -> str:
    """The cell that `neutralize` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
