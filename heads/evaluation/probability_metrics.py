"""Metrics of probabilities: log loss, Brier score, calibration error, average precision and AUROC.

log loss: mean of minus the logarithm of the probability of the true label (scikit-learn's log_loss); if multi-label,
    the mean over labels of the log loss of having the label.
Brier score: mean over documents of the squared distance between probabilities and truth, summed over labels, and halved
    if there are two (scikit-learn's brier_score_loss); if multi-label, the mean over labels.
ECE: the expected calibration error, the mean over bins of |share that is correct - mean confidence|, weighted by their
    documents. Bins have equal numbers of documents (Nguyen & O'Connor 2015, Posterior calibration and exploratory
    analysis for natural language processing models, section 3), and equal confidences are in one bin. The confidence
    in a document is the highest probability of a label, and it is correct if that label is the true one, whatever the
    decision rule says. If multi-label, pairs of document and label with a probability of at least LEAST_CONFIDENCE are
    in bins instead, and correct if the document has the label: nearly all other pairs are trivial.
average precision, AUROC: see `ranking_metrics`.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.score_matrix import row_blocks

__all__ = ["BINS", "Reliability", "check_probabilities", "confidences", "document_losses", "equal_mass_bins"]

FloatArray = NDArray[np.float64]
BINS = 15
LEAST_CONFIDENCE = 0.01


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidences in bins of equally many documents, or pairs of document and label: float64 or int64 (bins,).

    Attributes:
        confidence: mean confidence of each bin.
        correct: the share of each bin that is correct.
        size: how many are in each bin; bins that ties leave empty are left out.
    """

    confidence: FloatArray
    correct: FloatArray
    size: NDArray[np.int64]

    @classmethod
    def of(cls, truth: NDArray[Any], probabilities: NDArray[Any], bins: int = BINS) -> Self:
        """The bins of a prediction.

        Args:
            truth: int codes (documents,), or bool (documents, labels).
            probabilities: (documents, labels).
            bins: number of bins.

        Returns:
            The bins, the least confident first.
        """
        confidence, correct, _ = confidences(truth, probabilities)
        bin_of = equal_mass_bins(confidence, bins)
        size = np.bincount(bin_of, minlength=bins)
        kept = size > 0
        of_confidence, of_correct = (np.bincount(bin_of, values, bins)[kept] for values in (confidence, correct))
        return cls(of_confidence / size[kept], of_correct / size[kept], size[kept])


def confidences(truth: NDArray[Any], probabilities: NDArray[Any]) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Confidences, whether they are correct, and the document of each."""
    if truth.ndim == 1:
        likeliest = probabilities.argmax(axis=1) if len(truth) else truth
        confidence = np.take_along_axis(probabilities, likeliest[:, None], axis=1).ravel()
        return confidence.astype(np.float64), (likeliest == truth).astype(np.float64), np.arange(len(truth))
    rows, columns = np.nonzero(probabilities >= LEAST_CONFIDENCE)
    return probabilities[rows, columns].astype(np.float64), truth[rows, columns].astype(np.float64), rows


def equal_mass_bins(confidence: FloatArray, bins: int) -> NDArray[np.int64]:
    """The bin of each confidence: it depends on how many confidences are lower, so that equal ones share a bin."""
    if not len(confidence):
        return np.zeros(0, dtype=np.int64)
    ascending = np.sort(confidence)
    first = -(-np.arange(1, bins) * len(ascending) // bins)  # at least this many are lower, for each bin but the first
    first = first[first < len(ascending)]
    is_tied = ascending[first - 1] == ascending[first]  # then only higher confidences are in the bin
    edges = np.where(is_tied, np.nextafter(ascending[first], np.inf), ascending[first])
    return np.searchsorted(edges, confidence, side="right")


def document_losses(truth: NDArray[Any], probabilities: NDArray[Any]) -> FloatArray:
    """The log loss and the Brier score of each document, float64 (2, documents); arguments as for `Reliability.of`."""
    losses = np.empty((2, len(truth)))
    for rows in row_blocks(probabilities.shape):
        losses[:, rows] = _losses(truth[rows], probabilities[rows].astype(np.float64))
    return losses


def _losses(truth: NDArray[Any], probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    labels, least = probabilities.shape[1], np.finfo(np.float64).eps
    clipped = np.clip(probabilities, least, 1 - least)
    if truth.ndim == 2:
        of_truth = np.where(truth, clipped, 1 - clipped)
        return -np.log(of_truth).mean(axis=1), np.square(probabilities - truth).mean(axis=1)
    true = truth[:, None]
    of_true = np.take_along_axis(probabilities, true, axis=1).ravel()
    # (1 - p)^2 of the true label, and p^2 of each other one
    squares = np.square(probabilities).sum(axis=1) - np.square(of_true) + np.square(1 - of_true)
    log_loss = -np.log(np.take_along_axis(clipped, true, axis=1).ravel())
    return log_loss, squares / (2 if labels < 3 else 1)


def check_probabilities(truth: NDArray[Any], probabilities: NDArray[Any]) -> None:
    """Raise ValueError unless probabilities are numbers from 0 to 1, (documents, labels)."""
    if (
        probabilities.ndim != 2
        or len(probabilities) != len(truth)
        or truth.shape[1:] not in ((), probabilities.shape[1:])
    ):
        raise ValueError(f"truth is {truth.shape}, but probabilities are {probabilities.shape}")
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1 + 1e-6):
        raise ValueError(f"probabilities must be 0 to 1, but they are {probabilities.min()} to {probabilities.max()}")
