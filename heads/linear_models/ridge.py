"""Least squares with a penalty on standardised vectors, and what each document would get without itself."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_ridge"]


def fit_ridge(
    standard: NDArray[np.float64], targets: NDArray[Any], weight: NDArray[np.float64], own: NDArray[Any], C: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(coefficients (labels, dims), intercepts (labels,), left-out margins (documents, labels)).

    Minimises  sum_i w_i |target_i - margin_i|^2 + |coefficients|^2 / C,  intercepts unpenalised. Its residual without
    `own` of a document's weight is e / (1 - own g), g the document's leverage at weight 1: exact, by one
    factorisation (Hoerl & Kennard 1970; Allen 1974's PRESS).

    targets: (documents, labels), -1 and 1. weight, own: (documents,), own at most weight.
    """
    from scipy.linalg import cho_factor, cho_solve

    total = weight.sum()
    centre, middle = weight @ standard / total, weight @ targets / total
    centred, wanted = standard - centre, targets - middle
    gram = centred.T @ (weight[:, None] * centred)
    gram.flat[:: len(gram) + 1] += 1 / C
    factor = cho_factor(gram, overwrite_a=True)
    solved = cho_solve(factor, centred.T)
    coefficients = ((solved * weight) @ wanted).T
    residual = wanted - centred @ coefficients.T
    leverage = np.einsum("ij,ji->i", centred, solved) + 1 / total
    left_out = targets - residual / np.maximum(1 - own * leverage, 1e-9)[:, None]
    return coefficients, middle - coefficients @ centre, left_out
