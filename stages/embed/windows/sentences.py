"""Where sentences end, by a rule that needs no language and no model."""

import re

_MARKS = r".!?\u2026\u061f\u06d4\u0964\u0965"  # full stops of scripts with spaces: Latin, Cyrillic, Arabic, Devanagari
_WIDE = r"\u3002\uff01\uff1f\uff0e\uff61"  # those of Chinese and Japanese, behind which no space stands
_CLOSING = r"\"'\u2019\u201d\u00bb\u300d\u300f\uff09\u3011)\]}"
_END = re.compile(rf"[{_MARKS}]+[{_CLOSING}]*(?=\s|\Z)|[{_WIDE}][{_WIDE}{_CLOSING}]*|[\r\n\u2028\u2029]+")


def sentence_ends(text: str) -> list[int]:
    """How many characters stand before each end of a sentence, rising.

    A sentence ends behind full stops, question and exclamation marks with the quotes and brackets that close there,
    where space or nothing follows (3.5 is no end); behind those of Chinese and Japanese whatever follows; and behind
    new lines. An abbreviation such as "Dr." ends one too, which costs a window a cut at a place less good.
    """
    return [match.end() for match in _END.finditer(text)]
