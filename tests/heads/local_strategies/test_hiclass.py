"""The decisions of HiClass, from top to bottom, with the same local classifier of scikit-learn."""

from typing import Any, get_args

import numpy as np
import pytest
from hiclass import LocalClassifierPerLevel, LocalClassifierPerNode, LocalClassifierPerParentNode
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from heads.classifiers.cascade import CascadeHead
from heads.local_strategies.problems import Policy, Strategy

Documents = tuple[NDArray[np.float32], NDArray[Any]]
# far below the tolerance of its default, because the order of classes and of rows changes where its solver stops
LOGISTIC = LogisticRegression(C=0.5, tol=1e-9, max_iter=3000)
THEIRS = {"parent": LocalClassifierPerParentNode, "level": LocalClassifierPerLevel, "node": LocalClassifierPerNode}


def random_documents(seed: int, documents: int = 150, nodes: int = 14) -> Documents:
    """Labels are paths to the leaves of a random tree, at any depth; vectors are noise around a mean of the label."""
    rng = np.random.default_rng(seed)
    paths = ["n0", "n1"]
    for node in range(2, nodes):
        paths.append(f"{rng.choice(paths)}/n{node}")
    leaves = [path for path in paths if not any(other.startswith(f"{path}/") for other in paths)]
    y = rng.permutation(np.resize(leaves, documents)).astype(object)
    means = rng.normal(size=(len(leaves), 4))
    X = means[[leaves.index(label) for label in y]] + rng.normal(size=(documents, 4))
    return X.astype(np.float32), y


def greedy(head: CascadeHead, X: NDArray[np.float32]) -> list[str]:
    """From the top to a label, at each node to its most probable child."""
    labels = tuple(head.classes_)
    hierarchy = Hierarchy.of(Taxonomy.from_separator(labels, "/"), labels)
    probabilities = hierarchy.node_probabilities(np.exp(head.decision_function(X).astype(np.float64)))
    predicted = []
    for row in probabilities:
        node, below = -1, hierarchy.top
        while below:
            node = max(below, key=row.__getitem__)
            below = hierarchy.children[node]
        predicted.append(hierarchy.names[node])
    return predicted


def agrees(strategy: Strategy, local: Any, documents: Documents, **options: Any) -> bool:
    X, y = documents
    tree = Taxonomy.from_separator(set(y), "/").to_json()
    head = CascadeHead(tree=tree, strategy=strategy, local=local, class_weight="none", **options).fit(X, y)
    policy = {"binary_policy": options["policy"]} if options else {}
    depth = max(label.count("/") for label in y)
    levels = [(label + "/" * (depth - label.count("/"))).split("/") for label in y]
    theirs = THEIRS[strategy](local_classifier=local, **policy).fit(X, np.array(levels))
    predicted = ["/".join(filter(None, path)) for path in theirs.predict(X)]
    return greedy(head, X) == predicted


@pytest.mark.parametrize("strategy", ["parent", "level"])
@pytest.mark.parametrize("seed", range(3))
def test_predictions_per_parent_and_per_level_are_those_of_hiclass(strategy: Strategy, seed: int) -> None:
    assert agrees(strategy, GaussianNB(), random_documents(seed))


@pytest.mark.parametrize("policy", get_args(Policy))
def test_predictions_per_node_are_those_of_hiclass(policy: Policy) -> None:
    assert agrees("node", GaussianNB(), random_documents(3), policy=policy)


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_predictions_with_logistic_regression_are_those_of_hiclass(strategy: Strategy) -> None:
    assert agrees(strategy, LOGISTIC, random_documents(4, documents=80, nodes=9))
