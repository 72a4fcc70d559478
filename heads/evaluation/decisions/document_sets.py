"""The set of labels with the highest expected F-beta of a document, if labels occur independently of each other."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.decisions.rules import Scores, ThresholdRule, raised_scores, with_parents

LEAST = 1e-4  # labels with a lower probability in all documents of a block are left out
MOST = 64  # labels of a document at most, the most probable ones: the others hardly change what is best
BLOCK = 2**14  # documents times labels that are computed together, which fits into the cache of a core


@dataclass(frozen=True)
class BestExpectedFBeta(ThresholdRule):
    """The set of labels with the highest expected F-beta of a document, which is 1 if both sets are empty.

    For independent labels, the best set of m labels has the m most probable ones, and its expected value follows from
    the distributions of how many of these and of the other labels are true. Each takes time in the square of the number
    of labels: Ye, Chai, Lee & Chieu 2012, Optimizing F-measures: A Tale of Two Approaches (ICML), section 4.2.
    """

    beta: float = 1.0
    family: ClassVar[str] = "highest expected F of a document"

    def decide(self, scores: Scores) -> NDArray[np.bool_]:
        """bool (documents, labels)."""
        from scipy.special import expit

        chosen = np.zeros(scores.shape, dtype=bool)
        raised = raised_scores(scores, self.parents)
        step = max(1, BLOCK // max(1, min(MOST, scores.shape[1])))
        for start in range(0, len(scores), step):
            probabilities = expit(raised[start : start + step].astype(np.float64))
            order = np.argsort(-probabilities, axis=1, kind="stable")[:, :MOST]
            highest = np.take_along_axis(probabilities, order, axis=1)
            used = max(1, int(np.count_nonzero(highest.max(axis=0) > LEAST)))
            best = _expected_values(highest[:, :used], self.beta).argmax(axis=1)
            np.put_along_axis(chosen[start : start + step], order, np.arange(order.shape[1]) < best[:, None], axis=1)
        return with_parents(chosen, self.parents)


def _expected_values(probabilities: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """The expected F-beta of the first 0, 1, 2, ... labels, (documents, labels + 1). probabilities: descending."""
    labels = probabilities.shape[1]
    first, last = _count_distributions(probabilities), _count_distributions(probabilities[:, ::-1])
    values = np.empty((len(probabilities), labels + 1))
    values[:, 0] = last[labels][:, 0]
    for size in range(1, labels + 1):
        others = last[labels - size]  # how many of the labels after the first `size` are true
        true = np.arange(size + 1) + np.arange(others.shape[1])[:, None]
        inverse = others @ (1 / (beta**2 * true + size))
        values[:, size] = (1 + beta**2) * (np.arange(size + 1) * first[size] * inverse).sum(axis=1)
    return values


def _count_distributions(probabilities: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """For the first 0, 1, 2, ... labels, the probabilities that 0, 1, 2, ... of them are true: (documents, n + 1)."""
    distributions = [np.ones((len(probabilities), 1))]
    for column in probabilities.T[:, :, None]:
        last = distributions[-1]
        empty = np.zeros((len(last), 1))
        distributions.append(np.hstack([last * (1 - column), empty]) + np.hstack([empty, last * column]))
    return distributions
