"""Frequencies of labels in documents without labels, from calibrated probabilities.

The EM algorithm of Saerens, Latinne & Decaestecker 2002 (Adjusting the Outputs of a Classifier to New a Priori
Probabilities, Neural Computation 14, section 2.2). As in Alexandari, Kundaje & Shrikumar 2020 (Maximum Likelihood with
Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation, section 3), the frequencies of training are the
mean probabilities of its documents. PRIOR_DOCUMENTS with these keep a label possible that no new document seems to
have.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST", "estimate_frequencies", "frequency_offsets", "reweighted"]

Floats = NDArray[np.float64]

PRIOR_DOCUMENTS = 10.0
STEPS, TOLERANCE = 500, 1e-6  # the largest change of a frequency
LEAST = 1e-9  # the lowest frequency


def estimate_frequencies(probabilities: NDArray[Any], training: Floats, *, multilabel: bool) -> tuple[Floats, float]:
    """Estimate the frequencies of labels in documents without labels.

    Args:
        probabilities: (documents, labels), calibrated for the frequencies of training.
        training: float64 (labels,), the frequencies in training.
        multilabel: whether documents have any number of labels; each label is then estimated alone.

    Returns:
        float64 (labels,), and twice the log-likelihood ratio to the frequencies of training.
    """
    exact, frequencies = probabilities.astype(np.float64), training
    prior = PRIOR_DOCUMENTS / (len(exact) + PRIOR_DOCUMENTS)
    for _ in range(STEPS):
        posterior, _ = reweighted(exact, frequencies, training, multilabel=multilabel)
        before, frequencies = frequencies, prior * training + (1 - prior) * posterior.mean(axis=0)
        if np.abs(frequencies - before).max() < TOLERANCE:
            break
    _, evidence = reweighted(exact, frequencies, training, multilabel=multilabel)
    return frequencies, 2 * float(np.log(evidence).sum())


def reweighted(
    probabilities: Floats, frequencies: Floats, training: Floats, *, multilabel: bool
) -> tuple[Floats, Floats]:
    """Probabilities under new frequencies, and how much more probable the scores are under these."""
    absent, present = np.exp(_log_weights(frequencies, training))
    shifted = probabilities * present
    evidence = shifted + (1 - probabilities) * absent if multilabel else shifted.sum(axis=1, keepdims=True)
    evidence = np.maximum(evidence, LEAST)
    return shifted / evidence, evidence


def _log_weights(frequencies: Floats, training: Floats) -> tuple[Floats, Floats]:
    """The logarithms of how much more often each label is absent and present than in training."""
    return (
        np.log(np.maximum(1 - frequencies, LEAST)) - np.log(np.maximum(1 - training, LEAST)),
        np.log(np.maximum(frequencies, LEAST)) - np.log(np.maximum(training, LEAST)),
    )


def frequency_offsets(frequencies: Floats, training: Floats, *, multilabel: bool) -> Floats:
    """What new frequencies add to the logit of each label, float64 (labels,)."""
    absent, present = _log_weights(frequencies, training)
    return present - absent if multilabel else present
