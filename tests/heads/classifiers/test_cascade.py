"""The cascade: a tree of local classifiers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from data.errors import BadData, CallError, UnknownName
from featurestore import Bags
from heads.classifiers.cascade import CascadeHead
from heads.classifiers.knn import KNNHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.mlp import MLPHead
from heads.local_strategies.problems import Strategy
from heads.planted_signals import Planted, mean_signal
from heads.testing import HeadContract, assert_same_scores, training_of
from tests.heads.planted import tree_signal

# all labels that the contract uses
TREE = {label: ("pair", label) for label in ("label-0", "label-1")} | {
    label: (label,) for label in ("label-2", "single", "rare", "common")
}


class TestCascadeByFirstKeepsTheContract(HeadContract):
    head = CascadeHead(first="label-1")


NAMED: Mapping[str, str] = {
    "renamed_labels": "the tree names labels, so a separate test renames both",
    "numbered_labels": "cross_val_predict numbers the labels for its scores, and the tree knows them by name",
}


class TestCascadeOfATreeKeepsTheContract(HeadContract):
    head = CascadeHead(tree=TREE)
    exceptions = NAMED


class TestCascadePerNodeKeepsTheContract(HeadContract):
    head = CascadeHead(tree=TREE, strategy="node")
    exceptions = NAMED


class TestCascadePerLevelKeepsTheContract(HeadContract):
    head = CascadeHead(tree=TREE, strategy="level")
    exceptions = NAMED


class TestCascadeOfALocalHeadKeepsTheContract(HeadContract):
    head = CascadeHead(tree=TREE, local=LinearHead(C=0.1))
    exceptions = NAMED


def _with_duplicates(planted: Planted, label: str) -> tuple[Bags, NDArray[Any]]:
    rows = np.r_[np.arange(len(planted)), np.flatnonzero(planted.y == label)]
    return planted.bags[rows], planted.y[rows]


def children(head: CascadeHead) -> list[list[int]]:
    """For each parent with a classifier, the child that contains each label, -1 if none does; children by label."""
    nodes = []
    for problem in head.problems_:
        codes = dict(zip(problem.labels.tolist(), problem.codes.tolist(), strict=True))
        order = list(dict.fromkeys(codes.values()))
        nodes.append([order.index(codes[label]) if label in codes else -1 for label in range(len(head.classes_))])
    return nodes


def fitted(labels: str, tree: Mapping[Any, tuple[str, ...]] | None, **hyperparameters: Any) -> CascadeHead:
    """A cascade fitted on two documents per letter of `labels`."""
    X = np.tile(np.eye(len(labels)), (2, 1)).astype(np.float32)
    return CascadeHead(tree=tree, C=10, **hyperparameters).fit(X, list(labels) * 2)


@pytest.mark.parametrize(("strategy", "classifiers"), [("parent", 3), ("node", 7), ("level", 2)])
def test_it_learns_the_planted_tree(strategy: Strategy, classifiers: int) -> None:
    train, test = tree_signal(documents=400).halves()
    head = CascadeHead(tree=train.tree, strategy=strategy).fit(train.bags, train.y)
    assert head.score(test.bags, test.y) > 0.9
    assert len(head.problems_) == classifiers


def test_the_probability_of_a_branch_is_that_of_the_root_node() -> None:
    planted = tree_signal()
    tree = CascadeHead(tree=planted.tree, class_weight="none").fit(planted.bags, planted.y)
    branch = np.array([label.split(".")[0] for label in planted.y])
    root = LinearHead(class_weight="none").fit(planted.bags, branch).predict_proba(planted.bags)
    below = tree.predict_proba(planted.bags)[:, [label.startswith("rec.") for label in tree.classes_]].sum(axis=1)
    np.testing.assert_allclose(below, root[:, 0], atol=1e-4)


def test_probabilities_sum_to_one() -> None:
    planted = tree_signal()
    scores = CascadeHead(tree=planted.tree).fit(planted.bags, planted.y).decision_function(planted.bags)
    np.testing.assert_allclose(np.exp(scores.astype(np.float64)).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("labels", "tree", "nodes"),
    [
        # a flat tree is one node
        ("abc", {"a": ("a",), "b": ("b",), "c": ("c",)}, [[0, 1, 2]]),
        # a node with one child has no classifier
        ("abc", {"a": ("x", "y", "a"), "b": ("x", "y", "b"), "c": ("z", "c")}, [[0, 0, 1], [0, 1, -1]]),
        # depths differ
        ("abc", {"a": ("a",), "b": ("x", "b"), "c": ("x", "y", "c")}, [[0, 1, 1], [-1, 0, 1]]),
        # a label that is also an inner node
        ("abc", {"a": ("a",), "b": ("a", "b"), "c": ("c",)}, [[0, 0, 1], [0, 1, -1]]),
        # parents instead of paths
        ("abcd", {"a": ("n",), "b": ("n",), "c": (), "n": ("m",), "d": ("m",)},
         [[0, 0, 1, 0], [0, 0, -1, 1], [0, 1, -1, -1]]),
    ],
)  # fmt: skip
def test_trees_of_any_shape(labels: str, tree: dict[str, tuple[str, ...]], nodes: list[list[int]]) -> None:
    head = fitted(labels, tree)
    assert children(head) == nodes
    assert "".join(head.predict(np.eye(len(labels), dtype=np.float32))) == labels


def test_branches_without_training_documents_are_ignored_with_a_note() -> None:
    head = fitted("ab", {"a": ("x", "a"), "b": ("y", "b"), "c": ("y", "c"), "d": ("z", "d")})
    assert children(head) == [[0, 1]]
    assert head.notes_ == ("The tree has 2 labels without a training document: never predicted.",)


def test_the_first_label_is_decided_before_the_others() -> None:
    head = fitted("abc", None, first="b")
    assert children(head) == [[0, 1, 0], [0, -1, 1]]
    assert head.notes_ == ()


def test_a_first_label_may_be_called_others() -> None:
    planted = mean_signal()
    y = np.where(planted.y == "label-0", "others", planted.y)
    assert children(CascadeHead(first="others").fit(planted.bags, y)) == [[0, 0, 1], [0, 1, -1]]


def test_with_neither_tree_nor_first_the_most_frequent_label_comes_first() -> None:
    planted = mean_signal()
    head = CascadeHead().fit(*_with_duplicates(planted, "label-1"))
    assert children(head)[0] == [0, 1, 0]
    (note,) = head.notes_
    assert note.startswith("cascade decides first whether the label is 'label-1', the most frequent one. Set first")


def test_the_most_frequent_label_has_the_largest_weight_and_is_known_after_loading(tmp_path: Path) -> None:
    planted = mean_signal()
    head = CascadeHead().fit(planted.bags, planted.y, sample_weight=np.where(planted.y == "label-2", 2.0, 1.0))
    head.save(tmp_path)
    assert children(head)[0] == [0, 0, 1]
    assert children(CascadeHead.load(tmp_path)) == children(head)


def test_a_fold_without_the_first_label_has_one_level_with_a_note() -> None:
    head = fitted("abc", None, first="z")
    assert children(head) == [[0, 1, 2]]
    assert head.notes_ == ("No training document has the first label 'z', so cascade has one level only.",)


def test_renaming_the_first_label_too_permutes_columns() -> None:
    planted = mean_signal()
    names = {"label-0": "label-2", "label-1": "label-1", "label-2": "label-0"}
    renamed = np.array([names[label] for label in planted.y], dtype=object)
    one = CascadeHead(first="label-0").fit(planted.bags, planted.y).decision_function(planted.bags)
    other = CascadeHead(first="label-2").fit(planted.bags, renamed).decision_function(planted.bags)
    np.testing.assert_allclose(other[:, ::-1], one, atol=1e-3)


def test_numeric_labels_have_paths() -> None:
    tree = {1: ("x", "1"), 2: ("x", "2"), 3: ("3",)}
    head = CascadeHead(tree=tree, C=10).fit(np.eye(3, dtype=np.float32).repeat(2, axis=0), [1, 1, 2, 2, 3, 3])
    assert head.predict(np.eye(3, dtype=np.float32)).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        ({"a": ("a",), "bb": ("bb",)}, UnknownName, "The tree has no 'b'."),
        ({"a": "x/a", "b": ("b",)}, CallError, "The tree has 'x/a' for 'a'; it must list the names of its parents"),
        ({"a": ("x", "y", "a"), "b": ("z", "y", "b")}, BadData, "'y' below 'x' and below 'z'"),
    ],
)
def test_a_tree_that_does_not_match_the_labels_is_refused(tree: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        fitted("ab", tree)


def test_a_tree_and_a_first_label_are_refused_together() -> None:
    with pytest.raises(CallError, match="cascade has both a tree and a first label"):
        fitted("ab", {"a": ("a",), "b": ("b",)}, first="a")


def test_a_tree_round_trips_through_disk(tmp_path: Path) -> None:
    planted: Planted = tree_signal()
    head = CascadeHead(tree=planted.tree).fit(planted.bags, planted.y)
    head.save(tmp_path)
    loaded = CascadeHead.load(tmp_path)
    assert loaded.tree == planted.tree
    np.testing.assert_array_equal(loaded.decision_function(planted.bags), head.decision_function(planted.bags))


def graph_signal(documents: int = 240) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Sport and news are far apart on one axis; "results" are of both, so between them, and told by another axis."""
    rng = np.random.default_rng(0)
    means = {"hockey": [4, 0, 3], "golf": [4, 0, -3], "results": [0, 5, 0], "war": [-4, 0, 3], "weather": [-4, 0, -3]}
    y = rng.permutation(np.resize(list(means), documents))
    return (rng.normal(size=(documents, 3)) + [means[label] for label in y]).astype(np.float32), y


