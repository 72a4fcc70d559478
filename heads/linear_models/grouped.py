"""Many multinomial logistic regressions on the same features: the nodes of a hierarchy, each on its own documents.

Most nodes of a real hierarchy have far fewer documents than features. The solution is a combination of the documents of
the node (the representer theorem), so a node of n documents is a problem of n features: with the eigenvectors U and
eigenvalues S of the Gram matrix Z Z' of its standardized features, these are U sqrt(S), and the penalty is the same.
Nodes of similar size are solved together (batched_logistic.py). A node with many documents is solved alone.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from heads.linear_models.batched_logistic import Floats, LossBatch, minimize_batch
from heads.linear_models.logistic import SMALL_TOLERANCE, LinearModel, fit_multinomial_logistic
from heads.linear_models.logistic_solver import TOLERANCE
from heads.linear_models.standardizer import Standardizer

__all__ = ["LocalProblem", "fit_grouped_logistic"]

# of the loss, by the type of the features of a batch: as `fit_multinomial_logistic` has for large and small problems
TOLERANCES = {"float32": TOLERANCE, "float64": SMALL_TOLERANCE}
LARGE = 2**21  # numbers in the features of a problem, from which it is solved alone
SMALL = 2**16  # numbers in the features of a problem, to which they are float64
MEMORY = 2**22  # numbers in the features of the problems that are solved together
MANY = 4  # features per document, from which combinations of documents are the features of a problem
# the constant feature, as a share of the length of a document: 0.1 and 1 need up to twice as many steps
CONSTANT = 0.3
RANK = 1e-13  # an eigenvalue below this share of the largest is rounding

_Form: TypeAlias = Literal["alone", "combinations", "float64", "float32"]


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
    for form, numbers in _batches(problems, features.shape[1]):
        members = [problems[number] for number in numbers]
        if form == "alone":
            solutions = [_fit_alone(features, problem, C, max_iter, standardizer) for problem in members]
        else:
            solutions = _fit_batch(_Batch.of(features, members, C, standardizer, form), members, max_iter, standardizer)
        fits.update(zip(numbers, solutions, strict=True))
    return [fits[number] for number in range(len(problems))]


def _form(documents: int, dims: int) -> _Form:
    """How a problem is solved; this depends on nothing but itself, so neither does its solution."""
    if documents * dims > LARGE:
        return "alone"
    if MANY * documents <= dims:
        return "combinations"
    return "float64" if documents * dims <= SMALL else "float32"


def _batches(problems: Sequence[LocalProblem], dims: int) -> Iterator[tuple[_Form, list[int]]]:
    """The numbers of problems of one form that have similar sizes, so that little is padded."""
    alike = defaultdict[tuple[_Form, int], list[int]](list)
    for number, problem in enumerate(problems):
        documents = len(problem.rows)
        alike[_form(documents, dims), (documents - 1).bit_length()].append(number)
    for (form, _), numbers in alike.items():
        longest = max(len(problems[number].rows) for number in numbers)
        together = max(1, MEMORY // (longest * dims))
        for first in range(0, len(numbers), together):
            yield form, numbers[first : first + together]


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
    batch: "_Batch", problems: Sequence[LocalProblem], max_iter: int, standardizer: Standardizer
) -> list[tuple[LinearModel, int]]:
    theta, tolerance = batch.starts(problems, standardizer), TOLERANCES[batch.loss.features.dtype.name]
    iterations = minimize_batch(batch.loss, theta, tolerance, max_iter)
    retried = (iterations >= max_iter) & np.array([problem.start is not None for problem in problems])
    if retried.any():  # they would depend on their start
        theta[retried] = 0
        again = theta[retried]
        iterations[retried] = minimize_batch(batch.loss[retried], again, tolerance, max_iter)
        theta[retried] = again
    return list(zip(batch.models(problems, theta, standardizer), iterations.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class _Batch:
    """Problems of similar size, padded.

    The features of the loss are `centered`, or if there are fewer documents combinations of these, and a constant.
    centered: standardized features less their mean in the problem, (problems, documents, dims).
    shift: that mean, of raw features, (problems, 1, dims).
    basis: (problems, documents, combinations) maps coefficients of combinations to those of documents, None without.
    """

    loss: LossBatch
    centered: Floats
    shift: Floats
    basis: Floats | None

    @classmethod
    def of(
        cls,
        features: NDArray[np.float32],
        problems: Sequence[LocalProblem],
        C: float,
        standardizer: Standardizer,
        form: _Form,
    ) -> "_Batch":
        """Gather the documents of problems."""
        counts = np.array([len(problem.rows) for problem in problems])
        classes = np.array([problem.classes for problem in problems])
        rows, y, weight = (
            np.concatenate([getattr(problem, name) for problem in problems]) for name in ("rows", "y", "weight")
        )
        is_document, dims = np.arange(counts.max()) < counts[:, None], features.shape[1]
        values = np.zeros((*is_document.shape, dims + 1), np.float32 if form == "float32" else np.float64)
        targets = np.zeros((len(problems), classes.max(), counts.max()), values.dtype)
        number, place = np.nonzero(is_document)
        targets[number, y, place] = weight
        centered = values[:, :, :-1]
        centered[is_document] = features[rows]
        shift = _center(centered, targets.sum(axis=1), is_document)
        centered *= (1 / standardizer.deviation).astype(values.dtype)
        norm = np.sqrt(np.einsum("ijk,ijk->i", centered, centered) / counts)
        constant = CONSTANT * np.where(norm > 0, norm, 1)
        basis = None
        if form == "combinations":
            values, basis = _combine_documents(centered)
        values[:, :, -1] = constant[:, None]
        # two classes are one binary problem, as in scikit-learn: the softmax would penalize half as much
        strengths = np.where(classes == 2, C / 2, C)
        absent = np.where(np.arange(classes.max()) < classes[:, None], 0, -np.inf)[:, :, None].astype(values.dtype)
        return cls(LossBatch(values, targets, absent, strengths), centered, shift, basis)

    def starts(self, problems: Sequence[LocalProblem], standardizer: Standardizer) -> Floats:
        """The parameters of the starts, or zero."""
        theta = np.zeros((len(problems), self.loss.targets.shape[1], self.loss.features.shape[2]))
        for at, problem in enumerate(problems):
            if problem.start is not None:
                coefficients = problem.start.coefficients * standardizer.deviation
                if self.basis is not None:
                    coefficients = coefficients @ self.centered[at].T @ self.basis[at]
                theta[at, : problem.classes, :-1] = coefficients
                theta[at, : problem.classes, -1] = problem.start.scores(self.shift[at])[0] / self.loss.constant[at]
        return theta

    def models(self, problems: Sequence[LocalProblem], theta: Floats, standardizer: Standardizer) -> list[LinearModel]:
        """The models of raw features."""
        coefficients = theta[:, :, :-1]
        if self.basis is not None:
            coefficients = coefficients @ self.basis.transpose(0, 2, 1) @ self.centered
        coefficients = coefficients / standardizer.deviation
        intercepts = theta[:, :, -1] * self.loss.constant - (coefficients @ self.shift.transpose(0, 2, 1))[:, :, 0]
        return [
            LinearModel(coefficients[at, :classes], intercepts[at, :classes])
            for at, classes in enumerate(problem.classes for problem in problems)
        ]


def _center(values: Floats, weight: Floats, is_document: NDArray[np.bool_]) -> Floats:
    """Subtract the weighted means of problems in place, and return them.

    The children of a node have much in common, to which the search would otherwise be slow to fit the intercepts.
    """
    shares = weight / weight.sum(axis=1, keepdims=True)
    shift = shares[:, None, :] @ values
    np.subtract(values, shift, out=values, where=is_document[:, :, None])
    return np.asarray(shift.astype(np.float64))


def _combine_documents(centered: Floats) -> tuple[Floats, Floats]:
    """Features U sqrt(S) with room for one more, and the basis U / sqrt(S)."""
    eigenvalues, vectors = np.linalg.eigh(centered @ centered.transpose(0, 2, 1))
    roots = np.sqrt(np.where(eigenvalues > RANK * eigenvalues[:, -1:], eigenvalues, 0))[:, None, :]
    values = np.empty((*vectors.shape[:2], vectors.shape[2] + 1))
    np.multiply(vectors, roots, out=values[:, :, :-1])
    return values, vectors / np.where(roots > 0, roots, np.inf)
