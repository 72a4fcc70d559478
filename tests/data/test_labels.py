"""What the cells of a label column mean."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.documents import Kind, Labels
from data.errors import BadData, CallError
from data.labels import parse_labels
from data.source_spec import SourceSpec

WORD = st.text("abcäö", min_size=1) | st.just("two words")


def at(row: int) -> str:
    return f"letters.csv line {row + 2}"


def labels(*cells: Any, separator: str | None = None, path: str | None = None) -> tuple[Kind, list[Labels]]:
    read = parse_labels(cells, SourceSpec(separator=separator, path_separator=path), at)
    return read.kind, list(read.labels)


@given(st.lists(st.lists(WORD, unique=True)), st.sampled_from([";", "|", ", "]))
def test_separated_labels_are_split(rows: list[list[str]], separator: str) -> None:
    assert (
        labels(*(separator.join(row) for row in rows), separator=separator)
        == ("multilabel", [tuple(row) or None for row in rows])
        or not rows
    )


def test_blanks_are_unlabeled_and_no_label_counts_twice() -> None:
    assert labels(" a ; ;b;a", "", None, separator=";") == ("multilabel", [("a", "b"), None, None])


def test_a_word_in_brackets_is_a_label() -> None:
    assert labels("[deleted]", "[", "]") == ("single", [("[deleted]",), ("[",), ("]",)])


@pytest.mark.parametrize("cell", ["['a', 'b']", '["a" "b"]'])
def test_a_list_that_is_not_json_is_refused_by_its_line(cell: str) -> None:
    with pytest.raises(
        BadData, match=r"letters\.csv line 3: \[.*\] is not a list in JSON\. Write \[\"one\", \"two\"\]\.$"
    ):
        labels("x", cell)


def test_a_list_within_a_list_is_refused() -> None:
    with pytest.raises(BadData, match="line 2: expected one value, got a list"):
        labels([["a"]])


def test_truths_and_numbers_are_words() -> None:
    assert labels(True, 7, 7.0, 0.5) == ("single", [("true",), ("7",), ("7",), ("0.5",)])


def test_a_slash_in_every_label_makes_paths_with_a_note() -> None:
    read = parse_labels(["rec/sport", None, "sci/med/eyes"], SourceSpec(), at)
    assert read.kind == "path"
    assert read.taxonomy is not None
    assert read.taxonomy.paths["sci/med/eyes"] == ("sci", "sci/med", "sci/med/eyes")
    assert read.notes == (
        "labels are read as paths, a level at each '/' (guessed; --path-separator \"\" reads them as they are)",
    )


@pytest.mark.parametrize("cells", [["rec/sport", "misc"], ["http://a/b"], ["a/", "b/c"], [None]])
def test_slashes_that_make_no_path_are_part_of_a_label(cells: list[str | None]) -> None:
    assert labels(*cells)[0] == "single"


def test_a_named_separator_makes_paths_of_any_labels() -> None:
    read = parse_labels(["rec.sport", "misc"], SourceSpec(path_separator="."), at)
    assert read.taxonomy is not None
    assert read.taxonomy.paths == {"misc": ("misc",), "rec.sport": ("rec", "rec.sport")}
    assert read.notes == ()


def test_an_empty_path_separator_makes_none() -> None:
    assert labels("a/b", "c/d", path="") == ("single", [("a/b",), ("c/d",)])


def test_an_empty_step_in_a_path_is_named_by_its_line() -> None:
    with pytest.raises(BadData, match=r"letters\.csv line 3: label 'a//b' has an empty level next to a '/'"):
        labels("a/b", "a//b", path="/")


def test_a_list_where_a_path_belongs_is_named_by_its_line() -> None:
    with pytest.raises(BadData, match=r"letters\.csv line 3: expected one path, got a list of labels"):
        labels("a/b", ["a/b"], path="/")


def test_both_separators_at_once_are_refused() -> None:
    with pytest.raises(CallError, match="--separator and --path-separator exclude each other"):
        labels("a", separator=";", path="/")