GRAPH = {"hockey": ["sport"], "golf": ["sport"], "results": ["sport", "news"], "war": ["news"], "weather": ["news"]}


@pytest.mark.parametrize("strategy", ["parent", "node"])
def test_a_label_with_two_parents_is_found(strategy: Strategy, tmp_path: Path) -> None:
    X, y = graph_signal()
    head = CascadeHead(tree=GRAPH, strategy=strategy).fit(X[::2], y[::2])
    assert head.score(X[1::2], y[1::2]) > 0.9
    np.testing.assert_allclose(head.predict_proba(X).sum(axis=1), 1, atol=1e-6)
    head.save(tmp_path)
    np.testing.assert_array_equal(CascadeHead.load(tmp_path).decision_function(X), head.decision_function(X))


def test_a_node_with_two_parents_is_at_no_one_level() -> None:
    with pytest.raises(CallError, match=r"'results' has several parents, so it is at no one level\. Choose strategy"):
        CascadeHead(tree=GRAPH, strategy="level").fit(*graph_signal())


@pytest.mark.parametrize("strategy", ["parent", "node", "level"])
def test_labels_at_inner_nodes_are_predicted(strategy: Strategy) -> None:
    train, test = mean_signal(documents=200, classes=4).halves()
    tree = {"label-1": ("label-0",), "label-2": ("label-1",), "label-0": (), "label-3": ()}
    head = CascadeHead(tree=tree, strategy=strategy).fit(train.bags, train.y)
    assert head.score(test.bags, test.y) > 0.85


