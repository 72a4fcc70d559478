"""Logistic regressions that are solved together, compared with scikit-learn's, one per label."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from heads.linear_models import binary_logistic
from heads.linear_models.binary_logistic import fit_binary_logistic

DOCUMENTS, LABELS = 80, 7
Problem = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]  # features, labels, weights


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Features, labels from 40 documents to 1, and balanced weights; two labels can be told exactly."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(DOCUMENTS, 5))
    has_label = np.arange(DOCUMENTS)[:, None] < [40, 30, 20, 10, 4, 2, 1]
    has_label[:, 1:3] = features[:, 1:3] > 0.5
    positive = has_label.sum(axis=0)
    return features, has_label, np.where(has_label, 1 / positive, 1 / (DOCUMENTS - positive)) * DOCUMENTS / 2


@pytest.mark.parametrize("C", [0.05, 100.0])
def test_each_label_has_the_solution_of_scikit_learn(
    problem: Problem, C: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, has_label, weight = problem
    monkeypatch.setattr(binary_logistic, "GRADIENT_TOLERANCE", 1e-9)
    coefficients, intercepts, _ = fit_binary_logistic(features, has_label, weight, C, 1000)
    reference = LogisticRegression(C=C, tol=1e-9, max_iter=1000)
    for column in range(LABELS):
        reference.fit(features, has_label[:, column], sample_weight=weight[:, column])
        np.testing.assert_allclose(coefficients[column], reference.coef_[0], atol=1e-5)
        np.testing.assert_allclose(intercepts[column], reference.intercept_[0], atol=1e-5)


def test_the_usual_tolerance_moves_probabilities_by_less_than_a_fiftieth(
    problem: Problem,
) -> None:
    features, has_label, weight = problem
    coefficients, intercepts, _ = fit_binary_logistic(features, has_label, weight, 0.05, 300)
    probabilities = 1 / (1 + np.exp(-features @ coefficients.T - intercepts))
    reference = LogisticRegression(C=0.05, tol=1e-9, max_iter=1000)
    for column in range(LABELS):
        reference.fit(features, has_label[:, column], sample_weight=weight[:, column])
        np.testing.assert_allclose(probabilities[:, column], reference.predict_proba(features)[:, 1], atol=0.02)


def test_a_label_has_the_same_solution_whichever_labels_are_solved_with_it(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = fit_binary_logistic(*problem, 1.0, 300)
    monkeypatch.setattr(binary_logistic, "MAX_MARGINS", 3 * DOCUMENTS)
    in_blocks = fit_binary_logistic(*problem, 1.0, 300)
    np.testing.assert_allclose(together[0], in_blocks[0], atol=1e-7)
    np.testing.assert_allclose(together[1], in_blocks[1], atol=1e-7)


def test_sparse_features_have_the_solution_of_dense_ones(problem: Problem) -> None:
    features, has_label, weight = problem
    features = np.where(features > 0, features, 0.0)
    dense = fit_binary_logistic(features, has_label, weight, 1.0, 300)
    sparse = fit_binary_logistic(csr_array(features), has_label, weight, 1.0, 300)
    np.testing.assert_allclose(sparse[0], dense[0], atol=1e-7)


def test_the_number_of_iterations_says_whether_all_labels_converged(
    problem: Problem,
) -> None:
    assert fit_binary_logistic(*problem, 1e6, 3)[2] == 3
    assert fit_binary_logistic(*problem, 1.0, 300)[2] < 300


def test_features_of_any_scale_are_solved_without_a_warning(problem: Problem) -> None:
    features, has_label, weight = problem
    coefficients, _, _ = fit_binary_logistic(features * 1e4, has_label, weight, 1.0, 300)
    assert np.isfinite(coefficients).all()


def test_no_labels_have_an_empty_solution() -> None:
    coefficients, intercepts, iterations = fit_binary_logistic(
        np.ones((3, 2)), np.zeros((3, 0), dtype=bool), np.ones((3, 0)), 1.0, 300
    )
    assert (coefficients.shape, intercepts.shape, iterations) == ((0, 2), (0,), 0)
