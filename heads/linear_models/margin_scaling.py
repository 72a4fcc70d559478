"""Temperature scaling: one factor that turns margins into calibrated logits. Guo et al. 2017, arXiv 1706.04599."""

import numpy as np
from numpy.typing import NDArray

from heads.core.inputs import Examples

__all__ = ["fit_inverse_temperature", "log_loss"]

FACTORS = (0.1, 1000)  # bounds of the inverse temperature


def fit_inverse_temperature(
    margins: NDArray[np.float64], offset: NDArray[np.float64], examples: Examples, smoothing: float = 0.0
) -> float:
    """Fit the factor that minimizes the weighted log loss of factor * margins + offset.

    Args:
        margins: (documents, classes), by models that were not fitted on the document.
        offset: (classes,), added to the scaled margins.
        examples: the documents.
        smoothing: label smoothing as in `log_loss`; without it, the factor of margins that are all correct grows to
            its upper bound.

    Returns:
        The inverse temperature, between 0.1 and 1,000.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_factor: float) -> float:
        return log_loss(np.exp(log_factor) * margins + offset, examples, smoothing)

    result = minimize_scalar(loss, bounds=np.log(FACTORS), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(result.x))


def log_loss(logits: NDArray[np.float64], examples: Examples, smoothing: float = 0.0) -> float:
    """Cross entropy of logits, summed over documents with their loss weights.

    Args:
        logits: (documents, classes).
        examples: the documents.
        smoothing: the share of each target that is spread evenly over all labels, or over presence and absence of
            each label if the target is multi-label.

    Returns:
        The loss.
    """
    from scipy.special import logsumexp

    y, weight = examples.y, examples.loss_weight
    if examples.multilabel:
        label_loss = np.logaddexp(0, np.where(y, -logits, logits)) + smoothing / 2 * np.where(y, logits, -logits)
        return float((weight * label_loss).sum())
    target_logits = (1 - smoothing) * logits[np.arange(len(y)), y] + smoothing * logits.mean(axis=1)
    return float(weight @ (logsumexp(logits, axis=1) - target_logits))
