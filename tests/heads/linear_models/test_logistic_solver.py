"""Our logistic regressions, compared with scikit-learn's in float64 at a tight tolerance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from heads.linear_models import logistic_loss, logistic_solver
from heads.linear_models.logistic import LinearModel, fit_multinomial_logistic
from heads.linear_models.logistic_solver import Solution, minimize_logistic_loss
from heads.linear_models.standardizer import Standardizer

DOCUMENTS, LABELS = 80, 7


@dataclass(frozen=True)
class Problem:
    """Features, targets and weights."""

    features: NDArray[Any]
    y: NDArray[Any]
    weight: NDArray[np.float64]

    def solve(self, C: float = 1.0, tolerance: float = 1e-9, **options: Any) -> Solution:
        """Our solution, of the features as they are."""
        return minimize_logistic_loss(
            self.features, self.y, self.weight, C, max_iter=1000, tolerance=tolerance, **options
        )

    def reference(self, C: float = 1.0, label: int | None = None) -> LogisticRegression:
        """scikit-learn's solution of the same problem, or of the one of a label."""
        y, weight = (self.y, self.weight) if label is None else (self.y[:, label], self.weight[:, label])
        model = LogisticRegression(C=C, tol=1e-10, max_iter=10_000)
        return model.fit(np.asarray(self.features, dtype=np.float64), y, sample_weight=weight)

    def with_features(self, features: NDArray[Any]) -> "Problem":
        """The same labels of other features."""
        return Problem(features, self.y, self.weight)


def labels_of_their_own() -> Problem:
    """Binary problems from 40 documents with the label to 1, balanced weights; two labels can be told exactly."""
    features = np.random.default_rng(0).normal(size=(DOCUMENTS, 5))
    has_label = np.arange(DOCUMENTS)[:, None] < [40, 30, 20, 10, 4, 2, 1]
    has_label[:, 1:3] = features[:, 1:3] > 0.5
    positive = has_label.sum(axis=0)
    weight = np.where(has_label, 1 / positive, 1 / (DOCUMENTS - positive)) * DOCUMENTS / 2
    return Problem(features.astype(np.float32), has_label, weight)


