"""Numbers and labels as the pages show them.

Labels are user input. A label may be long, be written from right to left, or contain characters that no page can hold.
"""

import json
import re
import unicodedata
from bisect import bisect_right
from itertools import accumulate

from markupsafe import Markup

__all__ = [
    "display_width",
    "format_compact_count",
    "format_count",
    "format_metric",
    "format_milliseconds",
    "format_percent",
    "format_value",
    "insert_breaks",
    "isolate_direction",
    "replace_unprintable",
    "script_json",
    "shorten",
]

# a character with its combining marks, variation selectors and joined characters: never split
_GRAPHEME = re.compile(r".(?:\u200d.|[\u0300-\u036f\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff])*", re.DOTALL)
_BREAK_POINT = re.compile(r"(?<=[./\\_:|>-])(?=\w)")
# what HTML forbids or UTF-8 cannot encode: control characters, unpaired surrogates, noncharacters
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def format_metric(value: float) -> str:
    """A metric with three decimals: 0.812."""
    return f"{value:.3f}"


def format_percent(value: float) -> str:
    """A share in [0, 1] as a percentage: 12 %, 1.2 %, under 0.1 %."""
    if 0 < value < 0.001:
        return "under 0.1 %"
    return f"{100 * value:.1f} %" if 0 < value < 0.1 else f"{100 * value:.0f} %"


def format_count(value: int) -> str:
    """A whole number with thousands separators: 2,568; from one million on, 1.23 M."""
    return f"{value:,}" if value < 1_000_000 else f"{value / 1e6:,.2f} M"


def format_compact_count(value: int) -> str:
    """A whole number that fits a small cell: 2568, 12k, 3M."""
    return str(value) if value < 10_000 else f"{value // 1000}k" if value < 1_000_000 else f"{value // 1_000_000}M"


def format_milliseconds(value: float) -> str:
    """Milliseconds without their unit, with at least two significant digits: 0.034, 1.2, 85."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def format_value(value: object) -> str:
    """The value of a hyperparameter; a float has three significant digits: 0.00214, 256, mean."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def isolate_direction(label: str) -> str:
    """The label between Unicode isolates, so that its writing direction does not affect the sentence around it."""
    return f"\u2068{label}\u2069"


def display_width(text: str) -> int:
    """How many columns the text takes; a wide character (Chinese, Japanese, Korean, emoji) takes two."""
    return sum(map(_grapheme_width, _GRAPHEME.findall(text)))


def shorten(label: str, width: int) -> str:
    """The label in at most `width` columns, with its middle cut: both ends of a path are informative."""
    if display_width(label) <= width:
        return label
    graphemes = _GRAPHEME.findall(label)
    head = _take_width(graphemes, width // 2)
    tail = _take_width(graphemes[::-1], width - 1 - width // 2)[::-1]
    return "".join([*head, "…", *tail])


def _take_width(graphemes: list[str], width: int) -> list[str]:
    ends = list(accumulate(map(_grapheme_width, graphemes)))
    return graphemes[: bisect_right(ends, width)]


def _grapheme_width(grapheme: str) -> int:
    return 2 if unicodedata.east_asian_width(grapheme[0]) in "WF" else 1


def insert_breaks(label: str) -> Markup:
    """The label, escaped, with a possible line break after each separator: comp.|sys.|mac."""
    return Markup("<wbr>").join(_BREAK_POINT.split(label))


def replace_unprintable(text: str) -> str:
    """The text with a replacement character for each character that HTML forbids or UTF-8 cannot encode."""
    return _UNPRINTABLE.sub("\ufffd", text)


def script_json(value: object) -> Markup:
    """JSON that may stand in a script element: its content has no tag, whatever ids and labels a user wrote."""
    text = replace_unprintable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
