"""Scores for which the best decision rule is known.

A document's score for a label is normal with variance 1, and `SEPARATION` higher for its own labels. Multiplied by
`SEPARATION`, plus the log prior, these are exact log posteriors (up to one constant per row).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEPARATION = 2.0
Scores = NDArray[np.float32]


def single(documents: Sequence[int], seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Log likelihoods (documents, labels) and truth, with the given number of documents per label."""
    random = np.random.default_rng(seed)
    truth = random.permutation(np.repeat(np.arange(len(documents)), documents))
    normal = random.normal(size=(len(truth), len(documents))) + SEPARATION * (
        truth[:, None] == np.arange(len(documents))
    )
    return SEPARATION * normal, truth


def calibrated(
    documents: Sequence[int], seed: int = 0, prior_strength: float = 1.0
) -> tuple[Scores, NDArray[np.int64]]:
    """Log posteriors; strength 0 is a head that ignores the prior, a strength above 1 exaggerates it."""
    scores, truth = single(documents, seed)
    prior = np.log(np.array(documents) / np.sum(documents))
    return (scores + prior_strength * prior).astype(np.float32), truth


def ordinal(documents: int, seed: int = 0) -> tuple[Scores, NDArray[np.int64]]:
    """Log posteriors of five ordinal labels, and truth drawn from them.

    Half of the documents are clear. In the others the lowest label is the most probable one, but most of the
    probability is on higher labels: the expected error of argmax is 1.96 positions, that of the median (the third
    label) 1.48.
    """
    random = np.random.default_rng(seed)
    middle = random.integers(5, size=documents)
    clear = np.exp(-2.0 * np.abs(np.arange(5) - middle[:, None]))
    ambiguous = np.array([0.36, 0.04, 0.12, 0.24, 0.24])
    share = np.where(random.random(documents)[:, None] < 0.5, clear, ambiguous)
    share /= share.sum(axis=1, keepdims=True)
    truth = (share.cumsum(axis=1) > random.random(documents)[:, None]).argmax(axis=1)
    return np.log(share).astype(np.float32), truth


def noise_in_small_labels(large: int, small: int, seed: int = 0) -> tuple[Scores, NDArray[np.int64]]:
    """Two calibrated labels of `large` documents each, and twelve of `small`, whose scores are noise."""
    documents = [large, large, *[small] * 12]
    scores, truth = calibrated(documents, seed)
    scores[:, 2:] = np.random.default_rng(seed + 1).normal(-3.0, 1.5, size=(len(truth), 12))
    return scores, truth


def multilabel(shares: Sequence[float], documents: int = 800, seed: int = 0) -> tuple[Scores, NDArray[np.bool_]]:
    """Calibrated logits and truth; each label occurs independently with its share."""
    random = np.random.default_rng(seed)
    share = np.array(shares)
    truth = random.random((documents, len(share))) < share
    normal = random.normal(size=truth.shape) + SEPARATION * truth
    logits = SEPARATION * normal - SEPARATION**2 / 2 + np.log(share / (1 - share))
    return logits.astype(np.float32), truth
