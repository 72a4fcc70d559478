"""Numbers and labels as a reader meets them on the page.

Labels come from users, so a label may be long, written from right to left, or hold signs that no page can.
"""

import re
import unicodedata
from bisect import bisect_right
from itertools import accumulate

from markupsafe import Markup

__all__ = [
    "breakable",
    "brief",
    "columns",
    "count",
    "counted",
    "isolated",
    "metric",
    "milliseconds",
    "printable",
    "seconds",
    "setting",
    "share",
    "shortened",
]

# a sign with the marks, selectors and joined signs that belong to it: never cut between them
_JOINED = re.compile(r".(?:\u200d.|[\u0300-\u036f\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff])*", re.DOTALL)
_PARTS = re.compile(r"(?<=[./\\_:|>-])(?=\w)")
# what HTML forbids or UTF-8 cannot write: control signs, halves of surrogate pairs, non-characters
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def metric(value: float) -> str:
    """A share as 0.812."""
    return f"{value:.3f}"


def share(value: float) -> str:
    """A share as a percentage: 12 %, 1.2 %, under 0.1 %."""
    if 0 < value < 0.001:
        return "under 0.1 %"
    return f"{100 * value:.1f} %" if 0 < value < 0.1 else f"{100 * value:.0f} %"


def count(value: int) -> str:
    """A whole number with its thousands apart: 2,568; from a million on 1.23 M."""
    return f"{value:,}" if value < 1_000_000 else f"{value / 1e6:,.2f} M"


def brief(value: int) -> str:
    """A whole number that fits a small cell: 2568, 12k, 3M."""
    return str(value) if value < 10_000 else f"{value // 1000}k" if value < 1_000_000 else f"{value // 1_000_000}M"


def seconds(value: float) -> str:
    """A duration in the unit that suits it: 0.4 s, 12 s, 3 min 20 s."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def milliseconds(value: float) -> str:
    """Milliseconds without their unit, at least two digits that count: 0.034, 1.2, 85."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def counted(number: int, thing: str) -> str:
    """1 run, 2 runs."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def setting(value: object) -> str:
    """A parameter's value; a number with the three digits that count: 0.00214, 256, mean."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def isolated(label: str) -> str:
    """The label between isolating marks, so that its direction of writing leaves the sentence around it alone."""
    return f"\u2068{label}\u2069"


def columns(text: str) -> int:
    """How many columns the text takes: a wide sign (Chinese, Japanese, Korean, emoji) takes two."""
    return sum(map(_width, _JOINED.findall(text)))


def shortened(label: str, most: int) -> str:
    """The label in at most `most` columns, its middle left out: both ends of a path tell something."""
    if columns(label) <= most:
        return label
    signs = _JOINED.findall(label)
    head = _fitting(signs, most // 2)
    tail = _fitting(signs[::-1], most - 1 - most // 2)[::-1]
    return "".join([*head, "…", *tail])


def _fitting(signs: list[str], most: int) -> list[str]:
    used = list(accumulate(map(_width, signs)))
    return signs[: bisect_right(used, most)]


def _width(sign: str) -> int:
    return 2 if unicodedata.east_asian_width(sign[0]) in "WF" else 1


def breakable(label: str) -> Markup:
    """The label, escaped, with a place for a line break after each sign that joins its parts: comp.|sys.|mac."""
    return Markup("<wbr>").join(_PARTS.split(label))


def printable(page: str) -> str:
    """The page with a replacement sign for each sign that HTML forbids or UTF-8 cannot hold."""
    return _UNPRINTABLE.sub("\ufffd", page)
