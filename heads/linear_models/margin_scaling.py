"""One temperature for all margins: from numbers that rank labels to logits. Guo et al. 2017, arXiv 1706.04599."""

import numpy as np
from numpy.typing import NDArray

from heads.core.examples import Examples

__all__ = ["cross_entropy", "fit_inverse_temperature"]


def fit_inverse_temperature(
    evidence: NDArray[np.float64], offset: NDArray[np.float64], examples: Examples, doubt: float = 0.0
) -> float:
    """What margins are multiplied with to be logits, between 0.1 and 1,000: the least weighted cross entropy.

    evidence: margins (documents, classes) of heads that did not learn from the document. offset: (classes,), added.
    doubt: as in `cross_entropy`; without, the factor of margins that are all right grows to the limit.
    """
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        return cross_entropy(np.exp(logarithm) * evidence + offset, examples, doubt)

    found = minimize_scalar(loss, bounds=(np.log(0.1), np.log(1000)), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def cross_entropy(scores: NDArray[np.float64], examples: Examples, doubt: float = 0.0) -> float:
    """Of logits (documents, classes), summed over documents by their loss weight.

    doubt: the share of each document that is taken to have any label, or for several labels to have each or not.
    """
    from scipy.special import logsumexp

    y, weight = examples.y, examples.loss_weight
    if examples.multilabel:
        mistaken = np.logaddexp(0, np.where(y, -scores, scores)) + doubt / 2 * np.where(y, scores, -scores)
        return float((weight * mistaken).sum())
    believed = (1 - doubt) * scores[np.arange(len(y)), y] + doubt * scores.mean(axis=1)
    return float(weight @ (logsumexp(scores, axis=1) - believed))
