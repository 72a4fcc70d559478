"""Ridge regression on standardized vectors, with leave-one-out margins in closed form."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.linear_models.logistic import LinearModel, Standardizer

__all__ = ["fit_ridge"]

BLOCK = 8192  # documents that are standardized at a time, so that their float64 copy stays small


def fit_ridge(
    features: NDArray[Any],
    standardizer: Standardizer,
    targets: NDArray[Any],
    weight: NDArray[np.float64],
    own_weight: NDArray[Any],
    C: float,
) -> tuple[LinearModel, NDArray[np.float64]]:
    """Fit least squares with an L2 penalty, and compute each document's margin without that document.

    Minimizes  sum_i w_i |target_i - margin_i|^2 + |coefficients|^2 / C;  intercepts are not penalized. If `own_weight`
    of a document's weight is removed, its residual e becomes e / (1 - own_weight g), with g the document's leverage at
    weight 1. This is exact and needs one factorization (Hoerl & Kennard 1970; Allen 1974's PRESS).

    Args:
        features: (documents, dims), read in blocks.
        standardizer: of the features.
        targets: (documents, labels), -1 and 1.
        weight: (documents,).
        own_weight: (documents,), at most `weight`: the part of the weight that the leave-one-out margin excludes.
        C: inverse of the regularization strength.

    Returns:
        The model of raw features, and leave-one-out margins (documents, labels).
    """
    from scipy.linalg import cho_factor, cho_solve

    dims, total = features.shape[1], weight.sum()
    sums, gram, products = np.zeros(dims), np.zeros((dims, dims)), np.zeros((dims, targets.shape[1]))
    target_mean = weight @ targets / total
    for rows, block in _standard_blocks(features, standardizer):
        weighted = weight[rows, None] * block
        sums += weighted.sum(axis=0)
        gram += block.T @ weighted
        products += weighted.T @ (targets[rows] - target_mean)
    mean = sums / total
    gram -= np.outer(mean, sums)  # of centered features; standardized ones have means near 0, so no digits are lost
    gram.flat[:: dims + 1] += 1 / C
    factor = cho_factor(gram, overwrite_a=True)
    coefficients = cho_solve(factor, products).T
    loo_margins = np.empty(targets.shape)
    for rows, block in _standard_blocks(features, standardizer):
        centered = block - mean
        residual = targets[rows] - target_mean - centered @ coefficients.T
        leverage = np.einsum("ij,ji->i", centered, cho_solve(factor, centered.T)) + 1 / total
        loo_margins[rows] = targets[rows] - residual / np.maximum(1 - own_weight[rows] * leverage, 1e-9)[:, None]
    return LinearModel.from_standardized(coefficients, target_mean - coefficients @ mean, standardizer), loo_margins


def _standard_blocks(features: NDArray[Any], standardizer: Standardizer) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    for start in range(0, len(features), BLOCK):
        rows = slice(start, start + BLOCK)
        yield rows, standardizer.transform(features[rows])
