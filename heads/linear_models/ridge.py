"""Ridge regression on standardized vectors, with leave-one-out margins in closed form."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_ridge"]


def fit_ridge(
    standard: NDArray[np.float64],
    targets: NDArray[Any],
    weight: NDArray[np.float64],
    own_weight: NDArray[Any],
    C: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fit least squares with an L2 penalty, and compute each document's margin without that document.

    Minimizes  sum_i w_i |target_i - margin_i|^2 + |coefficients|^2 / C;  intercepts are not penalized. If `own_weight`
    of a document's weight is removed, its residual e becomes e / (1 - own_weight g), with g the document's leverage at
    weight 1. This is exact and needs one factorization (Hoerl & Kennard 1970; Allen 1974's PRESS).

    Args:
        standard: standardized features (documents, dims).
        targets: (documents, labels), -1 and 1.
        weight: (documents,).
        own_weight: (documents,), at most `weight`: the part of the weight that the leave-one-out margin excludes.
        C: inverse of the regularization strength.

    Returns:
        Coefficients (labels, dims), intercepts (labels,), and leave-one-out margins (documents, labels).
    """
    from scipy.linalg import cho_factor, cho_solve

    total = weight.sum()
    feature_mean, target_mean = weight @ standard / total, weight @ targets / total
    centered, centered_targets = standard - feature_mean, targets - target_mean
    gram = centered.T @ (weight[:, None] * centered)
    gram.flat[:: len(gram) + 1] += 1 / C
    factor = cho_factor(gram, overwrite_a=True)
    solved = cho_solve(factor, centered.T)
    coefficients = ((solved * weight) @ centered_targets).T
    residual = centered_targets - centered @ coefficients.T
    leverage = np.einsum("ij,ji->i", centered, solved) + 1 / total
    loo_margins = targets - residual / np.maximum(1 - own_weight * leverage, 1e-9)[:, None]
    return coefficients, target_mean - coefficients @ feature_mean, loo_margins