@pytest.mark.parametrize("strategy", ["parent", "node", "level"])
def test_a_warm_start_changes_no_solution_and_serves_a_fold_without_some_labels(strategy: Strategy) -> None:
    planted = tree_signal()
    rows = np.flatnonzero(planted.y != "sci.med")
    whole = CascadeHead(tree=planted.tree, strategy=strategy).fit(planted.bags, planted.y)
    cold = CascadeHead(tree=planted.tree, strategy=strategy).fit(planted.bags[rows], planted.y[rows])
    warm = CascadeHead(tree=planted.tree, strategy=strategy)
    warm.warm_start_from = whole
    warm.fit(planted.bags[rows], planted.y[rows])
    assert_same_scores(warm, cold, planted.bags)
    assert whole.logistic_.model_of(cold.problems_[0]) is not None


def test_small_nodes_have_the_shares_of_their_classes_and_one_note() -> None:
    X = np.eye(7, dtype=np.float32)
    y = ["x/a", "x/b", "x/b", "y/c", "y/c", "y/d", "y/d"]
    tree = {label: label.split("/")[:1] for label in set(y)}
    head = CascadeHead(tree=tree, min_documents=4, class_weight="none").fit(X, y)
    assert head.notes_ == (
        "Local classifiers with fewer than 4 documents (1 of 3) give their classes their share of these.",
    )
    probabilities = head.predict_proba(X)
    np.testing.assert_allclose(probabilities[:, 1], 2 * probabilities[:, 0], rtol=1e-5)
    assert probabilities[3, 2] > 1.1 * probabilities[3, 3]


