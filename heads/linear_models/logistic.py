"""Logistic regression on standardized vectors, which `linear` fits once and `cascade` at every node.

Minimizes  sum_i w_i loss_i + |coefficients|^2 / (2 C)  by L-BFGS over standardized features (weighted mean 0 and
standard deviation 1 over the training documents); intercepts are not penalized. This is scikit-learn's
LogisticRegression in float64: in float32, the order of rows and the number of threads would change the third digit of a
score. The problems of a multi-label target are solved together (binary_logistic.py).
"""

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.core.inputs import Examples
from heads.core.pooled_head import constant_logits
from heads.linear_models.binary_logistic import fit_binary_logistic

__all__ = ["LinearModel", "Standardizer", "fit_logistic_regression", "fit_multinomial_logistic"]

SCORED = 8192  # documents scored at a time, so that their float64 copy stays small


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Weighted mean and standard deviation of each feature, float64 (dims,); that of a constant feature is 1."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def fit(cls, features: NDArray[Any], weight: NDArray[np.float64], *, encoded: int = 0) -> Self:
        """Fit on features (documents, dims) with document weights (documents,).

        The last `encoded` features are kept as they are: to give a rare category deviation 1 would scale it up, and so
        nearly exempt its coefficient from the penalty.
        """
        share = weight / weight.sum()
        mean = share @ features.astype(np.float64)
        centered = features - mean
        deviation = np.sqrt(np.einsum("i,ij,ij->j", share, centered, centered))
        # a constant differs from its mean by rounding, which must not be scaled up to 1
        varies = deviation > 1e-9 * np.abs(mean)
        is_encoded = np.arange(len(mean)) >= len(mean) - encoded
        return cls(np.where(is_encoded, 0.0, mean), np.where(varies & ~is_encoded, deviation, 1.0))

    def transform(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Standardized features, a new float64 array (documents, dims)."""
        standard = features - self.mean
        standard /= self.deviation
        return np.asarray(standard)


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
    standard: Any, examples: Examples, labels: int, C: float, max_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Fit one multinomial problem, or one binary problem per label if the target is multi-label.

    Args:
        standard: float64 (documents, features), an array or a sparse matrix.
        examples: the documents.
        labels: number of labels.
        C: inverse of the regularization strength.
        max_iter: highest number of L-BFGS iterations.

    Returns:
        Coefficients (labels, features), intercepts (labels,), and the number of iterations, which is below `max_iter`
        if every problem converged.
    """
    if not examples.multilabel:
        return fit_multinomial_logistic(standard, examples.y, examples.loss_weight, C, max_iter)
    coefficients = np.zeros((labels, standard.shape[1]))
    intercepts = constant_logits(examples.y, examples.sample_weight)
    varies = np.flatnonzero(examples.y.any(axis=0) & ~examples.y.all(axis=0))
    coefficients[varies], intercepts[varies], iterations = fit_binary_logistic(
        standard, examples.y[:, varies], examples.loss_weight[:, varies], C, max_iter
    )
    return coefficients, intercepts, iterations


def fit_multinomial_logistic(
    standard: Any, y: NDArray[Any], weight: NDArray[np.float64], C: float, max_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Fit multinomial logistic regression.

    Args:
        standard: float64 (documents, features), an array or a sparse matrix.
        y: (documents,), with at least two values; the classes are in their sorted order.
        weight: (documents,).
        C: inverse of the regularization strength.
        max_iter: highest number of L-BFGS iterations.

    Returns:
        Coefficients (classes, features), intercepts (classes,), and the number of iterations, which is below
        `max_iter` if the solver converged. Two classes have opposite scores, so that their softmax is the sigmoid of
        the difference.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=C, max_iter=max_iter, tol=1e-4)
    with warnings.catch_warnings():
        # the caller reports the number of iterations in a note instead
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(standard, y, sample_weight=weight)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    return coefficients, intercepts, int(model.n_iter_.max())
