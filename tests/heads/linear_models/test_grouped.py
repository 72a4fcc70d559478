"""Many small logistic regressions on shared features have the solutions that each has alone."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax

from heads.linear_models import grouped
from heads.linear_models.grouped import LocalProblem, fit_grouped_logistic
from heads.linear_models.logistic import LinearModel, fit_multinomial_logistic
from heads.linear_models.standardizer import Standardizer

DOCUMENTS, C = 300, 0.3
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(1, 2, size=(DOCUMENTS, 40)).astype(np.float32)
FEATURES[7] = FEATURES[8]  # the Gram matrix of a problem with both has not full rank
FEATURES[:, 3] = 0.25
STANDARDIZER = Standardizer.fit(FEATURES, np.ones(DOCUMENTS))


def make_problem(documents: int, classes: int) -> LocalProblem:
    """Random documents, among them the equal ones, with random classes and weights."""
    others = RNG.choice(np.setdiff1d(np.arange(DOCUMENTS), [7, 8]), documents - 2, replace=False)
    y = RNG.permutation(np.arange(documents) % classes)
    return LocalProblem(np.sort([7, 8, *others]), y, RNG.uniform(0.2, 3, documents))


PROBLEMS = [make_problem(*size) for size in [(300, 3), (5, 2), (60, 7), (3, 3), (8, 4), (9, 3), (30, 2), (10, 2)]]


def fit(problems: list[LocalProblem], max_iter: int = 300) -> list[tuple[LinearModel, int]]:
    """The fits of problems on FEATURES."""
    return fit_grouped_logistic(FEATURES, problems, C, max_iter, standardizer=STANDARDIZER)


def log_probabilities(model: LinearModel) -> NDArray[np.float64]:
    """Of all documents; a constant that all scores have in common is arbitrary."""
    return np.asarray(log_softmax(model.scores(FEATURES), axis=1))


@pytest.mark.parametrize(("name", "value"), [("MANY", 4), ("MANY", 1), ("SMALL", 0), ("LARGE", 1000), ("MEMORY", 1)])
def test_each_problem_of_a_group_has_the_solution_that_it_has_alone(
    name: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouped, name, value)
    for problem, (model, iterations) in zip(PROBLEMS, fit(PROBLEMS), strict=True):
        alone, _ = fit_multinomial_logistic(
            FEATURES[problem.rows], problem.y, problem.weight, C, 300, standardizer=STANDARDIZER
        )
        assert 1 < iterations < 60
        assert log_probabilities(model) == pytest.approx(log_probabilities(alone), abs=0.02 if value == 0 else 3e-3)


def test_a_group_that_starts_from_its_solutions_is_done_at_once() -> None:
    fits = fit(PROBLEMS)
    started = [replace(problem, start=model) for problem, (model, _) in zip(PROBLEMS, fits, strict=True)]
    for (model, iterations), (again, few) in zip(fits, fit(started), strict=True):
        assert few <= 3 < iterations
        assert log_probabilities(again) == pytest.approx(log_probabilities(model), abs=1e-3)


def test_a_problem_that_does_not_converge_does_not_depend_on_its_start() -> None:
    problem = PROBLEMS[2]
    far = LinearModel(np.full((7, 40), 5.0) * np.eye(7, 40), np.zeros(7))
    cold, iterations = fit([problem], max_iter=5)[0]
    warm, _ = fit([replace(problem, start=far)], max_iter=5)[0]
    assert iterations == 5
    assert warm.coefficients == pytest.approx(cold.coefficients)


def test_the_solution_of_a_problem_does_not_depend_on_the_others() -> None:
    for number, problem in enumerate(PROBLEMS):
        (alone, _), (together, _) = fit([problem])[0], fit(PROBLEMS)[number]
        assert log_probabilities(alone) == pytest.approx(log_probabilities(together), abs=1e-6)
