"""Many multinomial logistic regressions on the same features: the nodes of a hierarchy, each on its own documents.

Most nodes of a real hierarchy have far fewer documents than features. The solution is a combination of the documents of
the node (the representer theorem), so a node of n documents is a problem of n features: with the eigenvectors U and
eigenvalues S of the Gram matrix Z Z' of its standardized features, these are U sqrt(S), and the penalty is the same.
Nodes of similar size are solved together (batched_logistic.py). A node with many documents is solved alone.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.linear_models.batched_logistic import Floats, LossBatch, minimize_batch
from heads.linear_models.logistic import LinearModel, Standardizer, fit_multinomial_logistic

__all__ = ["LocalProblem", "fit_grouped_logistic"]

TOLERANCE = 1e-8  # of the loss; the usual one is chosen for float32, where a smaller one is not reached
LARGE = 2**18  # features of the reduced problem times documents, from which a problem is solved alone
MEMORY = 2**22  # numbers in the features of the problems that are solved together
RANK = 1e-13  # an eigenvalue below this share of the largest is rounding


@dataclass(frozen=True, eq=False)
class LocalProblem:
    """One problem of a group: some documents and a class for each.

    rows: int64 (documents of the problem,), rows of the features of all problems, in increasing order.
    y: int64 (documents of the problem,), codes from 0 of which each occurs; at least two.
    weight: float64 (documents of the problem,), above 0.
    start: the model of similar documents with the same classes, which saves iterations; None starts at zero.
    """

    rows: NDArray[np.int64]
    y: NDArray[np.int64]
    weight: NDArray[np.float64]
    start: LinearModel | None = None

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.y.max()) + 1


def fit_grouped_logistic(
    features: NDArray[np.float32],
    problems: Sequence[LocalProblem],
    C: float,
    max_iter: int,
    *,
    standardizer: Standardizer,
) -> list[tuple[LinearModel, int]]:
    """Fit each problem as `fit_multinomial_logistic` does: the models are the same up to the tolerance.

    Args:
        features: (documents, dims), shared by all problems.
        problems: the problems; their documents may overlap.
        C: inverse of the regularization strength of every problem.
        max_iter: highest number of iterations of a problem.
        standardizer: of the features of all documents.

    Returns:
        For each problem its model of raw features and its number of iterations, which is below `max_iter` if it
        converged.
    """
    fits: dict[int, tuple[LinearModel, int]] = {}
    for numbers in _batches(problems, features.shape[1]):
        members = [problems[number] for number in numbers]
        if _size(members[0], features.shape[1]) > LARGE:
            solutions = [_fit_alone(features, problem, C, max_iter, standardizer) for problem in members]
        else:
            solutions = _fit_batch(features, members, C, max_iter, standardizer)
        fits.update(zip(numbers, solutions, strict=True))
    return [fits[number] for number in range(len(problems))]


def _size(problem: LocalProblem, dims: int) -> int:
    return len(problem.rows) * min(len(problem.rows), dims)


def _batches(problems: Sequence[LocalProblem], dims: int) -> Iterator[list[int]]:
    """The numbers of problems that have similar sizes, so that little is padded; a large one alone."""
    alike = defaultdict[object, list[int]](list)
    for number, problem in enumerate(problems):
        is_large = _size(problem, dims) > LARGE
        alike[-1 - number if is_large else (len(problem.rows) - 1).bit_length()].append(number)
    for numbers in alike.values():
        longest = max(len(problems[number].rows) for number in numbers)
        together = max(1, MEMORY // (longest * dims))
        for first in range(0, len(numbers), together):
            yield numbers[first : first + together]


def _fit_alone(
    features: NDArray[np.float32], problem: LocalProblem, C: float, max_iter: int, standardizer: Standardizer
) -> tuple[LinearModel, int]:
    # no copy of all features for a problem of all documents
    below = features if len(problem.rows) == len(features) else features[problem.rows]
    for start in [problem.start, None]:
        model, iterations = fit_multinomial_logistic(
            below, problem.y, problem.weight, C, max_iter, standardizer=standardizer, start=start
        )
        if iterations < max_iter or problem.start is None:  # else it would depend on its start
            break
    return model, iterations


def _fit_batch(
    features: NDArray[np.float32], problems: Sequence[LocalProblem], C: float, max_iter: int, standardizer: Standardizer
) -> list[tuple[LinearModel, int]]:
    batch = _Batch.of(features, problems, C, standardizer)
    theta = batch.starts(problems, standardizer)
    iterations = minimize_batch(batch.loss, theta, TOLERANCE, max_iter)
    retried = (iterations >= max_iter) & np.array([problem.start is not None for problem in problems])
    if retried.any():  # they would depend on their start
        theta[retried] = 0
        again = theta[retried]
        iterations[retried] = minimize_batch(batch.loss[retried], again, TOLERANCE, max_iter)
        theta[retried] = again
    return list(zip(batch.models(problems, theta, standardizer), iterations.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class _Batch:
    """Problems of similar size, padded.

    standard: standardized features, (problems, documents, dims). basis: (problems, documents, features of the loss),
    which maps coefficients to combinations of documents; None if the features of the loss are the standardized ones.
    """

    loss: LossBatch
    standard: Floats
    basis: Floats | None

    @classmethod
    def of(
        cls, features: NDArray[np.float32], problems: Sequence[LocalProblem], C: float, standardizer: Standardizer
    ) -> "_Batch":
        counts = np.array([len(problem.rows) for problem in problems])
        classes = np.array([problem.classes for problem in problems])
        is_document = np.arange(counts.max()) < counts[:, None]
        standard = np.zeros((*is_document.shape, features.shape[1]))
        rows, y, weight = (
            np.concatenate([getattr(problem, name) for problem in problems]) for name in ("rows", "y", "weight")
        )
        standard[is_document] = standardizer.transform(features[rows])
        targets = np.zeros((*is_document.shape, classes.max()))
        targets[*np.nonzero(is_document), y] = weight
        absent = np.where(np.arange(classes.max()) < classes[:, None], 0, -np.inf)[:, None, :]
        reduced, basis = _reduce(standard) if counts.max() <= features.shape[1] else (standard, None)
        # the constant is as long as a document, so that the curvature in intercepts is not far from the others
        norm = np.sqrt(np.square(reduced).sum(axis=(1, 2)) / counts)
        constant = np.broadcast_to(np.where(norm > 0, norm, 1)[:, None, None], (*is_document.shape, 1))
        # two classes are one binary problem, as in scikit-learn: the softmax would penalize half as much
        strengths = np.where(classes == 2, C / 2, C)
        return cls(LossBatch(np.concatenate([reduced, constant], axis=2), targets, absent, strengths), standard, basis)

    def starts(self, problems: Sequence[LocalProblem], standardizer: Standardizer) -> Floats:
        """The parameters of the starts, or zero."""
        theta = np.zeros((len(problems), self.loss.features.shape[2], self.loss.targets.shape[2]))
        for at, problem in enumerate(problems):
            if problem.start is not None:
                coefficients = (problem.start.coefficients * standardizer.deviation).T
                intercepts = problem.start.intercepts + problem.start.coefficients @ standardizer.mean
                reduced = coefficients if self.basis is None else self.basis[at].T @ (self.standard[at] @ coefficients)
                theta[at, :-1, : problem.classes] = reduced
                theta[at, -1, : problem.classes] = intercepts / self.loss.constant[at]
        return theta

    def models(self, problems: Sequence[LocalProblem], theta: Floats, standardizer: Standardizer) -> list[LinearModel]:
        """The models of raw features."""
        coefficients = theta[:, :-1].transpose(0, 2, 1)
        if self.basis is not None:
            coefficients = coefficients @ self.basis.transpose(0, 2, 1) @ self.standard
        intercepts = theta[:, -1] * self.loss.constant
        return [
            LinearModel.from_standardized(coefficients[at, :classes], intercepts[at, :classes], standardizer)
            for at, classes in enumerate(problem.classes for problem in problems)
        ]


def _reduce(standard: Floats) -> tuple[Floats, Floats]:
    """Features U sqrt(S) of as many columns as documents, and the basis U / sqrt(S)."""
    values, vectors = np.linalg.eigh(standard @ standard.transpose(0, 2, 1))
    roots = np.sqrt(np.where(values > RANK * values[:, -1:], values, 0))[:, None, :]
    return vectors * roots, vectors / np.where(roots > 0, roots, np.inf)
