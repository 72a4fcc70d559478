"""The linear head beside scikit-learn's own logistic regression, and what is its own."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data.errors import CallError
from featurestore import Bags
from heads.classifiers.linear import LinearHead
from heads.linear_models.ridge import fit_ridge
from heads.planted_signals import make_bags, mean_signal, multilabel_signal
from heads.testing import HeadContract
from tests.heads.planted import order_signal


class TestLinearKeepsTheContract(HeadContract):
    head = LinearHead()


class TestRidgeKeepsTheContract(HeadContract):
    head = LinearHead(kind="ridge")


def test_ridge_ranks_labels_as_scikit_learn_does() -> None:
    train, test = mean_signal().halves()
    head = LinearHead(kind="ridge", C=0.3, class_weight="none").fit(train.bags, train.y)
    plain = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1 / 0.3))
    known, asked = (side.bags.pooled(("cls", "segments", "max")).astype(float) for side in (train, test))
    margins = plain.fit(known, train.y).decision_function(asked)
    scores = head.decision_function(test.bags)
    factor = scores.std() / margins.std()
    np.testing.assert_allclose(scores, factor * margins, atol=1e-3)


def test_a_left_out_margin_is_that_of_a_ridge_without_the_document() -> None:
    rng = np.random.default_rng(0)
    standard, targets = rng.normal(size=(12, 3)), np.sign(rng.normal(size=(12, 2)))
    weight = np.where(np.arange(12) % 2, 2.0, 1.0)
    left_out = fit_ridge(standard, targets, weight, np.ones(12), C=0.5)[2]
    for row in (4, 5):
        rest = weight - (np.arange(12) == row)
        coefficients, intercepts, _ = fit_ridge(standard, targets, rest, np.zeros(12), C=0.5)
        np.testing.assert_allclose(left_out[row], coefficients @ standard[row] + intercepts)


def test_it_is_a_logistic_regression_on_standardised_pooled_features() -> None:
    train, test = mean_signal().halves()
    head = LinearHead(C=0.3, class_weight="none").fit(train.bags, train.y)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=300))
    known, asked = (side.bags.pooled(("cls", "segments", "max")).astype(float) for side in (train, test))
    plain.fit(known, train.y)
    np.testing.assert_allclose(head.predict_proba(test.bags), plain.predict_proba(asked), atol=1e-3)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    planted = mean_signal(chunks=(1, 1))
    planted = planted[
        np.concatenate([np.flatnonzero(planted.y == f"label-{code}")[:n] for code, n in enumerate((30, 10, 4))])
    ]
    X = planted.bags.pooled(("mean",)).astype(float)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced"))
    head = LinearHead(pooling=("mean",), C=0.1).fit(planted.bags, planted.y)
    np.testing.assert_allclose(head.predict_proba(planted.bags), plain.fit(X, planted.y).predict_proba(X), atol=1e-3)


def test_two_classes_have_opposite_scores() -> None:
    planted = mean_signal(classes=2)
    scores = LinearHead().fit(planted.bags, planted.y).decision_function(planted.bags)
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], atol=1e-6)


def test_it_reads_what_is_kept_or_what_it_is_told() -> None:
    planted = mean_signal()
    some = Bags({view: planted.bags.view(view) for view in ("max", "cls", "segments")})
    assert LinearHead().fit(some, planted.y).reads == ("cls", "segments", "max")
    few = Bags({view: planted.bags.view(view) for view in ("max", "mean")})
    assert LinearHead().fit(few, planted.y).reads == ("mean", "max")
    assert LinearHead(pooling=("max",)).fit(some, planted.y).reads == ("max",)


def test_a_plain_array_is_read_once_though_it_goes_by_three_names() -> None:
    planted = mean_signal(chunks=(1, 1))
    head = LinearHead().fit(planted.bags.pooled(("mean",)), planted.y)
    assert head.parameter_count_ == 3 * 6 + 3


def test_an_empty_pool_is_refused() -> None:
    planted = mean_signal()
    with pytest.raises(CallError, match=r"linear has an empty pool: name cls, mean, max or segments\."):
        LinearHead(pooling=()).fit(planted.bags, planted.y)


def test_the_order_of_chunks_is_chance_to_it() -> None:
    train, test = order_signal(documents=600).halves()
    # 300 coin tosses: 0.12 is four standard deviations
    assert LinearHead().fit(train.bags, train.y).score(test.bags, test.y) == pytest.approx(0.5, abs=0.12)


def test_a_fit_that_did_not_converge_is_a_note_and_no_warning() -> None:
    planted = mean_signal()
    head = LinearHead(C=1e4, max_iter=2).fit(planted.bags, planted.y)
    assert head.notes_ == ("linear stopped after 2 steps, before it converged. Raise max_iter, or lower C.",)
    assert LinearHead().fit(planted.bags, planted.y).notes_ == ()


def test_a_constant_feature_changes_nothing() -> None:
    planted = mean_signal(chunks=(1, 1))
    X = planted.bags.pooled(("mean",))
    constant = np.concatenate([X, np.full((len(X), 1), 0.1, dtype=np.float32)], axis=1)
    with_it, without = (LinearHead().fit(features, planted.y) for features in (constant, X))
    np.testing.assert_allclose(with_it.decision_function(constant), without.decision_function(X), atol=1e-5)


def test_features_far_from_zero_lose_no_precision() -> None:
    planted = mean_signal(chunks=(1, 1))
    X = planted.bags.pooled(("mean",)).astype(np.float64).round(3)
    near, far = (LinearHead().fit((X + shift), planted.y) for shift in (0, 100))
    np.testing.assert_allclose(far.decision_function(X + 100), near.decision_function(X), atol=2e-2)


def test_a_weight_a_label_that_names_no_label_is_noted() -> None:
    planted = mean_signal()
    head = LinearHead(class_weight={"label-0": 2.0, "labl-1": 2.0}).fit(planted.bags, planted.y)
    assert head.notes_ == ("class_weight names labl-1, which no training document has.",)


def test_several_labels_are_each_a_regression_of_their_own() -> None:
    planted = multilabel_signal()
    both = LinearHead().fit(planted.bags, planted.y)
    alone = LinearHead().fit(planted.bags, planted.y[:, [1]])
    np.testing.assert_allclose(
        both.decision_function(planted.bags)[:, 1], alone.decision_function(planted.bags)[:, 0], atol=1e-5
    )


def test_a_label_that_no_document_has_is_as_unlikely_as_half_a_document() -> None:
    y = np.array([[True, False], [False, False], [True, False]])
    head = LinearHead().fit(make_bags([np.eye(3)[[row]] for row in range(3)]), y)
    assert head.predict_proba(make_bags([np.ones((1, 3))]))[0, 1] == pytest.approx(0.5 / 4)


def test_parameters_of_every_kind_come_back_from_disk(tmp_path: Path) -> None:
    planted = mean_signal()
    head = LinearHead(pooling=("mean", "cls"), class_weight={"label-0": 2.0}).fit(planted.bags, planted.y)
    head.save(tmp_path)
    assert LinearHead.load(tmp_path).get_params() == head.get_params()
