"""Cells of CSV files that people open in a spreadsheet, which would execute a text such as =1+1 as a formula.

Such a text gets an apostrophe in front, which makes it a text for every spreadsheet (OWASP, "CSV Injection"). So does a
text that would otherwise look as if it had got one: `restore` gives every text back.
"""

import re
from collections.abc import Iterable

__all__ = ["neutralize", "neutralize_row", "restore"]

# after apostrophes, what starts a formula, also in the full-width forms that spreadsheets for East Asia read; no number
_FORMULA = re.compile(r"'*(?![+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$)[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def neutralize(cell: str) -> str:
    """The cell as a spreadsheet shows it as text."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def neutralize_row(cells: Iterable[str]) -> list[str]:
    """The cells of a row as a spreadsheet shows them as text."""
    return [neutralize(cell) for cell in cells]


def restore(cell: str) -> str:
    """The cell that `neutralize` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
