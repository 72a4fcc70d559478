"""One cell of a label column: a label, or a list of labels in one of the notations that programs write."""

import ast
import json
import re
import warnings
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

# None: blank. A tuple: a list of labels. Bytes: a list of nothing but the numbers 0 and 1, which may be labels, or one
# number per label; only the other cells can tell.
CellLabels: TypeAlias = str | tuple[str, ...] | bytes | None

_APPLIES = 0.5  # a label with at least this score applies, as in spaCy
_TRUTHS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
_WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)\.0+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMBERS = re.compile(rf"\s*{_NUMBER.pattern}(?:\s+{_NUMBER.pattern})+\s*")
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_BARE = r"[^\s,'\"()\[\]{}][^,'\"()\[\]{}]*"
_ITEM = re.compile(rf"\s*((?:{_QUOTED})\s*|{_BARE})(?:,|$)", re.DOTALL)  # of a list with commas
_QUOTED_ITEMS = re.compile(rf"\s*(?:{_QUOTED})(?:\s+(?:{_QUOTED}))+\s*", re.DOTALL)  # as NumPy prints them
_ONE_IN_BRACKETS = re.compile(rf"\[\s*({_BARE})\]|\{{\s*({_BARE})\}}")
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_CONSTANTS: dict[str, Any] = {"None": None, "null": None, "nan": None, "NaN": None, "True": True, "False": False}


def plain_text(cell: Any) -> str | None:
    """Return a cell as text without spaces around it, None if it is blank. Raises ValueError for more than a value."""
    if isinstance(cell, str):
        return cell.strip() or None
    if cell is None or cell != cell:  # NaN marks a missing value in a column of numbers
        return None
    if isinstance(cell, list | tuple | dict | bytes):
        raise ValueError(_explain_cell(cell))
    if isinstance(cell, bool):
        return str(cell).lower()
    # many programs write a column of whole numbers with gaps as 3.0
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def canonical_label(word: str) -> str:
    """The one form of a label that programs write in several: "1" for "1.0", "true" for "True" and "TRUE"."""
    if word[-1:] == "0" and _WHOLE_NUMBER.fullmatch(word):
        return str(int(float(word))) if word.startswith("-0") else word.partition(".")[0]
    return _TRUTHS.get(word, word)


def parse_cell(cell: Any, separator: str | None) -> CellLabels:
    """Parse a cell of a label column.

    Args:
        cell: A text, a number, a list, an object (label -> 0, 1 or a score), or None.
        separator: What separates labels in a text; "" if a text is always one label, None if it may be a list.

    Raises:
        ValueError: It is none of these, or a list that could be read in several ways; the message is a sentence.
    """
    if isinstance(cell, str):
        return _parse_text(cell.strip(), separator)
    if isinstance(cell, list):
        return _labels_of_items(cell)
    if isinstance(cell, dict):
        return _labels_of_scores(cell)
    return _word(cell)


def is_in_brackets(text: str, separator: str) -> bool:
    """Whether `parse_cell` reads a text as a list because of its brackets, not because of the separator."""
    return text.strip()[:1] in tuple(_CLOSING) and not isinstance(_parse_brackets(text.strip(), separator), str)


def unwrap_single(word: str) -> tuple[str, ...] | None:
    """The label in "[label]", which is a list if other cells are lists, and else a word of its own."""
    match = _ONE_IN_BRACKETS.fullmatch(word)
    return None if match is None else (canonical_label((match[1] or match[2]).strip()),)


def _parse_text(text: str, separator: str | None) -> CellLabels:
    if not text:
        return None
    if separator != "" and text[0] in _CLOSING and not isinstance(labels := _parse_brackets(text, separator), str):
        return labels
    if separator != "" and (text[:2] in ('["', "['") or text[-2:] in ('"]', "']")):
        raise ValueError(_explain_list(text))
    if separator:
        words = [word.strip() for word in text.split(separator)]
        return bytes(map(int, words)) if set(words) <= {"0", "1"} else _unique(map(_text_word, words))
    return canonical_label(text)


def _parse_brackets(text: str, separator: str | None) -> CellLabels:
    """Parse a text that begins with a bracket; return it as it is if it is no list."""
    if text[-1] != _CLOSING[text[0]]:
        return text
    if text[0] != "(":
        try:
            return parse_cell(json.loads(text), None)
        except json.JSONDecodeError:
            pass
        except RecursionError as error:
            raise ValueError(_explain_list(text)) from error
    inner = text[1:-1]
    if text[0] == "{" and isinstance(content := _python_value(text), dict):
        return _labels_of_scores(content)
    if text[0] == "(" and not (not inner or inner.lstrip()[:1] in "\"'" or _is_numbers(inner)):
        return text  # a label in parentheses
    if "np." in inner:
        inner = re.sub(r"np\.\w+\(([^()]*)\)", r"\1", inner)
    items = _items(inner)
    if items is not None:
        return _labels_of_items(items)
    if (separator and separator in inner and inner[0] not in "\"'") or not set(inner) & set(",'\""):
        return text
    raise ValueError(_explain_list(text))


