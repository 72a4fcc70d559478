"""Phrases of the project's early, private vocabulary do not return to product code and docs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("benchmarks", "commandline", "data", "docs", "embedonce", "featurestore", "heads", "stages")
KINDS = (".py", ".md", ".html", ".svg", ".css", ".js", ".ipynb")
PHRASES = (
    "aloud",
    "heed",
    "heeds",
    "heeded",
    "upon",
    "kin",
    "beside",
    "of several labels",
    "so many",
    "a card",
    "the card",
    "as asked",
    "is told",
    "are told",
    "goes on where",
    "how sure",
    "what spoke for",
)
PRIVATE = re.compile(r"\b(" + "|".join(phrase.replace(" ", r"\s+") for phrase in PHRASES) + r")\b", re.IGNORECASE)
FILES = [
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in KINDS),
    *(path for path in sorted(ROOT.glob("*")) if path.suffix in (".py", ".md") or path.name == "Makefile"),
]


def private_phrases(text: str) -> list[str]:
    """The private phrases of a text, each with its line; names such as `_is_told` are read as words."""
    words = text.replace("_", " ")
    return [f"line {words.count(chr(10), 0, hit.start()) + 1}: {hit.group()}" for hit in PRIVATE.finditer(words)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_no_private_phrase(path: Path) -> None:
    assert private_phrases(path.read_text(encoding="utf-8")) == []


def test_a_private_phrase_is_found_in_names_and_across_lines() -> None:
    assert private_phrases("def kin_of(x):\n    # on the\n    card") != []
    assert private_phrases("# as\nasked") == ["line 1: as\nasked"]
    assert private_phrases("kinds, besides, reminded") == []
