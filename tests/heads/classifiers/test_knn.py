"""The knn head asks the nearest training documents."""

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
def test_its_neighbours_are_those_of_scikit_learn(weighting: Any) -> None:
    train, test = mean_signal(documents=200).halves()
    head = KNNHead(k=7, weighting=weighting, temperature=0.3).fit(train.bags, train.y)
    known, asked = (np.concatenate([side.bags.pooled((view,)) for view in head.reads], 1) for side in (train, test))
    known, asked = (known - known.mean(0)) / known.std(0), (asked - known.mean(0)) / known.std(0)
    votes = {"uniform": "uniform", "similarity": lambda distance: np.exp((1 - distance) / 0.3)}
    plain = KNeighborsClassifier(7, metric="cosine", weights=votes[weighting]).fit(known, train.y)
    shares = (7 * plain.predict_proba(asked) + np.array([np.mean(train.y == c) for c in head.classes_])) / 8
    np.testing.assert_allclose(head.predict_proba(test.bags), shares, atol=1e-4)


def test_blocks_of_documents_are_no_other_than_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = mean_signal()
    head = KNNHead().fit(planted.bags, planted.y)
    whole = head.decision_function(planted.bags)
    monkeypatch.setattr(knn, "SIMILARITIES", 200)
    np.testing.assert_allclose(head.decision_function(planted.bags), whole, atol=1e-4)


def test_more_neighbours_than_documents_are_all_documents() -> None:
    bags = make_bags([np.array([[1.0, 0]]), np.array([[0.9, 0.2]]), np.array([[-1.0, 0]])])
    head = KNNHead(k=50, weighting="uniform").fit(bags, ["a", "a", "b"])
    np.testing.assert_allclose(head.predict_proba(bags), np.tile([2 / 3, 1 / 3], (3, 1)), atol=1e-6)


def test_documents_of_little_weight_take_as_many_neighbours_as_fill_the_places() -> None:
    planted = mean_signal(documents=200)
    shares = []
    for k, weight in ((20, 1.0), (2, 0.1)):  # the same twenty documents
        head = KNNHead(k=k).fit(planted.bags, planted.y, sample_weight=np.full(200, weight))
        shares.append(((k + 1) * head.predict_proba(planted.bags) - head.prior_) / k)  # without the prior's one vote
    np.testing.assert_allclose(shares[1], shares[0], atol=1e-5)