def _items(inner: str) -> list[Any] | None:
    """The items of a list by the text between its brackets; None if it is one word, or no list."""
    if _NUMBERS.fullmatch(inner):
        return [_value(word) for word in inner.split()]
    if _QUOTED_ITEMS.fullmatch(inner):
        return [_value(quoted) for quoted in re.findall(_QUOTED, inner, re.DOTALL)]
    if not set(inner) & set(",'\""):
        _check_complete(inner.split(), inner)
        return [] if not inner.strip() else None
    items, position = [], 0
    while inner[position:].strip():
        match = _ITEM.match(inner, position)
        if match is None:
            return None
        _check_complete([match[1].strip()], inner)
        items.append(_value(match[1].strip()))
        position = match.end()
    return items


def _check_complete(items: list[str], inner: str) -> None:
    """Raise ValueError if "..." stands for items of a list."""
    if "..." in items:
        raise ValueError(f"the list [{inner[:40]}] was shortened when it was written. Write all of its items.")


def _is_numbers(inner: str) -> bool:
    return "," in inner and all(_NUMBER.fullmatch(item.strip()) for item in inner.rstrip(", ").split(","))


def _value(item: str) -> Any:
    """The value of an item of a list: a quoted text, a number, a constant, or a word without quotation marks."""
    if item[0] in "\"'":
        return item[1:-1] if "\\" not in item else _python_value(item)
    if item in _CONSTANTS:
        return _CONSTANTS[item]
    if _NUMBER.fullmatch(item):
        return int(item) if item.lstrip("+-").isdigit() else float(item)
    return item


def _python_value(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # for "\d" in a text
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _labels_of_items(items: list[Any]) -> tuple[str, ...] | bytes | None:
    if not items:
        return ()
    if all(type(item) is str for item in items):
        return _unique(map(_text_word, items))
    items = [item for item in items if item is not None and item == item]  # NaN marks a missing value
    if not items:
        return None
    if all(isinstance(item, int | float) and item in (0, 1) for item in items):
        return bytes(map(int, items))
    for item in items:
        if isinstance(item, float) and item % 1:
            raise ValueError(
                f"the list {str(items)[:40]} holds fractions, which are no labels. Write 1 for each label that "
                "applies and 0 for the others, or the labels that apply."
            )
    return _unique(map(_word, items))


def _unique(words: Iterable[str | None]) -> tuple[str, ...] | None:
    """The labels of a list, each once; None if all of them are blank, which is how an empty text is split."""
    return tuple(dict.fromkeys(filter(None, words))) or None


def _labels_of_scores(scores: Mapping[Any, Any]) -> tuple[str, ...] | None:
    """The labels of an object as spaCy writes it, label -> 0, 1 or a score; None if it has no score."""
    for label, score in scores.items():
        if score is not None and not (isinstance(score, int | float) and 0 <= score <= 1):
            raise ValueError(
                f"expected an object of labels with 0, 1 or a score, but '{label}' has {str(score)[:40]!r}. "
                'Write {"one": 1, "two": 0}, or name the field of the label, as in --label column.field.'
            )
    known = {label: score for label, score in scores.items() if score is not None}
    labels = [label for label, score in known.items() if score >= _APPLIES]
    return _unique(map(_word, labels)) if labels or not known else ()


def _word(cell: Any) -> str | None:
    text = plain_text(cell)
    return canonical_label(text) if text else None


@lru_cache(2**14)  # labels repeat
def _text_word(text: str) -> str:
    return canonical_label(text.strip())


def _explain_cell(cell: object) -> str:
    shown = f"({str(cell)[:40]})"
    if isinstance(cell, bytes):
        return f"expected one value, got bytes {shown}. Save the column as text."
    if isinstance(cell, dict):
        return f"expected one value, got an object {shown}. Name a field of it, as in column.field."
    return f"expected one value, got a list {shown}. Name a column with one text or number in each row."


def _explain_list(text: str) -> str:
    return (
        f'{text[:40]} looks like a list and cannot be read. Write ["one", "two"], or read each cell as one label with '
        '--separator "".'
    )