def test_class_weights_are_of_labels_or_of_the_classes_of_each_classifier() -> None:
    X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    y = np.repeat(["x/a", "x/b", "x/c", "y/d"], [1, 1, 1, 9])
    tree = {label: [label[0]] for label in y}
    shares = {}
    for weights_of in ("labels", "classes"):
        head = CascadeHead(tree=tree, weights_of=weights_of, min_documents=13).fit(X, y)
        shares[weights_of] = head.predict_proba(X)[0].tolist()
    assert shares["labels"] == pytest.approx([1 / 4, 1 / 4, 1 / 4, 1 / 4])
    assert shares["classes"] == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_a_local_linear_head_of_all_documents_is_the_logistic_regression_without_one() -> None:
    planted = tree_signal()
    own = CascadeHead(tree=planted.tree, strategy="level", weights_of="classes").fit(planted.bags, planted.y)
    local = clone(own).set_params(local=LinearHead()).fit(planted.bags, planted.y)
    assert_same_scores(local, own, planted.bags)


def test_any_head_is_local_and_saved_with_its_hyperparameters(tmp_path: Path) -> None:
    train, test = tree_signal(documents=200).halves()
    local = MLPHead(hidden=16, training=training_of(lr=0.04, epochs=10, min_steps=60, device="cpu"))
    head = CascadeHead(tree=train.tree, local=local, strategy="level").fit(train.bags, train.y)
    assert head.score(test.bags, test.y) > 0.8
    assert local.get_params()["class_weight"] == "effective"
    head.save(tmp_path)
    loaded = CascadeHead.load(tmp_path)
    assert repr(loaded) == repr(head)
    np.testing.assert_array_equal(loaded.decision_function(test.bags), head.decision_function(test.bags))


def test_a_local_head_reads_its_own_views() -> None:
    planted = tree_signal()
    head = CascadeHead(tree=planted.tree, local=KNNHead(pooling=("max",)))
    assert head.reads == ("max",) == head.pooled_views(planted.bags)
    assert head.fit(planted.bags.select_views("max"), planted.y).reads == ("max",)


def test_small_nodes_have_no_local_head() -> None:
    planted = tree_signal(documents=30)
    head = CascadeHead(tree=planted.tree, local=KNNHead(), min_documents=15).fit(planted.bags, planted.y)
    fitted = [head.problems_[number].name for number in head.local_heads_.heads]  # the one with most documents first
    assert fitted == ["the top of the tree", "sci"]
    assert head.notes_ == (
        "Local classifiers with fewer than 15 documents (1 of 3) give their classes their share of these.",
    )