def collinear_classes(seed: int = 0, *, separable: bool = False) -> Problem:
    """Four unbalanced classes with weights, and strongly correlated features, one of them constant."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(4), [60, 30, 8, 2])
    mixing = rng.normal(size=(3, 12)) @ np.diag(3.0 ** -np.arange(12))
    features = rng.normal(size=(100, 3)) @ mixing + 0.05 * rng.normal(size=(100, 12)) + np.eye(4, 12)[y]
    features[:, 5], features[:, 6] = 0.25, features[:, 7]
    return Problem((features + 9 * separable * np.eye(4, 12)[y]).astype(np.float32), y, rng.uniform(0.2, 3, 100))


@pytest.mark.parametrize("C", [1e-6, 0.05, 100.0])
def test_each_label_has_the_solution_of_scikit_learn(C: float) -> None:
    problem = labels_of_their_own()
    solution = problem.solve(C)
    for label in range(LABELS):
        reference = problem.reference(C, label)
        ours = expit(problem.features @ solution.coefficients[label] + solution.intercepts[label])
        np.testing.assert_allclose(ours, reference.predict_proba(problem.features)[:, 1], atol=1e-4)


@pytest.mark.parametrize("C", [0.05, 1.0, 100.0])
def test_the_usual_tolerance_moves_the_probabilities_of_rare_labels_by_less_than_three_thousandths(C: float) -> None:
    problem = labels_of_their_own()
    solution = problem.solve(C, tolerance=logistic_solver.TOLERANCE)
    for label in range(LABELS):
        ours = expit(problem.features @ solution.coefficients[label] + solution.intercepts[label])
        expected = problem.reference(C, label).predict_proba(problem.features)[:, 1]
        np.testing.assert_allclose(ours, expected, atol=3e-3)


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("C", [1e-6, 0.05, 100.0])
def test_unbalanced_collinear_classes_have_the_probabilities_of_scikit_learn(C: float, separable: bool) -> None:
    problem = collinear_classes(separable=separable)
    solution = problem.solve(C)
    expected = problem.reference(C).predict_proba(problem.features)
    np.testing.assert_allclose(_probabilities(problem, solution), expected, atol=1e-4)


def test_two_classes_have_opposite_coefficients_and_the_probabilities_of_scikit_learn() -> None:
    classes = collinear_classes()
    problem = Problem(classes.features, (classes.y > 0).astype(int), classes.weight)
    standardizer = Standardizer(np.zeros(12), np.ones(12))
    model, _ = fit_multinomial_logistic(
        problem.features, problem.y, problem.weight, 1.0, 1000, standardizer=standardizer
    )
    np.testing.assert_array_equal(model.coefficients[0], -model.coefficients[1])
    expected = problem.reference().predict_proba(problem.features)
    np.testing.assert_allclose(softmax(model.scores(problem.features), axis=1), expected, atol=3e-3)


@pytest.mark.parametrize("problem", [collinear_classes(), labels_of_their_own()], ids=["multinomial", "binary"])
def test_the_loss_exceeds_the_optimum_by_at_most_the_tolerance(problem: Problem) -> None:
    best = _loss(problem, problem.solve(0.5))
    for tolerance in (1e-1, 1e-2, 1e-4):
        assert (_loss(problem, problem.solve(0.5, tolerance)) <= best * (1 + tolerance)).all()


def test_standardization_is_folded_into_the_solution() -> None:
    problem = collinear_classes()
    standardizer = Standardizer.fit(problem.features, problem.weight)
    ours = problem.solve(0.3, standardizer=standardizer)
    standard = problem.with_features(standardizer.transform(problem.features))
    np.testing.assert_allclose(_probabilities(problem, ours), _probabilities(standard, standard.solve(0.3)), atol=1e-4)


def test_a_mean_far_from_zero_loses_no_digits() -> None:
    problem = collinear_classes()
    steps = problem.with_features(np.round(problem.features * 64) / 64)
    far = steps.with_features((steps.features + 4096).astype(np.float32))
    near_solution, far_solution = (
        each.solve(standardizer=Standardizer.fit(each.features, each.weight)) for each in (steps, far)
    )
    np.testing.assert_allclose(_probabilities(far, far_solution), _probabilities(steps, near_solution), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_features_of_other_types_have_the_solution_of_the_same_numbers_in_float32(dtype: Any) -> None:
    problem = collinear_classes()
    rounded = problem.with_features(problem.features.astype(np.float16).astype(np.float32))
    stored = problem.with_features(rounded.features.astype(dtype))
    np.testing.assert_allclose(
        _probabilities(stored, stored.solve()), _probabilities(rounded, rounded.solve()), atol=1e-4
    )


@pytest.mark.parametrize("problem", [collinear_classes(), labels_of_their_own()], ids=["multinomial", "binary"])
def test_sparse_features_have_the_solution_of_dense_ones(problem: Problem) -> None:
    problem = problem.with_features(np.where(problem.features > 0, problem.features, 0))
    sparse = problem.with_features(csr_matrix(problem.features))
    np.testing.assert_allclose(
        _probabilities(problem, sparse.solve()), _probabilities(problem, problem.solve()), atol=1e-4
    )


@pytest.mark.parametrize("problem", [collinear_classes(), labels_of_their_own()], ids=["multinomial", "binary"])
def test_a_fit_from_the_solution_of_other_documents_has_the_solution_of_a_fit_from_zero(problem: Problem) -> None:
    rows = np.flatnonzero(np.arange(len(problem.y)) % 5 != 1)
    fold = Problem(problem.features[rows], problem.y[rows], problem.weight[rows])
    whole = problem.solve()
    cold, warm = fold.solve(tolerance=1e-8), fold.solve(tolerance=1e-8, start=(whole.coefficients, whole.intercepts))
    np.testing.assert_allclose(_probabilities(problem, warm), _probabilities(problem, cold), atol=1e-4)


@pytest.mark.parametrize("problem", [collinear_classes(), labels_of_their_own()], ids=["multinomial", "binary"])
def test_a_start_that_is_worse_than_zero_is_not_used(problem: Problem) -> None:
    cold = problem.solve(tolerance=1e-5)
    warm = problem.solve(tolerance=1e-5, start=(1e9 * (1 + cold.coefficients), cold.intercepts))
    np.testing.assert_allclose(warm.coefficients, cold.coefficients, atol=1e-9)


def test_a_fit_from_its_own_solution_needs_one_pass() -> None:
    problem = collinear_classes()
    solution = problem.solve(tolerance=1e-7)
    assert problem.solve(tolerance=1e-5, start=(solution.coefficients, solution.intercepts)).iterations == 1


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_changes_no_probability_by_a_thousandth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8))
    y = (features + 2 * rng.normal(size=(300, 8)))[:, :4].argmax(axis=1)
    problem = Problem(features.astype(np.float32), y, rng.uniform(0.2, 3, 300))
    order = np.random.default_rng(seed).permutation(len(problem.y))
    other = Problem(problem.features[order], problem.y[order], problem.weight[order])
    ours, theirs = (each.solve(tolerance=logistic_solver.TOLERANCE) for each in (problem, other))
    np.testing.assert_allclose(_probabilities(problem, theirs), _probabilities(problem, ours), atol=1e-3)


def test_the_same_rows_have_bitwise_the_same_solution() -> None:
    first, second = (collinear_classes().solve(tolerance=1e-5) for _ in range(2))
    np.testing.assert_array_equal(first.coefficients, second.coefficients)


def test_blocks_of_documents_have_the_solution_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = collinear_classes()
    whole = problem.solve()
    monkeypatch.setattr(logistic_loss, "BLOCK", 7)
    np.testing.assert_allclose(_probabilities(problem, problem.solve()), _probabilities(problem, whole), atol=1e-4)


def test_a_label_has_the_same_solution_whichever_labels_are_solved_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = labels_of_their_own()
    together = problem.solve()
    monkeypatch.setattr(logistic_solver, "MAX_HISTORY", 1)
    np.testing.assert_allclose(problem.solve().coefficients, together.coefficients, atol=1e-4)


@pytest.mark.parametrize("problem", [collinear_classes(), labels_of_their_own()], ids=["multinomial", "binary"])
def test_the_number_of_iterations_says_whether_all_problems_converged(problem: Problem) -> None:
    options = (problem.features, problem.y, problem.weight, 1e6)
    assert minimize_logistic_loss(*options, max_iter=3).iterations == 3
    assert minimize_logistic_loss(*options, max_iter=1000).iterations < 1000


def test_features_of_any_scale_are_solved_without_a_warning() -> None:
    problem = labels_of_their_own()
    assert np.isfinite(problem.with_features(problem.features * 1e4).solve(tolerance=1e-5).coefficients).all()


def test_no_labels_have_an_empty_solution() -> None:
    solution = Problem(np.ones((3, 2), np.float32), np.zeros((3, 0), dtype=bool), np.ones((3, 0))).solve()
    assert (solution.coefficients.shape, solution.intercepts.shape, solution.iterations) == ((0, 2), (0,), 0)


def _probabilities(problem: Problem, solution: Solution) -> NDArray[np.float64]:
    scores = LinearModel(solution.coefficients, solution.intercepts).scores(np.asarray(problem.features))
    return np.asarray(softmax(scores, axis=1) if problem.y.ndim == 1 else expit(scores))


def _loss(problem: Problem, solution: Solution, C: float = 0.5) -> NDArray[np.float64]:
    scores = LinearModel(solution.coefficients, solution.intercepts).scores(problem.features)
    size = np.square(solution.coefficients).sum(axis=1) / (2 * C)
    if problem.y.ndim == 2:
        losses = np.logaddexp(0, np.where(problem.y, -scores, scores))
        return np.asarray((problem.weight * losses).sum(axis=0) + size)
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(scores)), problem.y]
    return np.asarray(problem.weight @ losses + size.sum())
