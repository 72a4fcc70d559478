"""Groups of labels that a run confuses."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from data.errors import BadData, CallError
from stages.taxonomy.suggest import confusion_similarity, group_labels, propose_taxonomy


def one_hot(codes: list[int], labels: int) -> csr_array:
    return csr_array(np.eye(labels, dtype=np.int64)[codes])


def test_similarity_is_the_mean_share_of_documents_that_were_confused() -> None:
    truth, predicted = one_hot([0, 0, 0, 0, 1, 1, 2], 3), one_hot([0, 0, 0, 1, 1, 0, 2], 3)
    assert confusion_similarity(truth, predicted).tolist() == [[0, 0.375, 0], [0.375, 0, 0], [0, 0, 0]]


def test_of_several_labels_the_missed_one_was_confused_with_the_added_one() -> None:
    truth, predicted = csr_array(np.array([[1, 1, 0]])), csr_array(np.array([[1, 0, 1]]))
    assert confusion_similarity(truth, predicted).tolist() == [[0, 0, 0], [0, 0, 0.5], [0, 0.5, 0]]


def planted(groups: list[list[int]], labels: int) -> NDArray[np.float64]:
    """Labels of a group are confused often, all others rarely."""
    similarity = np.full((labels, labels), 0.01)
    for group in groups:
        similarity[np.ix_(group, group)] = 0.2
    np.fill_diagonal(similarity, 0)
    return similarity


def test_planted_groups_are_found() -> None:
    groups = [[0, 3, 5], [1, 2], [4, 6, 7]]
    assert sorted(group_labels(planted(groups, 8))) == groups


def test_a_label_that_was_never_confused_is_in_no_group() -> None:
    similarity = planted([[0, 1], [2, 3]], 5)
    similarity[4] = similarity[:, 4] = 0
    assert sorted(group_labels(similarity)) == [[0, 1], [2, 3]]


def test_one_confused_pair_is_a_group() -> None:
    similarity = np.zeros((4, 4))
    similarity[1, 2] = similarity[2, 1] = 0.1
    assert group_labels(similarity) == [[1, 2]]


TRUTH = np.array([0, 0, 1, 1, 1, 2, 2, 3, 4])


def test_confused_labels_have_one_parent_that_names_the_most_frequent_ones() -> None:
    predicted = np.array([1, 0, 1, 1, 0, 3, 2, 3, 4])
    suggested = propose_taxonomy("run", ["a", "b", "c, d", "e", "f"], TRUTH, predicted)
    assert suggested.taxonomy.parents == {
        "f": (),
        "b, a": (),
        "c, d, e": (),
        **{"a": ("b, a",), "b": ("b, a",)},
        **{"c, d": ("c, d, e",), "e": ("c, d, e",)},
    }
    assert suggested.documents == 9 and suggested.below["b, a"] == 5


def test_the_name_of_a_group_is_never_that_of_a_label() -> None:
    predicted = np.array([1, 0, 1, 1, 0, 2, 2, 3, 4])
    labels = ["a", "b", "b, a", "d", "e"]
    assert propose_taxonomy("run", labels, TRUTH, predicted).taxonomy.parents["a"] == ("b, a (group)",)


def test_a_run_without_confusions_and_three_labels_are_refused_in_one_sentence() -> None:
    with pytest.raises(BadData, match="confused no two labels in 9 documents"):
        propose_taxonomy("run", "abcde", TRUTH, TRUTH)
    with pytest.raises(CallError, match="has 3 labels; a taxonomy is proposed for at least 4"):
        propose_taxonomy("run", "abc", TRUTH[:7], TRUTH[:7])


def test_documents_that_are_left_undecided_confuse_no_labels() -> None:
    labels, truth = ("a", "b", "c", "d"), np.array([0, 0, 1, 2, 3])
    decided = propose_taxonomy("run", labels, truth, np.array([0, 1, 0, 2, 3]))
    undecided = propose_taxonomy("run", labels, truth, np.array([0, 1, 0, -1, -2]))
    assert undecided.taxonomy == decided.taxonomy
