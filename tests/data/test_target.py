"""Labels as numbers."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.documents import Kind
from data.errors import BadData, CallError, UnknownName
from data.target import Target
from data.taxonomy import Taxonomy

WORDS = st.sampled_from(["earn", "acq", "crude", "Trade", "zinc"])


@given(st.lists(WORDS, min_size=1))
def test_single_labels_come_back_as_names(labels: list[str]) -> None:
    target = Target.from_labels([(label,) for label in labels], "single")
    assert target.labels == tuple(sorted(set(labels)))
    assert target.y.dtype == np.int64
    assert target.names.tolist() == labels
    assert target.counts.tolist() == [labels.count(label) for label in target.labels]


@given(st.lists(st.lists(WORDS, unique=True).map(tuple), min_size=1))
def test_multilabel_targets_are_one_boolean_row_per_document(labels: list[tuple[str, ...]]) -> None:
    target = Target.from_labels(labels, "multilabel")
    assert target.y.shape == (len(labels), len(target.labels))
    assert [{target.labels[column] for column in np.flatnonzero(row)} for row in target.y] == [
        set(row) for row in labels
    ]
    assert target.counts.tolist() == [sum(label in row for row in labels) for label in target.labels]
    assert target.names is target.y


def test_rows_are_selected_and_labels_stay() -> None:
    target = Target.from_labels([("a",), ("b",), ("a",)], "single")
    assert target[np.array([2, 0])].y.tolist() == [0, 0]
    assert target[np.array([False, True, False])].labels == ("a", "b")
    assert len(target[1:]) == 2


def test_columns_may_name_labels_that_do_not_occur() -> None:
    target = Target.from_labels([("b",)], "single", labels=["b", "a", "c"])
    assert target.labels == ("a", "b", "c")
    assert target.counts.tolist() == [0, 1, 0]


def test_a_label_without_a_column_is_named_with_its_nearest() -> None:
    with pytest.raises(UnknownName, match=r"Label 'crud' is not among the 1 known ones\. Did you mean 'crude'\?"):
        Target.from_labels([("crud",)], "single", labels=["crude"])


@pytest.mark.parametrize(("labels", "found"), [((), "no label"), (("a", "b"), "2 labels")])
def test_a_single_target_takes_one_label_a_document(labels: tuple[str, ...], found: str) -> None:
    with pytest.raises(BadData, match=f"Document 2 has {found}, but each must have exactly one"):
        Target.from_labels([("a",), labels], "single")


def test_no_documents_are_a_target_of_none() -> None:
    assert len(Target.from_labels([], "single")) == 0
    assert Target.from_labels([], "multilabel").y.shape == (0, 0)


@given(
    st.lists(WORDS, min_size=1).flatmap(lambda words: st.tuples(st.just(words), st.permutations(sorted(set(words)))))
)
def test_an_order_moves_the_columns_and_leaves_each_document_its_label(drawn: tuple[list[str], list[str]]) -> None:
    words, order = drawn
    target = Target.from_labels([(word,) for word in words], "single").to_ordinal(order)
    assert (target.kind, target.labels, target.is_ordinal) == ("ordinal", tuple(order), True)
    assert target.y.tolist() == [order.index(word) for word in words]
    assert target.names.tolist() == words


def test_an_order_may_name_labels_as_the_file_writes_them() -> None:
    target = Target.from_labels([("1",), ("true",), ("X.0",)], "single")
    assert target.to_ordinal(["True", "1.0", "X.0"]).labels == ("true", "1", "X.0")


def test_numbers_are_ordered_as_numbers() -> None:
    target = Target.from_labels([(label,) for label in ("10", "9", "-1", "2.5")], "single")
    assert target.to_ordinal(["numbers"]).labels == ("-1", "2.5", "9", "10")


@pytest.mark.parametrize(
    ("order", "error", "said"),
    [
        (["poor", "fiar", "good"], UnknownName, "--order names 'fiar', which is not a label. Did you mean 'fair'?"),
        (["poor", "good"], CallError, "--order lacks 'fair': name every label, the lowest first."),
        (["poor"], CallError, "--order lacks 'fair' and 1 more: name every label, the lowest first."),
        (["poor", "fair", "good", "poor"], CallError, "--order names 'poor' twice"),
        (["numbers"], CallError, "--order numbers: 'fair' is not a number. Name the labels instead, the lowest first."),
    ],
)
def test_an_order_that_does_not_fit_the_labels_is_refused(order: list[str], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        Target.from_labels([("poor",), ("good",), ("fair",)], "single").to_ordinal(order)


def test_equal_numbers_and_kinds_that_cannot_be_ordinal_are_refused() -> None:
    with pytest.raises(CallError, match=r"'1' and '1\.0' are the same number"):
        Target.from_labels([("1",), ("1.0",)], "single").to_ordinal(["numbers"])
    with pytest.raises(CallError, match="these labels are of kind 'multilabel'"):
        Target.from_labels([("a", "b")], "multilabel").to_ordinal(["a", "b"])
    with pytest.raises(CallError, match="these labels are of kind 'path'"):
        Target.from_labels([("a/b",), ("a/c",)], "path").to_ordinal(["a/b", "a/c"])


PATHS = [("rec",), ("rec/sport/golf",), ("rec/sport/rugby",), ("sci/space",), ("sci/space",)]


def path_target(kind: Kind = "path") -> Target:
    labels = {node for (path,) in PATHS for node in (path, path.rpartition("/")[0]) if node}
    return Target.from_labels(PATHS, kind, Taxonomy.from_separator(labels, "/"))


def test_the_labels_at_a_level_are_the_nodes_of_each_path() -> None:
    top = path_target().at_level(1)
    assert (top.labels, top.y.tolist(), top.kind, top.taxonomy) == (("rec", "sci"), [0, 0, 0, 1, 1], "single", None)
    second = path_target().at_level(2)
    assert second.labels == ("rec", "rec/sport", "sci/space")  # a label that ends above the level stays
    assert (second.y.tolist(), second.kind) == ([0, 1, 1, 2, 2], "path")
    assert second.taxonomy is not None and second.taxonomy.top == ("rec", "sci")


def test_the_detailed_labels_of_a_level_are_selected_with_it() -> None:
    some = path_target().at_level(1)[np.array([3, 1])]
    assert some.detailed is not None
    assert some.detailed.names.tolist() == ["sci/space", "rec/sport/golf"]


def test_multilabel_documents_keep_their_labels_down_to_a_level() -> None:
    top = path_target("multilabel").at_level(1)
    assert (top.labels, top.kind) == (("rec", "sci"), "multilabel")
    assert top.y.tolist() == [[True, False]] * 3 + [[False, True]] * 2


@pytest.mark.parametrize("level", [0, 3])
def test_a_level_without_labels_below_it_is_refused(level: int) -> None:
    with pytest.raises(CallError, match=rf"--scored-level is {level}, and the labels have 3 levels: choose .* 1 to 2,"):
        path_target().at_level(level)


def test_a_level_needs_a_taxonomy() -> None:
    with pytest.raises(CallError, match="--scored-level needs labels with a taxonomy, such as paths, and these"):
        Target.from_labels([("a",), ("b",)], "single").at_level(1)


def test_a_label_below_two_nodes_of_a_level_is_named() -> None:
    graph = Taxonomy.from_parents({"x": ["a", "b"], "y": ["a"]})
    with pytest.raises(CallError, match=r"Label 'x' is below 'a' and below 'b', so it has no single node at level 1\."):
        Target.from_labels([("x",), ("y",)], "single", graph).at_level(1)
