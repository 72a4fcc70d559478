"""What the cells of a label column mean."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.documents import Kind, Labels
from data.errors import BadData
from data.label_cells import parse_cell
from data.labels import parse_label_columns, parse_labels
from data.source_spec import SourceSpec

WORD = st.text("abcäö", min_size=1) | st.just("two words")


def at(row: int) -> str:
    return f"letters.csv line {row + 2}"


def labels(
    *cells: Any, separator: str | None = None, path: str | None = None, names: tuple[str, ...] | None = None
) -> tuple[Kind, list[Labels]]:
    read = parse_labels(cells, SourceSpec(separator=separator, path_separator=path, label_names=names), at)
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


@pytest.mark.parametrize(
    "cell",
    [
        "['a', 'b']",
        "[a, b]",
        "('a', 'b')",
        "{'a', 'b'}",
        '["a", "b"] ',
        "['a', 'b',]",
        "['a' 'b']",
        "[np.str_('a'), np.str_('b')]",
        '{a,"b"}',
        "{'a': 1, 'b': 0.9, 'c': 0}",
        '{"a": true, "b": 1.0, "c": null}',
    ],
)
def test_a_list_is_read_in_the_notation_of_any_program(cell: str) -> None:
    assert labels(cell, "['b']") == ("multilabel", [("a", "b"), ("b",)])


@pytest.mark.parametrize("cell", ["[]", "()", "{'a': 0}", "[ ]"])
def test_an_empty_list_says_that_no_label_applies(cell: str) -> None:
    assert labels(cell, '["x"]') == ("multilabel", [(), ("x",)])


@pytest.mark.parametrize("cell", ["", None, " ", "{}", "[null]", '[""]', {"a": None}, math.nan])
def test_a_blank_cell_is_unlabeled(cell: Any) -> None:
    assert labels(cell, '["x"]') == ("multilabel", [None, ("x",)])


@pytest.mark.parametrize(
    "cell",
    ["[don't, can't]", "['a''b']", '["a", "b"', "a', 'b']", "['a'; 'b']", "[,]", "['a', ['b']]", "[a, b] and [c]"],
)
def test_what_looks_like_a_list_and_is_none_is_refused_by_its_line(cell: str) -> None:
    with pytest.raises(BadData, match=r"letters\.csv line 3: .* looks like a list .*Write \[\"one\", \"two\"\], or"):
        labels("x", cell)
    assert labels("x", cell, separator="") == ("single", [("x",), (cell,)])


@given(st.text("[](){}'\",ab 01.:;\\N", max_size=12), st.sampled_from([None, "", ";", ","]))
def test_any_text_is_a_label_or_a_list_of_labels_or_refused(text: str, separator: str | None) -> None:
    try:
        value = parse_cell(text, separator)
    except ValueError:
        return
    for label in value if isinstance(value, tuple) else ():
        assert label and label == label.strip()


@pytest.mark.parametrize(
    "cell", ["[" * 100_000 + "]" * 100_000, "[a" + " " * 100_000 + "'b]", "[" + "'a' " * 20_000 + "b]"]
)
def test_a_long_text_that_is_no_list_is_refused_at_once(cell: str) -> None:
    with pytest.raises(BadData, match=r"line 2: .* looks like a list and cannot be read"):
        labels(cell)


@pytest.mark.parametrize("cell", ["[0 1 ... 0 1]", "[1, 0, ..., 0, 1]", "['a', 'b', ...]", "[...]"])
def test_a_list_that_was_shortened_is_refused(cell: str) -> None:
    with pytest.raises(BadData, match=r"line 3: the list .* was shortened"):
        labels("[1, 2]", cell)
    assert labels("['...']", "['and so on ...']") == ("multilabel", [("...",), ("and so on ...",)])


@pytest.mark.parametrize(
    "cells", [["[1, 0, 1]", "[0, 0, 1]"], [[1, 0, 1]], [[True, False]], [[1.0, 0.0]], ["[1 0 1]"], ["[1. 0. 1.]"]]
)
def test_lists_of_0_and_1_are_no_labels_without_names(cells: list[Any]) -> None:
    with pytest.raises(BadData, match=r"line 2: \[1, 0.*\] looks like one 0 or 1 per label.*--label-names"):
        labels(*cells)


@pytest.mark.parametrize(
    "cells", [["[1, 0, 1]", "[0 0 0]", None], [[1, 0, 1], [False] * 3, None], [(1.0, 0.0, 1.0), [0.0] * 3, ""]]
)
def test_lists_of_0_and_1_are_read_with_names(cells: list[Any]) -> None:
    cells = [list(cell) if isinstance(cell, tuple) else cell for cell in cells]
    assert labels(*cells, names=("a", "b", "c")) == ("multilabel", [("a", "c"), (), None])


def test_a_list_of_another_length_than_the_names_is_refused_by_its_line() -> None:
    with pytest.raises(
        BadData, match=r"line 3: expected 3 numbers 0 or 1, one for each of --label-names, got \[1, 0\]"
    ):
        labels([1, 0, 1], [1, 0], names=("a", "b", "c"))


def test_numbers_of_labels_are_read_with_names() -> None:
    assert labels(2, "0", 1.0, -1, None, names=("a", "b", "c")) == ("single", [("c",), ("a",), ("b",), None, None])
    assert parse_labels(["1.0", "0.0"], SourceSpec(label_names=("a", "b")), at).notes == ()
    assert labels([0, 2], [1], [], names=("a", "b", "c")) == ("multilabel", [("a", "c"), ("b",), ()])
    with pytest.raises(BadData, match="line 3: label '3' is no number from 0 to 2"):
        labels(2, 3, names=("a", "b", "c"))


def test_names_themselves_are_labels_next_to_numbers() -> None:
    assert labels(2, "a", names=("a", "b", "c")) == ("single", [("c",), ("a",)])
    assert labels([1, 0, 1], "['b']", names=("a", "b", "c")) == ("multilabel", [("a", "c"), ("b",)])


def test_lists_of_numbers_are_labels_if_none_is_one_number_per_label() -> None:
    assert labels([0, 1], [1], [2, 0]) == ("multilabel", [("0", "1"), ("1",), ("2", "0")])


def test_fractions_in_a_list_are_no_labels() -> None:
    with pytest.raises(BadData, match=r"line 2: the list \[0.7, 0.2\] holds fractions"):
        labels([0.7, 0.2])


@pytest.mark.parametrize("separator", [None, ",", ";"])
def test_one_word_in_brackets_is_a_list_if_others_are_whatever_the_separator(separator: str | None) -> None:
    cells = "[a]", "[a, b]", "{b}"
    assert labels(*cells, separator=separator) == ("multilabel", [("a",), ("a", "b"), ("b",)])
    assert labels("[deleted]", "a, b", separator=",") == ("multilabel", [("[deleted]",), ("a", "b")])


@pytest.mark.parametrize("cell", [["a", math.nan], "['a', nan]", '[NaN, "a"]', ["a", None]])
def test_missing_values_in_a_list_are_no_labels(cell: Any) -> None:
    assert labels(cell, [math.nan], ["b", 2.0, math.nan]) == ("multilabel", [("a",), None, ("b", "2")])


def test_an_object_that_holds_no_scores_is_refused() -> None:
    with pytest.raises(BadData, match=r"line 2: expected an object of labels with 0, 1 or a score, but 'name' has 'x'"):
        labels({"name": "x"})


def test_one_list_among_labels_is_refused_by_its_line() -> None:
    with pytest.raises(BadData, match=r"line 4: a list of labels is among labels that are no lists, such as 'x'"):
        labels("x", "y", "[1]")


def test_labels_in_no_list_next_to_lists_are_reported() -> None:
    read = parse_labels(["x", ["y", "z"], "y"], SourceSpec(), at)
    assert (read.kind, list(read.labels)) == ("multilabel", [("x",), ("y", "z"), ("y",)])
    assert read.notes == (
        "labels are multi-label because of lists (the first: letters.csv line 3); 2 labels are in no list",
    )


def test_one_word_in_brackets_is_a_list_if_others_are() -> None:
    assert labels("[a]", "[a, b]") == ("multilabel", [("a",), ("a", "b")])


@pytest.mark.parametrize("cell", ["(none)", "(a, b)", "(A) and (B)", "[A] and [B]", "(0, 10]"])
def test_brackets_are_part_of_a_label(cell: str) -> None:
    assert labels(cell, "x") == ("single", [(cell,), ("x",)])


def test_columns_of_0_and_1_are_labels_by_their_names() -> None:
    columns = {"toxic": ["1", 0, "", None], "insult": ["0.0", False, " ", "1"], "threat": ["True", "false", -1, "0"]}
    read = parse_label_columns(columns, at)
    assert (read.kind, list(read.labels)) == ("multilabel", [("toxic", "threat"), (), None, ("insult",)])
    assert read.notes == ("blank label cells next to 0 or 1 are read as 0 in 1 document",)


def test_a_column_of_one_label_that_holds_a_word_is_refused() -> None:
    with pytest.raises(BadData, match=r"letters\.csv line 3: column 'b' holds 'yes'"):
        parse_label_columns({"a": [1, 0], "b": ["0", "yes"]}, at)


def test_a_list_within_a_list_is_refused() -> None:
    with pytest.raises(BadData, match="line 2: expected one value, got a list"):
        labels([["a"]])


def test_truths_and_numbers_have_one_form_in_every_notation() -> None:
    for cells in ((True, 7, 7.0, 0.5), ("True", "7", "7.0", "0.5"), ("TRUE", "7.00", "7", 0.5)):
        assert labels(*cells) == ("single", [("true",), ("7",), ("7",), ("0.5",)])
    assert labels("1.10", "01.0", "-0.0") == ("single", [("1.10",), ("01.0",), ("0",)])


def notes(*cells: Any) -> tuple[str, ...]:
    return parse_labels(cells, SourceSpec(), at).notes


def test_another_form_of_a_label_is_reported() -> None:
    assert notes("1.0", "True", "x") == ("labels are read in one form: '1.0' as '1' and 'True' as 'true'",)


def test_labels_that_look_like_missing_values_are_kept_and_reported() -> None:
    assert labels("nan", "None") == ("single", [("nan",), ("None",)])
    assert notes("x", "nan", "None") == (
        "labels 'None', 'nan' are kept; leave the cell of a document without a label blank",
    )


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (("Sport", "sport", "news"), "'Sport' and 'sport'"),
        (("caf\u00e9", "cafe\u0301"), r"'cafe\u0301' and 'caf\xe9'"),
        (("rec sport", "rec\u00a0sport"), r"'rec sport' and 'rec\xa0sport'"),
        (("sport", "spo\u200brt", "Sport"), r"'Sport', 'sport' and 'spo\u200brt'"),
        (("a/b", "a / b", "c", "d"), "'a / b' and 'a/b'"),
        (("\ufeffsport", "sport"), r"'sport' and '\ufeffsport'"),
    ],
)
def test_labels_that_a_person_reads_as_the_same_are_reported_in_one_note(cells: tuple[str, ...], shown: str) -> None:
    assert notes(*cells) == (
        f"labels differ only by case, spaces or invisible characters, and stay different: {shown}",
    )


def test_spaces_around_the_levels_of_a_path_are_removed() -> None:
    read = parse_labels(["rec / sport", "rec/sport", "sci/ med"], SourceSpec(), at)
    assert list(read.labels) == [("rec/sport",), ("rec/sport",), ("sci/med",)]
    assert read.taxonomy is not None and read.taxonomy.leaves == ("rec/sport", "sci/med")
    assert labels("rec > sport", "rec>sport", path=">") == ("path", [("rec>sport",), ("rec>sport",)])


def test_a_label_that_keeps_others_from_being_paths_is_reported() -> None:
    assert notes("rec/sport", "sci/med", "misc") == (
        "labels are not read as paths, because 'misc' has no '/' (--path-separator / reads them as paths)",
    )
    assert notes("n/a", "spam", "ham") == ()


def test_a_slash_in_every_label_makes_paths_with_a_note() -> None:
    read = parse_labels(["rec/sport", None, "sci/med/eyes"], SourceSpec(), at)
    assert read.kind == "path"
    assert read.taxonomy is not None
    assert read.taxonomy.ancestors("sci/med/eyes") == ("sci", "sci/med", "sci/med/eyes")
    assert read.notes == (
        "labels are read as paths, a level at each '/' (guessed; --path-separator \"\" reads them as they are)",
    )


@pytest.mark.parametrize("cells", [["rec/sport", "misc"], ["http://a/b"], ["a/", "b/c"], [None]])
def test_slashes_that_make_no_path_are_part_of_a_label(cells: list[str | None]) -> None:
    assert labels(*cells)[0] == "single"


def test_a_named_separator_makes_paths_of_any_labels() -> None:
    read = parse_labels(["rec.sport", "misc"], SourceSpec(path_separator="."), at)
    assert read.taxonomy is not None
    assert read.taxonomy.parents == {"misc": (), "rec": (), "rec.sport": ("rec",)}
    assert read.notes == ()


def test_an_empty_path_separator_makes_none() -> None:
    assert labels("a/b", "c/d", path="") == ("single", [("a/b",), ("c/d",)])


def test_an_empty_step_in_a_path_is_named_by_its_line() -> None:
    with pytest.raises(BadData, match=r"letters\.csv line 3: label 'a//b' has an empty level next to a '/'"):
        labels("a/b", "a//b", path="/")


def test_lists_of_paths_are_several_paths_of_a_document() -> None:
    assert labels("a/b", ["a/c", "d"], path="/") == ("multilabel", [("a/b",), ("a/c", "d")])


def test_both_separators_make_several_paths_of_a_cell() -> None:
    read = labels("a > b; c>d ;", "a", "[]", separator=";", path=">")
    assert read == ("multilabel", [("a>b", "c>d"), ("a",), ()])
    with pytest.raises(BadData, match=r"letters\.csv line 3: label 'a >' has an empty level next to a ' >'"):
        labels("a", "b; a > ", separator=";", path=" >")
