"""Counts, lists of names, durations and sizes as text."""

import pytest

from data.text_format import format_bytes, format_duration, join_names, join_words, plural


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.44, "0.4 s"),
        (9.97, "10 s"),
        (12.3, "12 s"),
        (59.7, "1 min 0 s"),
        (119.6, "2 min 0 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(812, "812 B"), (1_234_567, "1.2 MB"), (2.5e12, "2.5 TB")])
def test_bytes_have_the_unit_that_suits_them(count: float, text: str) -> None:
    assert format_bytes(count) == text


def test_one_is_singular_and_every_other_count_plural() -> None:
    assert [plural(count, "document") for count in (0, 1, 2568)] == ["0 documents", "1 document", "2,568 documents"]
    assert plural(2, "class", "classes") == "2 classes"


def test_words_are_enumerated() -> None:
    assert [join_words(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert join_words(["a", "b"], "or") == "a or b"


def test_names_beyond_the_first_are_counted() -> None:
    assert join_names(["a", "b"]) == "'a', 'b'"
    assert join_names(["a", "b", "c", "d"], most=2) == "'a', 'b' and 2 more"
    assert join_names(["a", "b"], quoted=False) == "a, b"
