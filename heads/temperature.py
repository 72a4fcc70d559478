"""One temperature for all margins: from numbers that rank labels to logits. Guo et al. 2017, arXiv 1706.04599."""

import numpy as np
from numpy.typing import NDArray

from heads.examples import Examples

__all__ = ["cross_entropy", "likeliest_factor"]


def likeliest_factor(evidence: NDArray[np.float64], offset: NDArray[np.float64], examples: Examples) -> float:
    """What margins are multiplied with to be logits, between 0.1 and 1,000: the least weighted cross entropy.

    evidence: margins (documents, classes) of heads that did not learn from the document. offset: (classes,), added.
    """
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        return cross_entropy(np.exp(logarithm) * evidence + offset, examples)

    found = minimize_scalar(loss, bounds=(np.log(0.1), np.log(1000)), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def cross_entropy(scores: NDArray[np.float64], examples: Examples) -> float:
    """Of logits (documents, classes), summed over documents by their loss weight."""
    from scipy.special import logsumexp

    y, weight = examples.y, examples.loss_weight
    if examples.several:
        return float((weight * np.logaddexp(0, np.where(y, -scores, scores))).sum())
    return float(weight @ (logsumexp(scores, axis=1) - scores[np.arange(len(y)), y]))
