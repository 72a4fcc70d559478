"""Logistic regressions as the local classifiers of a hierarchy, fitted together on shared standardized features."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from heads.linear_models.grouped import LocalProblem, fit_grouped_logistic
from heads.linear_models.logistic import LinearModel
from heads.linear_models.standardizer import Standardizer
from heads.local_strategies.problems import LocalExamples, Problem

__all__ = ["LocalLogistic"]


@dataclass(frozen=True, eq=False)
class LocalLogistic:
    """One linear model with a score for each class of each problem, in the order of the problems."""

    problems: Sequence[Problem]
    linear: LinearModel

    @classmethod
    def fit(
        cls,
        features: NDArray[np.float32],
        sample_weight: NDArray[np.float64],
        problems: Sequence[Problem],
        examples: Sequence[LocalExamples],
        C: float,
        max_iter: int,
        min_documents: int,
        start: "LocalLogistic | None" = None,
    ) -> tuple[Self, int]:
        """Fit the problems with enough documents; the classes of the others have constant scores.

        Args:
            features: (documents, dims), of all problems.
            sample_weight: float64 (documents,), for the standardization of features.
            problems: the problems.
            examples: the documents of each.
            C: inverse of the regularization strength of every logistic regression.
            max_iter: highest number of iterations of each.
            min_documents: how many documents are enough.
            start: of similar documents, which saves iterations and does not change the solution.

        Returns:
            The models, and the largest number of iterations, which is below `max_iter` if all converged.
        """
        standardizer = Standardizer.fit(features, sample_weight)
        large = [number for number, own in enumerate(examples) if own.documents >= min_documents]
        starts = [None] * len(problems) if start is None else list(map(start.model_of, problems))
        tasks = [LocalProblem(own.rows, own.y, own.weight, starts[n]) for n in large for own in [examples[n]]]
        fits = fit_grouped_logistic(features, tasks, C, max_iter, standardizer=standardizer)
        parts = [(np.zeros((len(own.log_shares), features.shape[1])), own.log_shares) for own in examples]
        for number, (model, _) in zip(large, fits, strict=True):
            parts[number] = model.coefficients, model.intercepts
        linear = LinearModel(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
        return cls(problems, linear), max((iterations for _, iterations in fits), default=0)

    @staticmethod
    def array_shapes(problems: Sequence[Problem], dims: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the arrays of `linear`."""
        rows = sum(len(problem.classes) for problem in problems)
        return {"coefficients": (rows, dims), "intercepts": (rows,)}

    def model_of(self, problem: Problem) -> LinearModel | None:
        """The rows for the classes of a problem of other documents, found by name; None if a class is unknown."""
        rows = [self._row_of.get((problem.name, name), -1) for name in problem.classes]
        return None if -1 in rows else LinearModel(self.linear.coefficients[rows], self.linear.intercepts[rows])

    @cached_property
    def _row_of(self) -> dict[tuple[str, str], int]:
        names = [(problem.name, name) for problem in self.problems for name in problem.classes]
        return {name: row for row, name in enumerate(names)}

    def strengths(self, features: NDArray[np.float32], edges: int) -> NDArray[np.float64]:
        """The log-probability of each edge by its model, float64 (edges, documents); 0 for one without a choice."""
        from scipy.special import log_softmax

        strengths = np.zeros((edges, len(features)))
        stops = np.cumsum([len(problem.classes) for problem in self.problems])
        for problem, margins in zip(self.problems, np.split(self.linear.scores(features).T, stops[:-1]), strict=True):
            strengths[problem.edges] = log_softmax(margins, axis=0)[problem.columns]
        return strengths
