"""Minimizes the losses of many small multinomial logistic regressions together, in arrays with a problem per row.

**Steps.** L-BFGS without a preconditioner: documents of a small node are nearly separable, where the curvature at the
start says little about the one at the end (on the 189 inner nodes of wikivitals below the root, the eigenvectors of
logistic_solver.py saved no iteration). The inverse of the Hessian is the compact form of Byrd, Nocedal & Schnabel
(1994, "Representations of quasi-Newton matrices", theorem 2.2): products of small matrices instead of a loop over
pairs, so that the time of a step is arithmetic, also if there are hundreds of problems of ten documents.

**When to stop.** The bound of logistic_solver.py, for each problem. A problem that has converged keeps its solution.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "LossBatch", "minimize_batch"]

Floats = NDArray[np.float64]

HISTORY, HALVINGS = 6, 20
DECREASE = 1e-4  # of the objective, as a share of what the slope promises
ROUNDING = {"float32": 1e-7, "float64": 1e-12}  # relative; a smaller increase of the objective may be rounding
FLAT = 1e-12  # a pair with less curvature, relative to the change of the gradient, is rounding


@dataclass(frozen=True, eq=False)
class LossBatch:
    """Problems of padded size; the last feature is constant, and its coefficients are not penalized.

    features: (problems, documents, features), float32 or float64, which is the type of products. targets: (problems,
    classes, documents), the weight of a document in the row of its class. absent: (problems, classes, 1), -inf for a
    class that the problem lacks, else 0. C: (problems,).
    """

    features: Floats
    targets: Floats
    absent: Floats
    C: Floats

    def __getitem__(self, rows: NDArray[np.bool_]) -> "LossBatch":
        """Select problems."""
        return LossBatch(self.features[rows], self.targets[rows], self.absent[rows], self.C[rows])

    @property
    def constant(self) -> Floats:
        """The value of the constant feature, (problems, 1)."""
        return self.features[:, 0, -1:]

    def evaluate(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """The objective (problems,), the gradient (problems, classes, features), and curvatures (problems, classes)."""
        scores = theta.astype(self.features.dtype) @ self.features.transpose(0, 2, 1)
        scores += self.absent
        scores -= scores.max(axis=1, keepdims=True)
        target = np.einsum("ijk,ijk->i", self.targets, np.where(self.targets > 0, scores, 0), dtype=np.float64)
        np.exp(scores, out=scores)
        total = scores.sum(axis=1, keepdims=True)
        scores /= total
        weight = self.targets.sum(axis=1, keepdims=True)
        value = (weight * np.log(total)).sum(axis=(1, 2), dtype=np.float64) - target
        residuals = weight * scores
        curvature = (residuals - residuals * scores).sum(axis=2, dtype=np.float64)
        residuals -= self.targets
        gradient = (residuals @ self.features).astype(np.float64)
        penalized = theta[:, :, :-1]
        gradient[:, :, :-1] += penalized / self.C[:, None, None]
        value += np.einsum("ijk,ijk->i", penalized, penalized) / (2 * self.C)
        return value, gradient, np.maximum(curvature, 1e-12 * weight.sum(axis=2, dtype=np.float64))

    def excess(self, gradient: Floats, curvature: Floats) -> Floats:
        """At most so much is the objective of each problem above its minimum, (problems,)."""
        penalized = gradient[:, :, :-1]
        of_coefficients = self.C / 2 * np.einsum("ijk,ijk->i", penalized, penalized)
        return np.asarray(of_coefficients + (np.square(gradient[:, :, -1] / self.constant) / curvature).sum(axis=1) / 2)

    def first_scale(self, curvature: Floats) -> Floats:
        """The length of the first step along the gradient, (problems,): the inverse of a bound of the curvature."""
        moment = np.einsum("ijk,ijk->ij", self.features, self.features).max(axis=1)
        return np.asarray(1 / (curvature.max(axis=1) * moment + 1 / self.C))


def minimize_batch(problems: LossBatch, theta: Floats, tolerance: float, max_iter: int) -> NDArray[np.int64]:
    """Replace parameters by those that minimize the loss of each problem.

    Args:
        problems: the problems.
        theta: (problems, classes, features), from which the search starts.
        tolerance: relative difference to the minimum of the loss.
        max_iter: highest number of evaluations.

    Returns:
        The number of evaluations of each problem, which is below `max_iter` if it converged.
    """
    iterations, rows = np.full(len(theta), max_iter), np.arange(len(theta))
    search, is_open = _Search(problems, theta.copy()), np.ones(len(theta), dtype=bool)
    for passes in range(1, max_iter):
        is_done = is_open & search.has_converged(tolerance)
        iterations[rows[is_done]], theta[rows[is_done]] = passes, search.theta[is_done]
        is_open &= ~is_done
        if not is_open.any():
            return iterations
        if 2 * is_open.sum() <= len(rows):
            search.keep(is_open)
            rows, is_open = rows[is_open], is_open[is_open]
        search.try_step()
    theta[rows[is_open]] = search.theta[is_open]
    return iterations


class _Search:
    """The state of the search in all problems, and the last pairs of changes: moved (of theta), bent (of gradients)."""

    def __init__(self, problems: LossBatch, theta: Floats) -> None:
        self.problems, self.theta = problems, theta
        self.value, self.gradient, self.curvature = problems.evaluate(theta)
        count, size = len(theta), theta[0].size
        self.moved, self.bent = np.zeros((2, count, HISTORY, size))
        self.moved_bent, self.bent_bent = np.zeros((2, count, HISTORY, HISTORY))
        self.scale = problems.first_scale(self.curvature)
        self.step, self.halvings, self.pairs = np.ones(count), np.zeros(count, int), 0
        self.direction = -self.scale[:, None, None] * self.gradient

    def has_converged(self, tolerance: float) -> NDArray[np.bool_]:
        """Whether each problem is at its minimum, or cannot be improved."""
        excess = self.problems.excess(self.gradient, self.curvature)
        return np.asarray((excess <= tolerance * self.value) | (self.halvings > HALVINGS))

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Leave out problems."""
        for name in [name for name in vars(self) if name != "pairs"]:
            setattr(self, name, getattr(self, name)[rows])

    def try_step(self) -> None:
        """Evaluate one step; problems whose objective falls enough take it, others halve theirs."""
        moved = self.step[:, None, None] * self.direction
        value, gradient, curvature = self.problems.evaluate(self.theta + moved)
        promised = DECREASE * (self.gradient * moved).sum(axis=(1, 2))
        rounding = ROUNDING[self.problems.features.dtype.name] * np.abs(self.value)
        falls = value <= self.value + promised + rounding
        bent = gradient - self.gradient
        self._remember(moved.reshape(len(moved), -1), bent.reshape(len(bent), -1), falls)
        takes = falls[:, None, None]
        self.theta = np.where(takes, self.theta + moved, self.theta)
        self.gradient = np.where(takes, gradient, self.gradient)
        self.value = np.where(falls, value, self.value)
        self.curvature = np.where(falls[:, None], curvature, self.curvature)
        self.direction = np.where(takes, self._direction(), self.direction)
        self.step = np.where(falls, 1.0, self.step / 2)
        self.halvings = np.where(falls, 0, self.halvings + 1)

    def _remember(self, moved: Floats, bent: Floats, falls: NDArray[np.bool_]) -> None:
        """Replace the oldest pair; that of a problem that did not move becomes 0, and has no effect."""
        product, square = (moved * bent).sum(axis=1), np.square(bent).sum(axis=1)
        is_kept = falls & (product > FLAT * square)
        self.scale = np.where(is_kept, product / np.where(is_kept, square, 1), self.scale)
        at, self.pairs = self.pairs % HISTORY, self.pairs + 1
        self.moved[:, at] = np.where(is_kept[:, None], moved, 0)
        self.bent[:, at] = np.where(is_kept[:, None], bent, 0)
        newest_moved, newest_bent = self.moved[:, at, :, None], self.bent[:, at, :, None]
        self.moved_bent[:, at] = (self.bent @ newest_moved)[:, :, 0]
        self.moved_bent[:, :, at] = (self.moved @ newest_bent)[:, :, 0]
        self.bent_bent[:, at] = self.bent_bent[:, :, at] = (self.bent @ newest_bent)[:, :, 0]

    def _direction(self) -> Floats:
        """Minus the approximate inverse Hessian times the gradient, equation 3.1 of Byrd et al."""
        order = np.arange(self.pairs - min(self.pairs, HISTORY), self.pairs) % HISTORY  # the oldest pair first
        moved, bent, scale = self.moved, self.bent, self.scale[:, None, None]
        gradient = self.gradient.reshape(len(moved), -1, 1)
        upper = np.triu(self.moved_bent[:, order[:, None], order])
        products = upper.diagonal(axis1=1, axis2=2)[..., None]
        upper += np.eye(len(order)) * (products == 0)
        along = np.linalg.solve(upper, (moved @ gradient)[:, order])
        inner = products * along + scale * (
            self.bent_bent[:, order[:, None], order] @ along - (bent @ gradient)[:, order]
        )
        of_moved, of_bent = np.zeros((2, len(moved), 1, HISTORY))
        of_moved[:, 0, order] = np.linalg.solve(upper.transpose(0, 2, 1), inner)[:, :, 0]
        of_bent[:, 0, order] = along[:, :, 0]
        change = of_moved @ moved - scale * (of_bent @ bent)
        return np.asarray(-scale * self.gradient - change.reshape(self.gradient.shape))
