"""Minimizes the loss of a multinomial logistic regression, or of many binary ones together.

The objective f(B, b), its gradient and the curvature c_k of an intercept are in logistic_loss.py.

**Steps.** L-BFGS (Nocedal & Wright 2006, algorithm 7.4) with a preconditioner as its initial matrix. Let G be the mean
of z z' over documents. For the softmax, Boehning (1992, "Multinomial logistic regression algorithm") bounds the Hessian
by 1/2 (I - 11'/K) x sum w z z' + I / C. The bound is loose where a fit is certain, so its factor is replaced by the
mean over labels of the curvature c_k = sum_i w_i p_ik (1 - p_ik) at the current parameters (in 50,000 documents of 20
labels, c_k itself needed twice the iterations); a binary problem has its own c. In the eigenvectors of G the matrix
c G + I / C is diagonal, and its inverse costs two products with them. An encoder's features are strongly correlated, so
this saves most iterations. As a preconditioner, G need not be exact and is computed on some of the documents. Sparse
features have too many columns for G: there, only its diagonal is used.

**Labels together.** The binary problems of many labels share each pass over the documents. Every label has its own
history and step length, waits while it shortens its step, and leaves when it has converged.

**When to stop.** f has at least the curvature 1 / C in B, and c_k in the intercept b_k to second order, so

    f - min f <= C / 2 |gradient in B|^2 + sum_k (gradient in b_k)^2 / (2 c_k)

(the first term is the duality gap of the residuals as dual variables). The fit ends if this is at most TOLERANCE of f.
The true difference is typically a tenth of the bound. So a fit that starts from the solution of other documents has
the same solution up to TOLERANCE as one that starts from zero.

**Reproducibility.** The same rows in the same order on the same number of threads give the same result. Another order
or number of threads changes rounding in float32 sums of at most BLOCK documents, and probabilities in the fifth digit.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.linear_models.logistic_loss import BLOCK, Floats, LogisticLoss, Scaling
from heads.linear_models.standardizer import Standardizer

__all__ = ["Solution", "minimize_logistic_loss"]

TOLERANCE = 1e-5  # of the loss, which the solution exceeds the optimum by at most
DECREASE = 1e-4  # of the objective, as a share of what the slope promises (Nocedal & Wright, equation 3.4)
ROUNDING = 1e-7  # relative; a smaller increase of the objective may be rounding of float32 products
HISTORY, HALVINGS = 20, 20
FLAT = 1e-12  # a pair with less curvature, relative to the change of the gradient, is rounding
GRAM_DOCUMENTS = 16  # documents per feature, from which the preconditioner is computed
MAX_HISTORY = 2**23  # numbers in memory, which limit the labels that are solved together


@dataclass(frozen=True, eq=False)
class Solution:
    """Parameters of raw features, and whether they were found.

    coefficients: float64 (labels, features). intercepts: float64 (labels,). iterations: passes over the documents,
    below the highest number if every problem converged.
    """

    coefficients: Floats
    intercepts: Floats
    iterations: int


def minimize_logistic_loss(
    features: Any,
    y: NDArray[Any],
    weight: Floats,
    C: float,
    *,
    max_iter: int,
    standardizer: Standardizer | None = None,
    start: tuple[Floats, Floats] | None = None,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Fit one multinomial logistic regression, or one binary logistic regression per label.

    Args:
        features: (documents, features), an array of any float type, memory-mapped or not, or a sparse matrix.
        y: int (documents,), codes of which each occurs, for one multinomial problem; or bool (documents, labels), with
            no label that all or none of the documents have, for binary ones.
        weight: float64 of the shape of y.
        C: inverse of the regularization strength.
        max_iter: highest number of passes over the documents.
        standardizer: what the penalty sees; None penalizes coefficients of the features as they are.
        start: coefficients and intercepts of a similar problem, of raw features; None starts at zero, and so does a
            problem whose start is worse than zero.
        tolerance: relative difference to the minimum of the loss, in float32 products at least about 1e-7.

    Returns:
        The solution.
    """
    dims = features.shape[1]
    labels = y.shape[1] if y.ndim == 2 else int(y.max()) + 1
    scaling = Scaling.of(standardizer, dims)
    theta = np.zeros((dims + 1, labels)) if start is None else scaling.standardize(*start)
    basis, iterations = _Basis.of(features, scaling, weight), 0
    together = labels if y.ndim == 1 else max(1, MAX_HISTORY // (2 * HISTORY * (dims + 1)))
    for first in range(0, labels, together):
        block = slice(first, first + together)
        if y.ndim == 1:
            problem = LogisticLoss(features, y, weight, scaling, C)
        else:
            problem = LogisticLoss(features, y[:, block], weight[:, block], scaling, C)
        theta[:, block], passes = _Search(problem, theta[:, block], basis, tolerance).run(max_iter)
        iterations = max(iterations, passes)
    return Solution(*scaling.to_raw(theta), iterations)


@dataclass(frozen=True, eq=False)
class _Basis:
    """The preconditioner. vectors: float32 (features, features), None for the identity. moments: (features,)."""

    vectors: NDArray[np.float32] | None
    moments: Floats

    @classmethod
    def of(cls, features: Any, scaling: Scaling, weight: Floats) -> "_Basis":
        """The eigenvectors of G and its eigenvalues; or for sparse features its diagonal."""
        documents, dims = features.shape
        weight = weight if weight.ndim == 1 else np.ones(documents)  # so that no label depends on the others
        if not isinstance(features, np.ndarray):
            return cls(None, np.asarray(features.multiply(features).T @ weight).ravel() / weight.sum())
        count = min(documents, GRAM_DOCUMENTS * dims)
        rows = np.sort(np.random.default_rng(0).choice(documents, count, replace=False))
        gram, total = np.zeros((dims, dims)), weight[rows].sum()
        for first in range(0, count, 8 * BLOCK):
            chosen = rows[first : first + 8 * BLOCK]
            block = scaling.read(features, chosen) - (scaling.mean - scaling.shift)
            block = (block / scaling.deviation * np.sqrt(weight[chosen] / total)[:, None]).astype(np.float32)
            gram += block.T @ block
        from scipy.linalg import eigh

        moments, vectors = eigh(gram.astype(np.float32), driver="evd", overwrite_a=True, check_finite=False)
        return cls(vectors, np.maximum(moments.astype(np.float64), 0))

    def solve(self, gradient: Floats, curvature: Floats, of_intercepts: Floats, C: float) -> Floats:
        """The gradient (features + 1, labels) times the inverse of c G + I / C, and of c_k for intercepts."""
        result = np.empty_like(gradient)
        rotated = gradient[:-1] if self.vectors is None else self.vectors.T @ gradient[:-1].astype(np.float32)
        rotated = rotated / (self.moments[:, None] * curvature + 1 / C)
        result[:-1] = rotated if self.vectors is None else self.vectors @ rotated.astype(np.float32)
        result[-1] = gradient[-1] / of_intercepts
        return result


class _Search:
    """L-BFGS steps of all problems that have not converged; arrays have a column per label, the last row intercepts."""

    def __init__(self, problem: LogisticLoss, theta: Floats, basis: _Basis, tolerance: float) -> None:
        self.problem, self.basis, self.tolerance = problem, basis, tolerance
        self.theta = theta
        self.value, self.gradient, self.curvature = problem.evaluate(theta)
        is_worse = ~(self.value <= problem.at_zero())
        if theta.any() and is_worse.any():
            self.theta = np.where(is_worse, 0.0, theta)
            self.value, self.gradient, self.curvature = problem.evaluate(self.theta)
        # changes of theta and of the gradient, and the inverse of their product; 0 for a problem that did not move
        self.pairs: deque[tuple[Floats, Floats, Floats]] = deque(maxlen=HISTORY)
        self.direction = self._direction()
        self.step, self.halvings = np.ones_like(self.value), np.zeros(len(self.value), int)

    def run(self, max_iter: int) -> tuple[Floats, int]:
        """The solution (features + 1, labels), and the number of passes over the documents."""
        solution, columns = self.theta.copy(), np.arange(self.theta.shape[1])
        for passes in range(1, max_iter):
            is_done = (self._excess() <= self.tolerance * self.value) | (self.halvings > HALVINGS)
            if is_done.all():
                solution[:, columns] = self.theta
                return solution, passes
            if is_done.any():
                solution[:, columns] = self.theta
                columns = columns[~is_done]
                self._keep(~is_done)
            self._try_step()
        solution[:, columns] = self.theta
        return solution, max_iter

    def _excess(self) -> Floats:
        """At most so much is the objective of each problem above its minimum."""
        of_intercepts = self.gradient[-1] ** 2 / (2 * self.curvature)
        if self.problem.is_multinomial:
            of_intercepts = of_intercepts.sum(keepdims=True)
        return np.asarray(self.problem.C / 2 * self.problem.dot(self.gradient[:-1], self.gradient[:-1]) + of_intercepts)

    def _keep(self, columns: NDArray[np.bool_]) -> None:
        self.problem.keep(columns)
        for name in ("theta", "gradient", "direction"):
            setattr(self, name, getattr(self, name)[:, columns])
        for name in ("value", "curvature", "step", "halvings"):
            setattr(self, name, getattr(self, name)[columns])
        pairs = [(moved[:, columns], bent[:, columns], share[columns]) for moved, bent, share in self.pairs]
        self.pairs = deque(pairs, maxlen=HISTORY)

    def _try_step(self) -> None:
        """Evaluate one step; problems whose objective falls enough take it, others halve theirs."""
        moved = self.step * self.direction
        value, gradient, curvature = self.problem.evaluate(self.theta + moved)
        promised = DECREASE * self.step * self.problem.dot(self.gradient, self.direction)
        falls = value <= self.value + promised + ROUNDING * np.abs(self.value)
        bent = gradient - self.gradient
        product = self.problem.dot(moved, bent)
        is_kept = falls & (product > FLAT * self.problem.dot(bent, bent))
        self.pairs.append((moved, bent, np.where(is_kept, 1 / np.where(is_kept, product, 1), 0)))
        if not is_kept.any():
            self.pairs.pop()
        if not falls.any():
            self.step, self.halvings = self.step / 2, self.halvings + 1
            return
        self.theta = np.where(falls, self.theta + moved, self.theta)
        self.gradient = np.where(falls, gradient, self.gradient)
        self.value, self.curvature = np.where(falls, value, self.value), np.where(falls, curvature, self.curvature)
        self.direction = np.where(falls, self._direction(), self.direction)
        self.step = np.where(falls, 1.0, self.step / 2)
        self.halvings = np.where(falls, 0, self.halvings + 1)

    def _direction(self) -> Floats:
        """The two-loop recursion around the preconditioner, which is scaled by the last pair (equation 7.20)."""
        dot, alphas = self.problem.dot, []
        direction: Floats = -self.gradient
        scale = np.ones_like(self.value)
        for moved, bent, share in reversed(self.pairs):
            alphas.append(share * dot(moved, direction))
            direction = direction - alphas[-1] * bent
        if self.pairs:
            _, bent, share = self.pairs[-1]
            stretch = share * dot(bent, self._precondition(bent))
            scale = 1 / np.where(stretch > 0, stretch, 1.0)
        direction = scale * self._precondition(direction)
        for (moved, bent, share), alpha in zip(self.pairs, reversed(alphas), strict=True):
            direction = direction + (alpha - share * dot(bent, direction)) * moved
        return direction

    def _precondition(self, gradient: Floats) -> Floats:
        curvature = self.curvature.mean(keepdims=True) if self.problem.is_multinomial else self.curvature
        return self.basis.solve(gradient, curvature, self.curvature, self.problem.C)
