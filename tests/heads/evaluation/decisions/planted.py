"""Scores of which it is known what rule they want.

A document's score of a label is normal with variance 1, and `SEPARATION` higher in the columns that it has: times
`SEPARATION`, plus the log prior, these are exact log posteriors (up to a constant a row).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEPARATION = 2.0
Scores = NDArray[np.float32]


def single(documents: Sequence[int], seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Log likelihoods (documents, labels) and truth, with so many documents of each label."""
    random = np.random.default_rng(seed)
    truth = random.permutation(np.repeat(np.arange(len(documents)), documents))
    found = random.normal(size=(len(truth), len(documents))) + SEPARATION * (
        truth[:, None] == np.arange(len(documents))
    )
    return SEPARATION * found, truth


def calibrated(
    documents: Sequence[int], seed: int = 0, prior_strength: float = 1.0
) -> tuple[Scores, NDArray[np.int64]]:
    """Log posteriors; a head that knows the prior not at all has strength 0, one that overdoes it more than 1."""
    scores, truth = single(documents, seed)
    prior = np.log(np.array(documents) / np.sum(documents))
    return (scores + prior_strength * prior).astype(np.float32), truth


def ordinal(documents: int, seed: int = 0) -> tuple[Scores, NDArray[np.int64]]:
    """Log posteriors of five ordered labels, and truth drawn from them.

    Half of the documents are clear. Of the others the lowest label is the most probable one, and most of the
    probability lies further up: argmax errs by 1.96 places there, the median, which is the third, by 1.48.
    """
    random = np.random.default_rng(seed)
    middle = random.integers(5, size=documents)
    clear = np.exp(-2.0 * np.abs(np.arange(5) - middle[:, None]))
    torn = np.array([0.36, 0.04, 0.12, 0.24, 0.24])
    share = np.where(random.random(documents)[:, None] < 0.5, clear, torn)
    share /= share.sum(axis=1, keepdims=True)
    truth = (share.cumsum(axis=1) > random.random(documents)[:, None]).argmax(axis=1)
    return np.log(share).astype(np.float32), truth


def noise_in_small_labels(large: int, small: int, seed: int = 0) -> tuple[Scores, NDArray[np.int64]]:
    """Two calibrated labels of `large` documents each, and twelve of `small`, whose scores know nothing."""
    documents = [large, large, *[small] * 12]
    scores, truth = calibrated(documents, seed)
    scores[:, 2:] = np.random.default_rng(seed + 1).normal(-3.0, 1.5, size=(len(truth), 12))
    return scores, truth


def multilabel(shares: Sequence[float], documents: int = 800, seed: int = 0) -> tuple[Scores, NDArray[np.bool_]]:
    """Calibrated logits and truth, a document having each label independently by its share."""
    random = np.random.default_rng(seed)
    share = np.array(shares)
    truth = random.random((documents, len(share))) < share
    found = random.normal(size=truth.shape) + SEPARATION * truth
    logits = SEPARATION * found - SEPARATION**2 / 2 + np.log(share / (1 - share))
    return logits.astype(np.float32), truth
