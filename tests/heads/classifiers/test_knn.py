"""The knn head, compared with scikit-learn's nearest neighbors."""

from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from heads.classifiers import knn
from heads.classifiers.knn import KNNHead
from heads.planted_signals import make_bags, mean_signal
from heads.testing import HeadContract


class TestKNNKeepsTheContract(HeadContract):
    head = KNNHead()


@pytest.mark.parametrize("weighting", ["uniform", "similarity"])
def test_its_neighbors_are_those_of_scikit_learn(weighting: Any) -> None:
    train, test = mean_signal(documents=200).halves()
    head = KNNHead(k=7, weighting=weighting, temperature=0.3).fit(train.bags, train.y)
    X_train, X_test = (np.concatenate([half.bags.pooled((v,)) for v in head.reads], 1) for half in (train, test))
    mean, deviation = X_train.mean(0), X_train.std(0)
    X_train, X_test = (X_train - mean) / deviation, (X_test - mean) / deviation
    votes = {"uniform": "uniform", "similarity": lambda distance: np.exp((1 - distance) / 0.3)}
    reference = KNeighborsClassifier(7, metric="cosine", weights=votes[weighting]).fit(X_train, train.y)
    prior = np.array([np.mean(train.y == label) for label in head.classes_])
    expected = (7 * reference.predict_proba(X_test) + prior) / 8
    np.testing.assert_allclose(head.predict_proba(test.bags), expected, atol=1e-4)


def test_blocks_of_documents_score_like_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = mean_signal()
    head = KNNHead().fit(planted.bags, planted.y)
    whole = head.decision_function(planted.bags)
    monkeypatch.setattr(knn, "BLOCK_SIMILARITIES", 200)
    np.testing.assert_allclose(head.decision_function(planted.bags), whole, atol=1e-4)


def test_more_neighbors_than_documents_are_all_documents() -> None:
    bags = make_bags([np.array([[1.0, 0]]), np.array([[0.9, 0.2]]), np.array([[-1.0, 0]])])
    head = KNNHead(k=50, weighting="uniform").fit(bags, ["a", "a", "b"])
    np.testing.assert_allclose(head.predict_proba(bags), np.tile([2 / 3, 1 / 3], (3, 1)), atol=1e-6)


def test_documents_with_small_weights_use_more_neighbors_for_the_same_votes() -> None:
    planted = mean_signal(documents=200)
    shares = []
    for k, weight in ((20, 1.0), (2, 0.1)):  # the same twenty documents
        head = KNNHead(k=k).fit(planted.bags, planted.y, sample_weight=np.full(200, weight))
        # without the one vote of the prior
        shares.append(((k + 1) * head.predict_proba(planted.bags) - head.prior_) / k)
    np.testing.assert_allclose(shares[1], shares[0], atol=1e-5)


@pytest.mark.parametrize("multilabel", [False, True])
def test_documents_with_equal_vectors_share_their_votes(multilabel: bool) -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    vectors[20:] = vectors[:20]
    y: Any = np.array(["a", "b"]).repeat(20)
    head = KNNHead(k=1).fit(vectors, np.eye(2, dtype=bool)[(y == "b").astype(int)] if multilabel else y)
    np.testing.assert_allclose(head.predict_proba(vectors), 0.5, atol=1e-6)
    alone = [head.decision_function(vectors[[row]])[0] for row in range(40)]
    np.testing.assert_allclose(alone, head.decision_function(vectors), atol=1e-5)
