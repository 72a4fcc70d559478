"""Logistic regression on standardised vectors: what `linear` fits once and `cascade` at every node.

Minimises  sum_i w_i loss_i + |coefficients|^2 / (2 C)  by L-BFGS over standardised features (mean 0, deviation 1 over
the training documents, by sample weight), intercepts unpenalised: scikit-learn's LogisticRegression, in float64. With
float32, the order of rows and the number of threads would show in the third digit of a score.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.core.examples import Examples
from heads.core.pooled_head import constant_logits

__all__ = ["LinearModel", "Standardizer", "fit_logistic_regression", "fit_multinomial_logistic"]

# documents that are scored at a time, so that their float64 copy stays small
SCORED = 8192


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Mean and deviation of each feature, float64 (dims,); a constant feature has deviation 1."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def fit(cls, features: NDArray[Any], weight: NDArray[np.float64]) -> Self:
        """From (documents, dims), each document counting by its weight (documents,)."""
        share = weight / weight.sum()
        mean = share @ features.astype(np.float64)
        centred = features - mean
        deviation = np.sqrt(np.einsum("i,ij,ij->j", share, centred, centred))
        # a constant is off its own mean by rounding, which must not be blown up to 1
        varies = deviation > 1e-9 * np.abs(mean)
        return cls(mean, np.where(varies, deviation, 1.0))

    def transform(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """A new float64 array (documents, dims)."""
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
        cls, coefficients: NDArray[np.float64], intercepts: NDArray[np.float64], scaling: Standardizer
    ) -> Self:
        """From coefficients of standardised features: the scaling is folded in."""
        raw = coefficients / scaling.deviation
        return cls(raw, intercepts - raw @ scaling.mean)

    def scores(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """(documents, dims) -> float64 (documents, labels)."""
        scores = np.empty((len(features), len(self.intercepts)))
        for start in range(0, len(features), SCORED):
            rows = slice(start, start + SCORED)
            scores[rows] = features[rows].astype(np.float64) @ self.coefficients.T + self.intercepts
        return scores


def fit_logistic_regression(
    standard: Any, examples: Examples, labels: int, C: float, max_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """(coefficients (labels, dims), intercepts (labels,), steps taken): one problem, or for several labels one each.

    standard: float64 (documents, dims), an array or a sparse matrix.
    """
    if not examples.multilabel:
        return fit_multinomial_logistic(standard, examples.y, examples.loss_weight, C, max_iter)
    coefficients = np.zeros((labels, standard.shape[1]))
    intercepts = constant_logits(examples.y, examples.sample_weight)
    most = 0
    for column, present in enumerate(examples.y.T):
        if present.all() or not present.any():
            continue
        both, offsets, steps = fit_multinomial_logistic(standard, present, examples.loss_weight[:, column], C, max_iter)
        coefficients[column], intercepts[column] = both[1] - both[0], offsets[1] - offsets[0]
        most = max(most, steps)
    return coefficients, intercepts, most


def fit_multinomial_logistic(
    standard: Any, y: NDArray[Any], weight: NDArray[np.float64], C: float, max_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """(coefficients (classes, dims), intercepts (classes,), steps taken), over standardised features.

    Fewer steps than `max_iter` is converged. y: (documents,), at least two values; their sorted order is that of the
    classes. Two classes have opposite scores, so that their softmax is the sigmoid of the difference.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=C, max_iter=max_iter, tol=1e-4)
    with warnings.catch_warnings():
        # told by the steps instead: the user meets a note, not a library's warning
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(standard, y, sample_weight=weight)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    return coefficients, intercepts, int(model.n_iter_.max())
