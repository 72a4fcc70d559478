"""The linear head, compared with scikit-learn's logistic and ridge regression."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data.errors import CallError
from featurestore import Bags
from heads.classifiers.linear import LinearHead
from heads.linear_models.ridge import STRENGTHS, RidgeProblem
from heads.linear_models.standardizer import Standardizer
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
    reference = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1 / 0.3))
    X_train, X_test = (split.bags.pooled(("cls", "segments", "max")).astype(float) for split in (train, test))
    margins = reference.fit(X_train, train.y).decision_function(X_test)
    scores = head.decision_function(test.bags)
    factor = scores.std() / margins.std()
    np.testing.assert_allclose(scores, factor * margins, atol=1e-3)


def test_a_leave_one_out_margin_is_that_of_a_fit_without_the_document() -> None:
    rng = np.random.default_rng(0)
    standard, targets = rng.normal(size=(12, 3)), np.sign(rng.normal(size=(12, 2)))
    weight = np.where(np.arange(12) % 2, 2.0, 1.0)
    standardizer = Standardizer.fit(standard, weight)
    loo_margins = RidgeProblem.of(standard, standardizer, targets, weight, np.ones(12)).fit(C=0.5)[1]
    for row in (4, 5):
        rest = weight - (np.arange(12) == row)
        model, _ = RidgeProblem.of(standard, standardizer, targets, rest, np.zeros(12)).fit(C=0.5)
        np.testing.assert_allclose(loo_margins[row], model.scores(standard[[row]])[0])


@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
def test_leave_one_out_selects_the_penalty_of_scikit_learns_ridge_cv(scale: float) -> None:
    rng = np.random.default_rng(0)
    features, weight = rng.normal(size=(40, 8)), rng.uniform(0.5, 2, 40)
    targets = features @ rng.normal(size=(8, 3)) + scale * rng.normal(size=(40, 3))
    standardizer = Standardizer.fit(features, weight)
    problem = RidgeProblem.of(features, standardizer, targets, weight, weight)
    reference = RidgeCV([1 / C for C in STRENGTHS], store_cv_results=True)
    reference.fit(standardizer.transform(features), targets, sample_weight=weight)
    np.testing.assert_allclose(problem.loo_errors(STRENGTHS), reference.cv_results_.sum(axis=(0, 1)))
    assert problem.select_strength() == pytest.approx(1 / reference.alpha_)
    model, _ = problem.fit(problem.select_strength())
    np.testing.assert_allclose(model.scores(features), reference.predict(standardizer.transform(features)))


def test_ridge_with_leave_one_out_is_ridge_with_the_selected_strength() -> None:
    planted = mean_signal()
    selected = LinearHead(kind="ridge", C="loo").fit(planted.bags, planted.y)
    (note,) = selected.notes_
    match = re.fullmatch(r"linear selected C=(\S+) by leave-one-out on training documents\.", note)
    assert match
    C = min(STRENGTHS, key=lambda strength: abs(strength - float(match[1])))
    fixed = LinearHead(kind="ridge", C=C).fit(planted.bags, planted.y)
    np.testing.assert_array_equal(selected.decision_function(planted.bags), fixed.decision_function(planted.bags))


def test_each_label_of_a_multilabel_target_selects_its_own_strength() -> None:
    planted = multilabel_signal()
    y = np.column_stack([planted.y, np.random.default_rng(0).random(len(planted.y)) < 0.5])  # a label of pure noise
    (note,) = LinearHead(kind="ridge", C="loo").fit(planted.bags, y).notes_
    assert re.fullmatch(r"linear selected C=\S+ to \S+ by leave-one-out on training documents\.", note)


def test_leave_one_out_is_for_ridge_only() -> None:
    with pytest.raises(CallError, match=r"^C is loo, which is for kind=ridge only\. Give a number for logistic"):
        LinearHead(C="loo").fit(mean_signal().bags, mean_signal().y)


def test_it_is_a_logistic_regression_on_standardized_pooled_features() -> None:
    train, test = mean_signal().halves()
    head = LinearHead(C=0.3, class_weight="none").fit(train.bags, train.y)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=300))
    X_train, X_test = (split.bags.pooled(("cls", "segments", "max")).astype(float) for split in (train, test))
    reference.fit(X_train, train.y)
    np.testing.assert_allclose(head.predict_proba(test.bags), reference.predict_proba(X_test), atol=1e-3)


def test_balanced_weights_equal_scikit_learns() -> None:
    planted = mean_signal(chunks=(1, 1))
    planted = planted[
        np.concatenate([np.flatnonzero(planted.y == f"label-{code}")[:n] for code, n in enumerate((30, 10, 4))])
    ]
    X = planted.bags.pooled(("mean",)).astype(float)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced"))
    head = LinearHead(pooling=("mean",), C=0.1).fit(planted.bags, planted.y)
    expected = reference.fit(X, planted.y).predict_proba(X)
    np.testing.assert_allclose(head.predict_proba(planted.bags), expected, atol=1e-3)


def test_two_classes_have_opposite_scores() -> None:
    planted = mean_signal(classes=2)
    scores = LinearHead().fit(planted.bags, planted.y).decision_function(planted.bags)
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], atol=1e-6)


def fitted_without(warm_start: LinearHead | None, **options: Any) -> tuple[LinearHead, np.ndarray]:
    """The head of four fifths of the documents, and its probabilities of all."""
    planted, rows = mean_signal(), np.flatnonzero(np.arange(len(mean_signal().y)) % 5)
    head = LinearHead(**options)
    head.warm_start_from = warm_start
    head.fit(planted.bags[rows], planted.y[rows])
    return head, head.predict_proba(planted.bags)


@pytest.mark.parametrize("C", [0.05, 10.0])
def test_a_fit_that_starts_from_the_solution_of_more_documents_has_the_solution_of_one_that_starts_at_zero(
    C: float,
) -> None:
    whole = LinearHead(C=C).fit(mean_signal().bags, mean_signal().y)
    (cold, expected), (warm, actual) = (fitted_without(start, C=C) for start in (None, whole))
    np.testing.assert_allclose(actual, expected, atol=1e-3)
    assert warm.n_iter_ <= cold.n_iter_


def test_a_fit_that_does_not_converge_does_not_depend_on_its_start() -> None:
    whole = LinearHead().fit(mean_signal().bags, mean_signal().y)
    (_, expected), (_, actual) = (fitted_without(start, max_iter=2) for start in (None, whole))
    np.testing.assert_array_equal(actual, expected)


def test_a_start_with_other_labels_or_features_is_not_used() -> None:
    planted = mean_signal()
    few = LinearHead(pooling=("mean",)).fit(planted.bags, planted.y)
    other = LinearHead().fit(planted.bags, np.char.upper(planted.y.astype(str)))
    _, expected = fitted_without(None)
    for start in (few, other):
        np.testing.assert_array_equal(fitted_without(start)[1], expected)


def test_it_reads_the_stored_views_or_the_requested_ones() -> None:
    planted = mean_signal()
    some = Bags({view: planted.bags.view(view) for view in ("max", "cls", "segments")})
    assert LinearHead().fit(some, planted.y).reads == ("cls", "segments", "max")
    few = Bags({view: planted.bags.view(view) for view in ("max", "mean")})
    assert LinearHead().fit(few, planted.y).reads == ("mean", "max")
    assert LinearHead(pooling=("max",)).fit(some, planted.y).reads == ("max",)


def test_a_plain_array_is_read_once_although_it_has_three_view_names() -> None:
    planted = mean_signal(chunks=(1, 1))
    head = LinearHead().fit(planted.bags.pooled(("mean",)), planted.y)
    assert head.parameter_count_ == 3 * 6 + 3


def test_an_empty_pooling_is_refused() -> None:
    planted = mean_signal()
    with pytest.raises(CallError, match=r"^pooling of linear is empty\. Name at least one"):
        LinearHead(pooling=()).fit(planted.bags, planted.y)


def test_the_order_of_chunks_has_no_effect() -> None:
    train, test = order_signal(documents=600).halves()
    # 300 coin tosses: 0.12 is four standard deviations
    assert LinearHead().fit(train.bags, train.y).score(test.bags, test.y) == pytest.approx(0.5, abs=0.12)


def test_a_fit_that_did_not_converge_adds_a_note_and_no_warning() -> None:
    planted = mean_signal()
    head = LinearHead(C=1e4, max_iter=2).fit(planted.bags, planted.y)
    assert head.notes_ == ("linear did not converge in 2 iterations. Raise max_iter, or lower C.",)
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


def test_a_class_weight_of_an_unknown_label_adds_a_note() -> None:
    planted = mean_signal()
    head = LinearHead(class_weight={"label-0": 2.0, "labl-1": 2.0}).fit(planted.bags, planted.y)
    assert head.notes_ == ("class_weight names labl-1, which no training document has.",)


def test_each_label_of_a_multilabel_target_is_a_separate_regression() -> None:
    planted = multilabel_signal()
    both = LinearHead().fit(planted.bags, planted.y)
    alone = LinearHead().fit(planted.bags, planted.y[:, [1]])
    np.testing.assert_allclose(
        both.decision_function(planted.bags)[:, 1], alone.decision_function(planted.bags)[:, 0], atol=1e-5
    )


def test_a_label_without_documents_counts_as_half_a_document() -> None:
    y = np.array([[True, False], [False, False], [True, False]])
    head = LinearHead().fit(make_bags([np.eye(3)[[row]] for row in range(3)]), y)
    assert head.predict_proba(make_bags([np.ones((1, 3))]))[0, 1] == pytest.approx(0.5 / 4)


def test_hyperparameters_of_every_kind_round_trip_through_disk(tmp_path: Path) -> None:
    planted = mean_signal()
    head = LinearHead(pooling=("mean", "cls"), class_weight={"label-0": 2.0}).fit(planted.bags, planted.y)
    head.save(tmp_path)
    assert LinearHead.load(tmp_path).get_params() == head.get_params()
