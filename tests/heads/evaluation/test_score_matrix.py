"""Scores in the columns of a run, and their probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from data.errors import EmbedOnceError
from heads.evaluation.score_matrix import align_scores, scores_to_probabilities

LABELS = ("cocoa", "earn", "grain")


def test_scores_are_put_into_the_columns_of_their_labels() -> None:
    scores = align_scores(np.array([[1.0, 2.0]]), np.array(["grain", "cocoa"], dtype=object), LABELS)
    assert scores.dtype == np.float32
    assert scores.tolist() == [[2.0, -np.inf, 1.0]]


def test_multilabel_scores_are_put_into_the_columns_of_their_numbers() -> None:
    assert align_scores(np.array([[1.0, 2.0, 3.0]]), np.arange(3), LABELS).tolist() == [[1.0, 2.0, 3.0]]
    assert align_scores(np.array([[1.0, 2.0]]), np.array([0, 2]), LABELS).tolist() == [[1.0, -np.inf, 2.0]]


def test_labels_that_are_digits_are_names() -> None:
    assert align_scores(np.array([[1.0, 2.0]]), np.array(["2", "10"]), ("10", "2")).tolist() == [[2.0, 1.0]]


@pytest.mark.parametrize("classes", [["earn", "wool"], [0, 3]])
def test_an_unknown_class_is_refused(classes: list[object]) -> None:
    with pytest.raises(ValueError, match="the head has a class that is not among the labels"):
        align_scores(np.zeros((1, 2)), classes, LABELS)


def test_scores_that_are_not_numbers_are_reported_in_one_sentence() -> None:
    scores = np.array([[0.0, np.nan], [1.0, 2.0], [np.nan, np.nan]])
    with pytest.raises(
        EmbedOnceError,
        match=r"^The head's scores are not numbers \(NaN\) for 2 of 3 documents\. Lower its learning rate, or look",
    ):
        align_scores(scores, ["earn", "grain"], LABELS)


@given(arrays.arrays(np.float32, (4, 3), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_probabilities_of_single_labels_sum_to_one(scores: NDArray[np.float32]) -> None:
    probabilities = scores_to_probabilities(scores, multilabel=False)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-6)


def test_probabilities_equal_those_computed_by_hand() -> None:
    scores = np.log(np.array([[1.0, 2.0, 5.0]]))
    assert scores_to_probabilities(scores, multilabel=False)[0] == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert scores_to_probabilities(scores, multilabel=True)[0] == pytest.approx([1 / 2, 2 / 3, 5 / 6])


@pytest.mark.parametrize("multilabel", [False, True])
def test_an_unseen_label_has_probability_zero(multilabel: bool) -> None:
    assert scores_to_probabilities(np.array([[-np.inf, 1.0, 1.0]]), multilabel=multilabel)[0, 0] == 0
