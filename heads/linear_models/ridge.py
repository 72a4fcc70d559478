"""Ridge regression on standardized vectors, with leave-one-out margins in closed form."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.linear_models.logistic import LinearModel
from heads.linear_models.standardizer import Standardizer

__all__ = ["STRENGTHS", "RidgeProblem"]

BLOCK = 8192  # documents that are standardized at a time, so that their float64 copy stays small
STRENGTHS = tuple((10.0 ** np.arange(-5, 1.5, 0.5)).tolist())  # values of C that leave-one-out chooses from

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RidgeProblem:
    """Least squares with an L2 penalty, which is fitted for any strength C after one pass over the documents.

    Minimizes  sum_i w_i |target_i - margin_i|^2 + |coefficients|^2 / C;  intercepts are not penalized.

    Attributes:
        features: (documents, dims), read in blocks.
        standardizer: of the features.
        targets: (documents, labels), -1 and 1.
        weight: (documents,).
        own_weight: (documents,), at most `weight`: the part of the weight that leave-one-out excludes.
        mean: (dims,), of the standardized features.
        target_mean: (labels,).
        gram: (dims, dims), weighted products of centered features.
        products: (dims, labels), weighted products of features and targets.
    """

    features: NDArray[Any]
    standardizer: Standardizer
    targets: NDArray[Any]
    weight: Floats
    own_weight: NDArray[Any]
    mean: Floats
    target_mean: Floats
    gram: Floats
    products: Floats

    @classmethod
    def of(
        cls,
        features: NDArray[Any],
        standardizer: Standardizer,
        targets: NDArray[Any],
        weight: Floats,
        own_weight: NDArray[Any],
    ) -> Self:
        """Read the documents; the arguments are the attributes of these names."""
        dims, total = features.shape[1], weight.sum()
        sums, gram, products = np.zeros(dims), np.zeros((dims, dims)), np.zeros((dims, targets.shape[1]))
        target_mean = weight @ targets / total
        for rows, block in _standard_blocks(features, standardizer):
            weighted = weight[rows, None] * block
            sums += weighted.sum(axis=0)
            gram += block.T @ weighted
            products += weighted.T @ (targets[rows] - target_mean)
        mean = sums / total
        gram -= np.outer(mean, sums)  # standardized features have means near 0, so no digits are lost
        return cls(features, standardizer, targets, weight, own_weight, mean, target_mean, gram, products)

    def fit(self, C: float) -> tuple[LinearModel, Floats]:
        """Fit coefficients, and compute each document's margin without that document.

        If `own_weight` of a document's weight is removed, its residual e becomes e / (1 - own_weight g), with g the
        document's leverage at weight 1. This is exact and needs one factorization (Hoerl & Kennard 1970; Allen 1974's
        PRESS).

        Args:
            C: inverse of the regularization strength.

        Returns:
            The model of raw features, and leave-one-out margins (documents, labels).
        """
        from scipy.linalg import cho_factor, cho_solve

        factor = cho_factor(self.gram + np.eye(len(self.mean)) / C, overwrite_a=True)
        coefficients = cho_solve(factor, self.products).T
        loo_margins = np.empty(self.targets.shape)
        for rows, centered in self._centered_blocks():
            residual = self.targets[rows] - self.target_mean - centered @ coefficients.T
            leverage = np.einsum("ij,ji->i", centered, cho_solve(factor, centered.T)) + 1 / self.weight.sum()
            loo_margins[rows] = self.targets[rows] - residual / self._kept_share(leverage, rows)[:, None]
        intercepts = self.target_mean - coefficients @ self.mean
        return LinearModel.from_standardized(coefficients, intercepts, self.standardizer), loo_margins

    def select_strength(self) -> float:
        """The value of STRENGTHS with the lowest squared error of leave-one-out margins, by weight.

        One eigendecomposition of the Gram matrix serves all of them: in its basis, the inverse for each C is diagonal
        (Golub, Heath & Wahba 1979; scikit-learn's RidgeCV).
        """
        return float(STRENGTHS[int(np.argmin(self.loo_errors(STRENGTHS)))])

    def loo_errors(self, strengths: tuple[float, ...]) -> Floats:
        """The weighted sum of squared errors of leave-one-out margins for each strength, (strengths,)."""
        values, vectors = np.linalg.eigh(self.gram)
        inverses = 1 / (np.maximum(values, 0)[:, None] + 1 / np.array(strengths))
        products, errors = vectors.T @ self.products, np.zeros(len(strengths))
        for rows, centered in self._centered_blocks():
            rotated, targets = centered @ vectors, self.targets[rows] - self.target_mean
            leverage = rotated**2 @ inverses + 1 / self.weight.sum()
            for column, inverse in enumerate(inverses.T):
                residual = targets - rotated @ (inverse[:, None] * products)
                residual /= self._kept_share(leverage[:, column], rows)[:, None]
                errors[column] += self.weight[rows] @ np.square(residual, out=residual).sum(axis=1)
        return errors

    def _kept_share(self, leverage: Floats, rows: slice) -> Floats:
        """By what leave-one-out divides the residuals of documents."""
        return np.maximum(1 - self.own_weight[rows] * leverage, 1e-9)

    def _centered_blocks(self) -> Iterator[tuple[slice, Floats]]:
        for rows, block in _standard_blocks(self.features, self.standardizer):
            yield rows, block - self.mean


def _standard_blocks(features: NDArray[Any], standardizer: Standardizer) -> Iterator[tuple[slice, Floats]]:
    for start in range(0, len(features), BLOCK):
        rows = slice(start, start + BLOCK)
        yield rows, standardizer.transform(features[rows])
