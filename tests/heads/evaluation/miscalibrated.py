"""Scores whose true probabilities are known."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def single_label(documents: int, labels: int, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Calibrated logits (documents, labels) of labels whose frequencies fall, and the labels of documents.

    Scores are normal with a mean of 2 for the true label, so that the logits are 2 * score + log of the frequency.
    """
    random = np.random.default_rng(seed)
    frequencies = 0.7 ** np.arange(labels)
    frequencies /= frequencies.sum()
    truth = random.choice(labels, documents, p=frequencies)
    scores = random.normal(size=(documents, labels))
    scores[np.arange(documents), truth] += 2
    return 2 * scores + np.log(frequencies), truth


def multilabel(documents: int, labels: int, seed: int = 0) -> tuple[Floats, NDArray[np.bool_]]:
    """Calibrated logits (documents, labels) of independent labels, and bool (documents, labels)."""
    random = np.random.default_rng(seed)
    frequencies = 0.4 * 0.8 ** np.arange(labels)
    truth = random.random((documents, labels)) < frequencies
    scores = random.normal(size=(documents, labels)) + 2 * truth
    return 2 * scores - 2 + np.log(frequencies) - np.log1p(-frequencies), truth
