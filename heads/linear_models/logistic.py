"""Logistic regression on standardized vectors, which `linear` fits once and `cascade` at every node.

Minimizes  sum_i w_i loss_i + |coefficients|^2 / (2 C)  over standardized features (weighted mean 0 and standard
deviation 1 over the training documents); intercepts are not penalized. These are the problems of scikit-learn's
LogisticRegression. How they are solved is in logistic_solver.py.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.core.inputs import Examples
from heads.core.pooled_head import constant_logits
from heads.linear_models.logistic_solver import TOLERANCE, Solution, minimize_logistic_loss
from heads.linear_models.standardizer import Standardizer

__all__ = ["LinearModel", "fit_logistic_regression", "fit_multinomial_logistic"]

SCORED = 8192  # documents scored at a time, so that their float64 copy stays small
# numbers in the features of a small problem, which is solved in float64 and to a smaller tolerance: that costs little,
# and a weight of two equals two copies of a document, although the copies make another preconditioner
SMALL, SMALL_TOLERANCE = 2**20, 1e-11


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Scores that are linear in raw features: coefficients float64 (labels, dims), intercepts float64 (labels,)."""

    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    @classmethod
    def from_standardized(
        cls, coefficients: NDArray[np.float64], intercepts: NDArray[np.float64], standardizer: Standardizer
    ) -> Self:
        """Fold the standardization into coefficients of standardized features."""
        raw = coefficients / standardizer.deviation
        return cls(raw, intercepts - raw @ standardizer.mean)

    def scores(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Scores of features (documents, dims), float64 (documents, labels)."""
        scores = np.empty((len(features), len(self.intercepts)))
        for start in range(0, len(features), SCORED):
            rows = slice(start, start + SCORED)
            scores[rows] = features[rows].astype(np.float64) @ self.coefficients.T + self.intercepts
        return scores


def fit_logistic_regression(
    features: Any,
    examples: Examples,
    labels: int,
    C: float,
    max_iter: int,
    *,
    standardizer: Standardizer | None = None,
    start: LinearModel | None = None,
) -> tuple[LinearModel, int]:
    """Fit one multinomial problem, or one binary problem per label if the target is multi-label.

    Args:
        features: (documents, features), an array or a sparse matrix.
        examples: the documents.
        labels: number of labels.
        C: inverse of the regularization strength.
        max_iter: highest number of passes over the documents.
        standardizer: of the features; None penalizes coefficients of the features as they are.
        start: the model of similar documents with the same labels, which saves iterations and does not change the
            solution; None starts at zero.

    Returns:
        The model of raw features, and the number of iterations, which is below `max_iter` if every problem converged.
    """
    if not examples.multilabel:
        return fit_multinomial_logistic(
            features, examples.y, examples.loss_weight, C, max_iter, standardizer=standardizer, start=start
        )
    coefficients = np.zeros((labels, features.shape[1]))
    intercepts = constant_logits(examples.y, examples.sample_weight)
    varies = np.flatnonzero(examples.y.any(axis=0) & ~examples.y.all(axis=0))
    if not len(varies):
        return LinearModel(coefficients, intercepts), 0
    first = None if start is None else (start.coefficients[varies], start.intercepts[varies])
    solution = _solve(
        features, examples.y[:, varies], examples.loss_weight[:, varies], C, max_iter, standardizer, first
    )
    coefficients[varies], intercepts[varies] = solution.coefficients, solution.intercepts
    return LinearModel(coefficients, intercepts), solution.iterations


def fit_multinomial_logistic(
    features: Any,
    y: NDArray[Any],
    weight: NDArray[np.float64],
    C: float,
    max_iter: int,
    *,
    standardizer: Standardizer | None = None,
    start: LinearModel | None = None,
) -> tuple[LinearModel, int]:
    """Fit multinomial logistic regression.

    Args:
        features: (documents, features), an array or a sparse matrix.
        y: (documents,), with at least two values; the classes are in their sorted order.
        weight: (documents,).
        C: inverse of the regularization strength.
        max_iter: highest number of passes over the documents.
        standardizer: of the features; None penalizes coefficients of the features as they are.
        start: the model of similar documents with the same classes; None starts at zero.

    Returns:
        The model of raw features, and the number of iterations, which is below `max_iter` if the solver converged. Two
        classes have opposite scores, so that their softmax is the sigmoid of the difference.
    """
    classes, codes = np.unique(y, return_inverse=True)
    first = None if start is None else (start.coefficients, start.intercepts)
    if len(classes) > 2:
        solution = _solve(features, codes, weight, C, max_iter, standardizer, first)
        return LinearModel(solution.coefficients, solution.intercepts), solution.iterations
    # one binary problem, as in scikit-learn: the softmax would penalize half as much
    if first is not None:
        first = first[0][1:] - first[0][:1], first[1][1:] - first[1][:1]
    solution = _solve(features, codes[:, None] == 1, weight[:, None], C, max_iter, standardizer, first)
    coefficients, intercepts = solution.coefficients, solution.intercepts
    opposite = np.concatenate([-coefficients, coefficients]) / 2, np.concatenate([-intercepts, intercepts]) / 2
    return LinearModel(*opposite), solution.iterations


def _solve(
    features: Any,
    y: NDArray[Any],
    weight: NDArray[np.float64],
    C: float,
    max_iter: int,
    standardizer: Standardizer | None,
    start: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
) -> Solution:
    """As `minimize_logistic_loss`, at the precision that suits the size of the problem."""
    tolerance = TOLERANCE
    if isinstance(features, np.ndarray) and features.size <= SMALL:
        features, tolerance = features.astype(np.float64), SMALL_TOLERANCE
    return minimize_logistic_loss(
        features, y, weight, C, max_iter=max_iter, standardizer=standardizer, start=start, tolerance=tolerance
    )
