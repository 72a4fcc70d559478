"""The loss of a multinomial logistic regression, or of many binary ones together, with its gradient.

With standardized features z_i (stored features x_i, weighted mean m and standard deviation s), labels y_i and weights
w_i, a problem is

    f(B, b) = sum_i w_i loss(B z_i + b, y_i) + |B|^2 / (2 C)

with the softmax loss, or for each label a problem of its own with the sigmoid loss. Intercepts b are not penalized.

**Products.** Features are read in blocks and are never copied as a whole. B z + b = (B / s) x + (b - B m / s), so they
need not be standardized. Products of a block are float32 (float64 for float64 features); the objective, the gradient
and the parameters are float64. Only a feature far from zero (mean above FAR standard deviations) would lose digits:
then the mean is subtracted from each block.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from heads.linear_models.standardizer import Standardizer

__all__ = ["BLOCK", "Floats", "LogisticLoss", "Scaling"]

Floats: TypeAlias = NDArray[np.float64]

BLOCK = 1024  # documents: their features and scores stay in a core's cache
SPARSE_SCORES = 2**22  # scores of a block of sparse rows; each block costs as much as a matrix of all coefficients
FAR = 30.0  # standard deviations between the mean and zero


@dataclass(frozen=True, eq=False)
class Scaling:
    """The standardization of features that is folded into parameters. is_far: see FAR."""

    mean: Floats
    deviation: Floats
    is_far: bool

    @classmethod
    def of(cls, standardizer: Standardizer | None, dims: int) -> "Scaling":
        """The scaling of that many features; None leaves them as they are."""
        if standardizer is None:
            return cls(np.zeros(dims), np.ones(dims), False)
        mean, deviation = standardizer.mean, standardizer.deviation
        return cls(mean, deviation, bool((np.abs(mean) > FAR * deviation).any()))

    def standardize(self, coefficients: Floats, intercepts: Floats) -> Floats:
        """Parameters (features + 1, labels) of standardized features."""
        return np.vstack([coefficients.T * self.deviation[:, None], intercepts + coefficients @ self.mean])

    def to_raw(self, theta: Floats) -> tuple[Floats, Floats]:
        """Coefficients (labels, features) and intercepts (labels,) of raw features."""
        raw = theta[:-1] / self.deviation[:, None]
        return raw.T.copy(), theta[-1] - self.mean @ raw

    def read(self, features: Any, rows: Any) -> Any:
        """A block of features, of the type of the products, less `shift`."""
        block = features[rows]
        if block.dtype == np.float16:
            block = block.astype(np.float32)
        return block - self.shift.astype(block.dtype) if self.is_far else block

    @property
    def shift(self) -> Floats:
        """What `read` subtracts: float32 numbers, so that a subtraction in float32 is exact near the mean."""
        return self.mean.astype(np.float32).astype(np.float64) if self.is_far else np.zeros_like(self.mean)


class LogisticLoss:
    """The objective of one multinomial problem, or of one binary problem per column."""

    def __init__(self, features: Any, y: NDArray[Any], weight: Floats, scaling: Scaling, C: float) -> None:
        self.features, self.y, self.scaling, self.C = features, y, scaling, C
        self.is_multinomial = y.ndim == 1
        self.dtype = np.dtype(np.float64 if features.dtype == np.float64 else np.float32)
        self.weight = weight.astype(self.dtype)

    def keep(self, columns: NDArray[np.bool_]) -> None:
        """Leave out binary problems."""
        self.y, self.weight = self.y[:, columns], self.weight[:, columns]

    def dot(self, first: Floats, second: Floats) -> Floats:
        """The scalar product of two arrays of parameters in each problem, (1,) or (labels,)."""
        if self.is_multinomial:
            return np.array([np.vdot(first, second)])
        return np.asarray(np.einsum("ij,ij->j", first, second))

    def at_zero(self) -> Floats:
        """The objective of each problem if all parameters are zero: (1,) or (labels,)."""
        if self.is_multinomial:
            return np.array([self.weight.sum(dtype=np.float64) * np.log(self.y.max() + 1)])
        return np.asarray(self.weight.sum(axis=0, dtype=np.float64) * np.log(2))

    def evaluate(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """The objective of each problem, the gradient (features + 1, labels), and the curvature c_k (labels,)."""
        scaling, labels = self.scaling, theta.shape[1]
        raw = theta[:-1] / scaling.deviation[:, None]
        intercepts = (theta[-1] - (scaling.mean - scaling.shift) @ raw).astype(self.dtype)
        coefficients = raw.astype(self.dtype)
        value = np.zeros(1 if self.is_multinomial else labels)
        products, sums, curvature = np.zeros_like(raw), np.zeros(labels), np.zeros(labels)
        evaluate_block = self._softmax_block if self.is_multinomial else self._sigmoid_block
        size = BLOCK if isinstance(self.features, np.ndarray) else max(BLOCK, SPARSE_SCORES // labels)
        for first in range(0, self.features.shape[0], size):
            rows = slice(first, first + size)
            block = scaling.read(self.features, rows)
            scores = np.asarray(block @ coefficients)
            scores += intercepts
            loss, bend = evaluate_block(scores, self.y[rows], self.weight[rows])
            value += loss
            curvature += bend
            products += block.T @ scores
            sums += scores.sum(axis=0, dtype=np.float64)
        gradient = np.empty_like(theta)
        gradient[:-1] = (products - np.outer(scaling.mean - scaling.shift, sums)) / scaling.deviation[:, None]
        gradient[:-1] += theta[:-1] / self.C
        gradient[-1] = sums
        value += self.dot(theta[:-1], theta[:-1]) / (2 * self.C)
        return value, gradient, np.maximum(curvature, 1e-12 * self.weight.sum(axis=0, dtype=np.float64))

    @staticmethod
    def _softmax_block(scores: NDArray[Any], y: NDArray[Any], weight: NDArray[Any]) -> tuple[float, Floats]:
        """Replace scores by weighted residuals, and return the loss and the curvature."""
        rows = np.arange(len(y))
        scores -= scores.max(axis=1, keepdims=True)
        target = scores[rows, y]
        np.exp(scores, out=scores)
        total = scores.sum(axis=1)
        scores /= total[:, None]
        curvature = weight @ scores - np.einsum("i,ij,ij->j", weight, scores, scores)
        scores[rows, y] -= 1
        scores *= weight[:, None]
        return float((weight * (np.log(total) - target)).sum(dtype=np.float64)), curvature

    @staticmethod
    def _sigmoid_block(scores: NDArray[Any], y: NDArray[Any], weight: NDArray[Any]) -> tuple[Floats, Floats]:
        """The same for one problem per column: with q = 1 / (1 + exp(|score|)), the less probable side's share."""
        odds = np.exp(-np.abs(scores))
        is_wrong = (scores > 0) != y
        loss = np.where(is_wrong, np.abs(scores), 0) + np.log1p(odds)
        likely = 1 / (1 + odds)
        other = odds * likely
        curvature = (weight * likely * other).sum(axis=0, dtype=np.float64)
        np.multiply(np.where(is_wrong, likely, other), weight, out=scores)
        np.negative(scores, out=scores, where=y)
        return (weight * loss).sum(axis=0, dtype=np.float64), curvature
