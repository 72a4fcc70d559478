"""Many small logistic regressions on shared features have the solutions that each has alone."""

import numpy as np
import pytest
from scipy.special import log_softmax

from heads.linear_models.grouped import LocalProblem, fit_grouped_logistic
from heads.linear_models.logistic import Standardizer, fit_multinomial_logistic


def test_each_problem_of_a_group_has_the_solution_that_it_has_alone() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(1, 2, size=(300, 20)).astype(np.float32)
    standardizer = Standardizer.fit(features, np.ones(300))
    problems = []
    for documents, classes in [(300, 3), (5, 2), (60, 7), (3, 3), (30, 2)]:
        rows = np.sort(rng.choice(300, documents, replace=False))
        y = rng.permutation(np.arange(documents) % classes)
        problems.append(LocalProblem(rows, y, rng.uniform(0.2, 3, documents)))
    fits = fit_grouped_logistic(features, problems, 0.3, 300, standardizer=standardizer)
    for problem, (model, iterations) in zip(problems, fits, strict=True):
        alone, _ = fit_multinomial_logistic(
            features[problem.rows], problem.y, problem.weight, 0.3, 300, standardizer=standardizer
        )
        assert 1 < iterations < 300
        assert log_softmax(model.scores(features), axis=1) == pytest.approx(
            log_softmax(alone.scores(features), axis=1), abs=1e-3
        )
