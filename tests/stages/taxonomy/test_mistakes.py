"""Where predictions leave the true path."""

import numpy as np
import pytest

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from stages.taxonomy.mistakes import BranchConfusion, LevelMistakes, NodeMistakes, find_mistakes

LABELS = ("a/x", "a/y", "b", "b/z")  # the label "b" is an inner node
TREE = Hierarchy.of(Taxonomy.from_separator(LABELS, "/"), LABELS)
X, Y, B, Z, A = (TREE.names.index(name) for name in ("a/x", "a/y", "b", "b/z", "a"))


def test_a_node_counts_the_documents_at_and_below_it() -> None:
    mistakes = find_mistakes(TREE, np.array([X, X, X, Y, B, Z]), np.array([X, Y, A, Z, Z, B]))
    assert mistakes.nodes == {
        "a/x": NodeMistakes(support=3, predicted=1, correct=1, lost=2),
        "a/y": NodeMistakes(support=1, predicted=1, correct=0, lost=0),
        "a": NodeMistakes(support=4, predicted=3, correct=3, lost=1, lost_below=2),
        "b": NodeMistakes(support=2, predicted=3, correct=2, lost=0, lost_below=1),
        "b/z": NodeMistakes(support=1, predicted=2, correct=0, lost=1),
    }
    assert mistakes.nodes["a"].f1 == pytest.approx(6 / 7)
    assert not mistakes.nodes["a"].is_correct


def test_each_document_leaves_its_path_at_one_level() -> None:
    mistakes = find_mistakes(TREE, np.array([X, X, X, Y, B, Z]), np.array([X, Y, A, Z, Z, B]))
    assert mistakes.levels == (
        LevelMistakes(1, documents=6, correct=5, other_branch=1, stopped=0, left_above=0, too_deep=0),
        LevelMistakes(2, documents=5, correct=1, other_branch=1, stopped=2, left_above=1, too_deep=1),
    )


def test_confusions_are_between_nodes_of_one_parent() -> None:
    mistakes = find_mistakes(TREE, np.array([X, X, X, Y, B, Z]), np.array([Y, Y, X, Z, Z, B]))
    assert mistakes.confusions == (
        BranchConfusion(above="a", true="a/x", predicted="a/y", documents=2, share=2 / 3),
        BranchConfusion(above="", true="a", predicted="b", documents=1, share=1 / 4),
    )


def test_a_document_that_is_left_undecided_stops_above_the_top() -> None:
    mistakes = find_mistakes(TREE, np.array([X, X, B]), np.array([X, -1, -2]))
    assert mistakes.nodes["a"] == NodeMistakes(support=2, predicted=1, correct=1, lost=1)
    assert mistakes.nodes["b"] == NodeMistakes(support=1, predicted=0, correct=0, lost=1)
    assert [(level.stopped, level.other_branch, level.left_above) for level in mistakes.levels] == [
        (2, 0, 0),
        (0, 0, 1),
    ]
    assert mistakes.confusions == ()


def test_in_a_graph_a_node_is_lost_where_one_of_its_parents_was_predicted() -> None:
    graph = Taxonomy.from_parents(
        {"pets": (), "farm": (), "pony": ("pets", "farm"), "cat": ("pets",), "cow": ("farm",)}
    )
    hierarchy = Hierarchy.of(graph, ("cat", "cow", "pony"))
    mistakes = find_mistakes(hierarchy, np.array([2, 0]), np.array([0, 0]))  # a pony is taken for a cat
    assert mistakes.nodes["pony"].lost == mistakes.nodes["farm"].lost == 1
    assert mistakes.nodes["pets"] == NodeMistakes(support=2, predicted=2, correct=2, lost=0, lost_below=1)
    assert mistakes.confusions == (BranchConfusion("pets", "pony", "cat", 1, 1.0),)


def test_of_several_labels_each_node_is_counted() -> None:
    labels = ("a", "a/x", "a/y", "b")
    hierarchy = Hierarchy.of(Taxonomy.from_separator(labels, "/"), labels)
    truth = np.array([[1, 1, 0, 1], [1, 0, 1, 0]], dtype=bool)
    predicted = np.array([[1, 0, 1, 1], [0, 0, 0, 1]], dtype=bool)
    mistakes = find_mistakes(hierarchy, truth, predicted)
    assert mistakes.nodes["a"] == NodeMistakes(support=2, predicted=1, correct=1, lost=1, lost_below=1)
    assert mistakes.nodes["b"] == NodeMistakes(support=1, predicted=2, correct=1, lost=0)
    assert mistakes.levels[1] == LevelMistakes(2, 2, 0, other_branch=1, stopped=0, left_above=1, too_deep=0)
    assert [(each.true, each.predicted) for each in mistakes.confusions] == [("a/x", "a/y"), ("a", "b")]


def test_no_mistakes_and_no_documents_are_fine() -> None:
    mistakes = find_mistakes(TREE, np.array([X, B]), np.array([X, B]))
    assert all(node.is_correct for node in mistakes.nodes.values()) and mistakes.confusions == ()
    assert find_mistakes(TREE, np.zeros(0, np.int64), np.zeros(0, np.int64)).levels[0].documents == 0