def test_class_weights_of_labels_reach_a_local_head_as_weights_of_its_classes() -> None:
    X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    y = np.repeat(["x/a", "x/b", "x/c", "y/d"], [1, 1, 1, 9])
    tree = {label: [label[0]] for label in y}
    head = CascadeHead(tree=tree, local=LinearHead(), weights_of="labels").fit(X, y)
    weights = head.local_heads_.heads[0].class_weight
    assert weights == pytest.approx({0: 1 / 3, 1: 3}) or weights == pytest.approx({0: 3, 1: 1 / 3})


def test_a_warm_start_reaches_the_local_heads() -> None:
    planted = tree_signal()
    whole = CascadeHead(tree=planted.tree, local=LinearHead()).fit(planted.bags, planted.y)
    warm = clone(whole)
    warm.warm_start_from = whole
    warm.fit(planted.bags, planted.y)
    assert warm.local_heads_.heads[0].warm_start_from is whole.local_heads_.heads[0]
    assert warm.local_heads_.heads[0].n_iter_ < whole.local_heads_.heads[0].n_iter_


def test_an_interrupted_local_network_resumes() -> None:
    planted = tree_signal(documents=40)
    head = CascadeHead(tree=planted.tree, local=MLPHead(training=training_of(epochs=1, min_steps=1, device="cpu")))
    head.checkpoint_folder = Path("unfinished")
    assert {local.checkpoint_folder for local in head.fit(planted.bags, planted.y).local_heads_.heads.values()} == {
        Path("unfinished")
    }


@pytest.mark.parametrize(
    ("local", "error", "message"),
    [
        (CascadeHead(), CallError, "cascade cannot be a local classifier. Choose a head that reads one layer"),
        (RidgeClassifier(), CallError, "RidgeClassifier cannot be a local classifier, because it has no predict_proba"),
        (LinearHead, CallError, "local is <class 'heads.classifiers.linear.LinearHead'>; it must be a head, or none."),
        (LinearHead(C=-1), CallError, "C is -1; it must be above 0."),
        (KNeighborsClassifier(), CallError, "KNeighborsClassifier knows no sample weights. Set class_weight to none."),
    ],
)
def test_what_cannot_be_local_is_refused(local: Any, error: type[Exception], message: str) -> None:
    planted = tree_signal(documents=42)
    with pytest.raises(error, match=re.escape(message)):
        CascadeHead(tree=planted.tree, local=local).fit(planted.bags, planted.y)


def test_a_local_classifier_that_refuses_a_small_node_says_how_to_leave_it_out() -> None:
    X, y = np.random.default_rng(0).normal(size=(14, 2)), ["a"] * 10 + ["b", "b", "c", "c"]
    head = CascadeHead(tree={"b": ["x"], "c": ["x"], "a": []}, local=KNeighborsClassifier(8), class_weight="none")
    head.fit(X, y)
    with pytest.raises(CallError, match=r"classifier of 'x' refuses its 4 documents: .* Set min_documents to 5 to"):
        head.set_params(local=_Refusing()).fit(X, y)
    assert set(head.set_params(min_documents=5).fit(X, y).predict(X)) <= {"a", "b", "c"}


class _Refusing(GaussianNB):
    def fit(self, X: Any, y: Any) -> Any:
        if len(y) < 5:
            raise ValueError("Too few documents.")
        return super().fit(X, y)


def test_a_classifier_of_scikit_learn_is_not_saved(tmp_path: Path) -> None:
    planted = tree_signal(documents=40)
    head = CascadeHead(tree=planted.tree, local=GaussianNB()).fit(planted.bags, planted.y)
    with pytest.raises(CallError, match=r"GaussianNB cannot be saved without pickle\. Use a head of embedonce"):
        head.save(tmp_path)
