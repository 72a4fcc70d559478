"""Many multinomial logistic regressions on the same features: the nodes of a hierarchy, each on its own documents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.linear_models.logistic import LinearModel, Standardizer, fit_multinomial_logistic

__all__ = ["LocalProblem", "fit_grouped_logistic"]


@dataclass(frozen=True, eq=False)
class LocalProblem:
    """One problem of a group: some documents and a class for each.

    rows: int64 (documents of the problem,), rows of the features of all problems, in increasing order.
    y: int64 (documents of the problem,), codes from 0 of which each occurs; at least two.
    weight: float64 (documents of the problem,), above 0.
    start: the model of similar documents with the same classes, which saves iterations; None starts at zero.
    """

    rows: NDArray[np.int64]
    y: NDArray[np.int64]
    weight: NDArray[np.float64]
    start: LinearModel | None = None


def fit_grouped_logistic(
    features: NDArray[np.float32],
    problems: Sequence[LocalProblem],
    C: float,
    max_iter: int,
    *,
    standardizer: Standardizer,
) -> list[tuple[LinearModel, int]]:
    """Fit each problem as `fit_multinomial_logistic` does: the models and the numbers of iterations are the same.

    Args:
        features: (documents, dims), shared by all problems.
        problems: the problems; their documents may overlap.
        C: inverse of the regularization strength of every problem.
        max_iter: highest number of iterations of a problem.
        standardizer: of the features of all documents.

    Returns:
        For each problem its model of raw features and its number of iterations, which is below `max_iter` if it
        converged.
    """
    return [_fit(features, problem, C, max_iter, standardizer) for problem in problems]


def _fit(
    features: NDArray[np.float32], problem: LocalProblem, C: float, max_iter: int, standardizer: Standardizer
) -> tuple[LinearModel, int]:
    # no copy of all features for a problem of all documents
    below = features if len(problem.rows) == len(features) else features[problem.rows]
    for start in [problem.start, None]:
        model, iterations = fit_multinomial_logistic(
            below, problem.y, problem.weight, C, max_iter, standardizer=standardizer, start=start
        )
        if iterations < max_iter or problem.start is None:  # else it would depend on its start
            break
    return model, iterations
