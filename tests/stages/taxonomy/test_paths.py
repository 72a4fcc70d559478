"""Predictions as paths with probabilities."""

import numpy as np

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from stages.taxonomy.paths import PathNode, Paths

LABELS = ("a/x", "a/y", "b")
TREE = Taxonomy.from_separator(LABELS, "/")
PATHS = Paths(Hierarchy.of(TREE, LABELS))
SHARES = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25]])


def test_a_path_has_the_probability_of_each_node_on_it() -> None:
    inner = PATHS.hierarchy.names.index("a")  # a prediction that stops at an inner node
    (leaf,), (stopped,) = PATHS.of(np.array([0, inner]), SHARES)
    assert [(each.node, each.name, round(each.probability, 6)) for each in leaf] == [("a", "a", 0.8), ("a/x", "x", 0.5)]
    assert stopped == (PathNode("a", "a", 0.75),)
    assert PATHS.text(leaf) == "a/x" and PATHS.levels == 2


def test_of_several_parents_the_most_probable_one_is_on_the_path() -> None:
    graph = Taxonomy.from_parents(
        {"pets": (), "farm": (), "pony": ("pets", "farm"), "cat": ("pets",), "cow": ("farm",)}
    )
    paths = Paths(Hierarchy.of(graph, ("cat", "cow", "pony")))
    ((path,),) = paths.of(np.array([2]), np.array([[0.1, 0.3, 0.6]]))
    assert paths.text(path) == "farm > pony"


def test_several_labels_have_a_path_to_each_label_without_a_predicted_one_below() -> None:
    labels = ("a", "a/x", "a/y", "b")
    paths = Paths(Hierarchy.of(TREE, labels))
    predicted = np.array([[True, True, True, False], [True, False, False, True], [False] * 4])
    probabilities = np.array([[0.9, 0.8, 0.7, 0.1]] * 3)
    texts = [[paths.text(path) for path in of_document] for of_document in paths.of(predicted, probabilities)]
    assert texts == [["a/x", "a/y"], ["a", "b"], []]
