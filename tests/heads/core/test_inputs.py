"""Labels and weights as callers give them."""

import re
from typing import Any

import numpy as np
import pytest

from data.errors import CallError
from heads.classifiers.prototype import PrototypeHead
from heads.core.inputs import as_groups, as_labels, as_sample_weight, encode


@pytest.mark.parametrize("labels", [["b", "a", "b"], np.array(["b", "a", "b"], dtype=object), np.array([2, 1, 2])])
def test_labels_become_indices_into_the_sorted_ones(labels: Any) -> None:
    classes, y = encode(as_labels(labels, 3))
    assert classes.tolist() == sorted(set(np.asarray(labels).tolist()))
    assert y.dtype == np.int64
    assert y.tolist() == [1, 0, 1]


def test_a_matrix_of_ones_and_zeros_is_several_labels() -> None:
    classes, y = encode(as_labels([[1, 0, 1], [0, 0, 0]], 2))
    assert classes.tolist() == [0, 1, 2]
    assert y.dtype == bool
    assert y.tolist() == [[True, False, True], [False, False, False]]


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (None, "requires y to be passed, but the target y is None"),
        ([0, 1], "y has shape (2,) for 3 documents"),
        ([[0, 1], [1], [0]], "y is ragged"),
        ([[0, 1], [2, 0], [0, 0]], "y is a matrix with values other than 0 and 1"),
        ([0.0, float("nan"), 1.0], "Input y contains NaN or infinity."),
        ([0.5, 1.5, 2.0], "Unknown label type: continuous. Labels must be strings or integers."),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(y: Any, sentence: str) -> None:
    with pytest.raises(CallError, match=re.escape(sentence)):
        as_labels(y, 3)


def test_labels_of_mixed_types_are_refused() -> None:
    with pytest.raises(CallError, match="y mixes labels of different types"):
        encode(np.array(["a", 1, None], dtype=object))


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        ([1, 1], "sample_weight has shape (2,). Pass (3,), one weight per document."),
        ([[1, 1, 1]], "sample_weight has shape (1, 3)"),
        ([1, -1, 1], "sample_weight has negative or non-finite values"),
        ([1, float("inf"), 1], "sample_weight has negative or non-finite values"),
        ([0, 0, 0], "Every sample_weight is zero: no document is left to learn from."),
    ],
)
def test_sample_weights_that_make_no_sense_are_refused(weight: Any, sentence: str) -> None:
    with pytest.raises(CallError, match=re.escape(sentence)):
        as_sample_weight(weight, 3)


def test_scalars_of_numpy_in_an_object_array_become_plain_labels() -> None:
    classes, y = encode(np.array([np.int64(7), np.int64(5)], dtype=object))
    assert [type(label) for label in classes] == [int, int]
    assert (classes.tolist(), y.tolist()) == ([5, 7], [1, 0])


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_document_without_a_group_is_a_group_of_its_own(missing: Any) -> None:
    first, alone, second, other = as_groups(["a", missing, "a", missing], 4)
    assert first == second
    assert len({first, alone, other}) == 3


def test_numbers_of_groups_do_not_depend_on_the_order_of_documents() -> None:
    assert as_groups(["b", 1, "a"], 3).tolist() == as_groups(["a", 1, "b"], 3)[::-1].tolist()
    assert as_groups(np.array([9, 3], dtype=np.int32), 2).tolist() == [9, 3]


def test_groups_and_flags_of_other_documents_are_refused() -> None:
    head, vectors = PrototypeHead(), np.eye(4)
    with pytest.raises(CallError, match=r"There are 3 groups for 4 documents\. Pass one for each document\."):
        head.fit(vectors, ["a", "b"] * 2, groups=[1, 2, 3])
    with pytest.raises(CallError, match=r"fit_only has shape \(3,\)\. Pass \(4,\), one value per document\."):
        head.fit(vectors, ["a", "b"] * 2, fit_only=[True] * 3)
