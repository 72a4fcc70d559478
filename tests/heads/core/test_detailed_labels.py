"""Detailed labels as a teacher of heads that score coarse ones."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from data.errors import CallError
from heads.classifiers.attention import AttentionHead
from heads.classifiers.cascade import CascadeHead
from heads.classifiers.hierarchical import HierarchicalHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.mlp import MLPHead
from heads.classifiers.supcon import SupConHead
from heads.core.detailed_labels import sum_scores
from heads.core.head import Head
from heads.planted_signals import Planted, make_bags, multilabel_signal
from heads.testing import training_of
from tests.heads.planted import QUICK, tree_signal

TREE = tree_signal(documents=1).tree
LEARNERS = {
    "mlp": MLPHead(hidden=16, training=QUICK),
    "attention": AttentionHead(hidden=16, gate=4, training=QUICK),
    "hierarchical": HierarchicalHead(tree=TREE, hidden=16, training=QUICK),
    "cascade": CascadeHead(tree=TREE),
    "supcon": SupConHead(tree=TREE, hidden=16, projection_dim=8, steps=20, lr=0.02, device="cpu"),
}


def coarse_labels(planted: Planted) -> NDArray[np.object_]:
    return np.array([label.split(".")[0] for label in planted.y], dtype=object)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_head_that_learned_detailed_labels_scores_the_coarse_ones(name: str, tmp_path: Path) -> None:
    train, test = tree_signal(documents=200).halves()
    head: Head = LEARNERS[name].fit(train.bags, coarse_labels(train), detailed=train.y)
    assert head.classes_.tolist() == ["rec", "sci"]
    assert head.decision_function(test.bags).shape == (100, 2)
    assert head.score(test.bags, coarse_labels(test)) > 0.9
    assert f"{name} also learned from 5 detailed labels." in head.notes_
    head.save(tmp_path)
    loaded = type(head).load(tmp_path)
    np.testing.assert_array_equal(loaded.decision_function(test.bags), head.decision_function(test.bags))


def test_a_head_that_cannot_use_them_learns_the_coarse_labels_and_says_so() -> None:
    planted = tree_signal()
    coarse = coarse_labels(planted)
    head, alone = (LinearHead().fit(planted.bags, coarse, detailed=detailed) for detailed in (planted.y, None))
    assert head.notes_ == ("linear learned the scored labels alone, without the detailed ones.",)
    np.testing.assert_array_equal(head.decision_function(planted.bags), alone.decision_function(planted.bags))


def test_a_cascade_sums_the_probabilities_of_the_detailed_labels() -> None:
    planted = tree_signal()
    coarse = CascadeHead(tree=TREE).fit(planted.bags, coarse_labels(planted), detailed=planted.y)
    detailed = CascadeHead(tree=TREE).fit(planted.bags, planted.y)
    is_rec = np.array([label.startswith("rec") for label in detailed.classes_])
    expected = detailed.predict_proba(planted.bags)[:, is_rec].sum(axis=1)
    np.testing.assert_allclose(coarse.predict_proba(planted.bags)[:, 0], expected, atol=1e-6)


def test_a_head_that_is_fitted_again_without_detail_forgets_it() -> None:
    planted = tree_signal()
    coarse, head = coarse_labels(planted), CascadeHead(first="rec")
    head.fit(planted.bags, coarse, detailed=planted.y).fit(planted.bags, coarse)
    again = CascadeHead(first="rec").fit(planted.bags, coarse)
    np.testing.assert_array_equal(head.decision_function(planted.bags), again.decision_function(planted.bags))


def test_a_weight_of_zero_for_the_detailed_labels_leaves_the_accuracy_of_coarse_ones() -> None:
    planted = tree_signal()
    head = MLPHead(hidden=16, detail_weight=0.0, training=QUICK)
    assert (
        head.fit(planted.bags, coarse_labels(planted), detailed=planted.y).score(planted.bags, coarse_labels(planted))
        > 0.9
    )


def test_documents_of_weight_zero_teach_nothing() -> None:
    planted = tree_signal()
    coarse, weight = coarse_labels(planted), np.where(np.arange(len(planted)) % 4 == 0, 0.0, 1.0)
    kept = np.flatnonzero(weight)
    head = CascadeHead(tree=TREE).fit(planted.bags, coarse, weight, detailed=planted.y)
    without = CascadeHead(tree=TREE).fit(planted.bags[kept], coarse[kept], detailed=planted.y[kept])
    np.testing.assert_array_equal(head.decision_function(planted.bags), without.decision_function(planted.bags))


def test_class_weights_of_coarse_labels_are_those_of_the_detailed_labels_below() -> None:
    planted = tree_signal()
    head = CascadeHead(tree=TREE, class_weight={"rec": 3.0})
    head.fit(planted.bags, coarse_labels(planted), detailed=planted.y)
    assert head.detailed_head_ is not None
    weights = head.detailed_head_.class_weight
    assert isinstance(weights, dict)
    assert (weights["rec.autos"], weights["sci.med"]) == (3.0, 1.0)


def test_a_detailed_label_of_two_coarse_ones_is_refused() -> None:
    planted = tree_signal()
    coarse = coarse_labels(planted)
    coarse[np.flatnonzero(planted.y == "sci.med")[0]] = "rec"
    with pytest.raises(CallError, match=r"The detailed label 'sci\.med' occurs with '(rec|sci)' and with '(rec|sci)'"):
        MLPHead().fit(planted.bags, coarse, detailed=planted.y)


def test_multilabel_networks_learn_further_labels() -> None:
    planted = multilabel_signal()
    head = MLPHead(hidden=16, training=training_of(epochs=2, min_steps=10))
    head.fit(planted.bags, planted.y[:, :1], detailed=planted.y)
    assert head.decision_function(planted.bags).shape == (len(planted), 1)


def test_a_sum_of_probabilities_is_that_of_their_logarithms() -> None:
    scores = np.log([[0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(np.exp(sum_scores(scores, np.array([1, 0, 1, 0]), 2)), [[0.6, 0.4]])


def test_a_coarse_task_is_taught_by_detailed_labels() -> None:
    # eight groups on a circle belong to two labels by turns, so that no direction separates these
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.arange(500) % 8)
    vectors = 0.7 * rng.normal(size=(500, 1, 6))
    vectors[:, 0, 0] += 4 * np.cos(codes * np.pi / 4)
    vectors[:, 0, 1] += 4 * np.sin(codes * np.pi / 4)
    bags, coarse = make_bags(list(vectors)), np.array(["even", "odd"], dtype=object)[codes % 2]
    train, test = np.arange(160), np.arange(160, 500)
    training = training_of(lr=0.02, epochs=8, min_steps=20, device="cpu")
    head = MLPHead(hidden=32, dropout=0.0, detail_weight=0.5, training=training)
    alone = clone(head).fit(bags[train], coarse[train]).score(bags[test], coarse[test])
    taught = clone(head).fit(bags[train], coarse[train], detailed=codes[train]).score(bags[test], coarse[test])
    assert taught > alone + 0.1
