"""Calibrators: frozen maps from a head's scores to calibrated logits, fitted to held-out scores, stored as JSON.

scores: float (documents, labels), logits or log-probabilities, logits if multi-label; -inf for a label that the head
has not seen, whose probability stays 0.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.score_matrix import row_blocks, scores_to_probabilities

__all__ = ["Calibrator", "Sample", "TemperatureScaling", "Uncalibrated", "document_log_losses"]

Floats = NDArray[np.float64]

LOWEST = -200.0  # below the highest logit of a document: lower ones would be slow, as the smallest numbers are
UNSEEN = -1e9  # a score whose probability is 0 and whose product with 0 is 0
STEPS, TOLERANCE, MAX_RATIO = 60, 1e-7, 4.0  # of Newton's method for a temperature


@dataclass(frozen=True, eq=False)
class Sample:
    """Documents that calibrators are fitted to.

    scores: float64 (documents, labels), UNSEEN for -inf. truth: int (documents,), or bool (documents, labels) if
        multi-label.
    """

    scores: NDArray[Any]
    truth: NDArray[Any]

    @classmethod
    def of(cls, scores: NDArray[Any], truth: NDArray[Any]) -> Self:
        """The documents that can be fitted: a label that the head has not seen teaches nothing."""
        unseen = np.isneginf(scores)
        if truth.ndim == 2:
            return cls(np.where(unseen, UNSEEN, scores), truth & ~unseen)
        known = ~unseen[np.arange(len(truth)), truth]
        return cls(np.where(unseen[known], UNSEEN, scores[known]), truth[known])

    @property
    def is_multilabel(self) -> bool:
        """Whether documents have any number of labels."""
        return self.truth.ndim == 2

    @property
    def log_frequencies(self) -> Floats:
        """The logarithm of each label's share of the documents, its log-odds if multi-label: float64 (labels,)."""
        labels, documents = self.scores.shape[1], len(self.truth)
        if self.is_multilabel:
            positive = self.truth.sum(axis=0) + 0.5
            return np.asarray(np.log(positive / (documents + 1 - positive)))
        return np.asarray(np.log((np.bincount(self.truth, minlength=labels) + 0.5) / (documents + labels / 2)))

    def loss(self, rows: slice, logits: Floats) -> tuple[float, Floats]:
        """The log loss of some rows, and its derivative by their logits, in whose place it is written."""
        from scipy.special import expit

        truth = self.truth[rows]
        if self.is_multilabel:
            loss = float(np.logaddexp(0, np.where(truth, -logits, logits)).sum())
            return loss, np.subtract(expit(logits, out=logits), truth, out=logits)
        documents = np.arange(len(truth))
        logits -= logits.max(axis=1, keepdims=True)
        true_logits = logits[documents, truth].sum()
        sums = np.exp(np.maximum(logits, LOWEST, out=logits), out=logits).sum(axis=1, keepdims=True)
        logits /= sums
        logits[documents, truth] -= 1
        return float(np.log(sums).sum() - true_logits), logits


class Calibrator:
    """A map from scores to logits; `method` is its name for a reader and in JSON."""

    method: ClassVar[str]

    def logits(self, scores: NDArray[Any], *, multilabel: bool) -> Floats:
        """Calibrated logits, float64 (documents, labels): log-probabilities up to a constant, or logits."""
        raise NotImplementedError

    @classmethod
    def fit(cls, sample: Sample, simpler: "Calibrator | None" = None) -> Self:
        """Fit a calibrator. simpler: of the method before, fitted to the same sample; None to fit it here."""
        raise NotImplementedError

    def scales(self, labels: int) -> Floats:
        """By how much a label's logit rises if its score rises by 1, float64 (labels,)."""
        return np.ones(labels)

    def probabilities(self, scores: NDArray[Any], *, multilabel: bool) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 (documents, labels)."""
        probabilities = np.empty(scores.shape, dtype=np.float32)
        for rows in row_blocks(scores.shape):
            logits = self.logits(scores[rows], multilabel=multilabel)
            probabilities[rows] = scores_to_probabilities(logits, multilabel=multilabel)
        return probabilities

    def to_json(self) -> dict[str, Any]:
        """Plain values for `calibrator_from_json`."""
        return {"method": self.method, **asdict(self)}  # type: ignore[call-overload]  # every calibrator is a dataclass


@dataclass(frozen=True)
class Uncalibrated(Calibrator):
    """The scores as they are."""

    method: ClassVar[str] = "none"

    def logits(self, scores: NDArray[Any], *, multilabel: bool) -> Floats:
        """The scores, float64 (documents, labels)."""
        del multilabel
        return scores.astype(np.float64)

    @classmethod
    def fit(cls, sample: Sample, simpler: Calibrator | None = None) -> Self:
        """Nothing is fitted."""
        del sample, simpler
        return cls()


@dataclass(frozen=True)
class TemperatureScaling(Calibrator):
    """Scores divided by one temperature, which leaves their order as it is.

    Guo et al. 2017, On Calibration of Modern Neural Networks (arXiv 1706.04599), section 4.2.
    """

    temperature: float
    method: ClassVar[str] = "temperature"

    def logits(self, scores: NDArray[Any], *, multilabel: bool) -> Floats:
        """Scaled scores, float64 (documents, labels)."""
        del multilabel
        return np.asarray(scores / np.float64(self.temperature))

    def scales(self, labels: int) -> Floats:
        """The inverse of the temperature, for each label."""
        return np.full(labels, 1 / self.temperature)

    @classmethod
    def fit(cls, sample: Sample, simpler: Calibrator | None = None) -> Self:
        """The temperature with the lowest log loss, by Newton's method for its inverse.

        A standard normal prior of its logarithm keeps it finite if the scores make no mistake.
        """
        del simpler
        factor = 1.0
        for _ in range(STEPS):
            slope, curvature = _temperature_derivatives(sample, factor)
            slope, curvature = slope + np.log(factor) / factor, curvature + 1 / factor**2
            step = np.clip(factor - slope / curvature, factor / MAX_RATIO, factor * MAX_RATIO) / factor
            factor *= step
            if abs(np.log(step)) < TOLERANCE:
                break
        return cls(float(1 / factor))


def document_log_losses(calibrator: "Calibrator", scores: NDArray[Any], truth: NDArray[Any]) -> Floats:
    """The log loss of each document, summed over labels if multi-label: float64 (documents,).

    A label that the head has not seen adds nothing, because its probability is 0 whatever the calibrator.
    """
    losses = np.zeros(len(truth))
    for rows in row_blocks(scores.shape):
        logits = calibrator.logits(scores[rows], multilabel=truth.ndim == 2)
        losses[rows] = (
            _label_losses(logits, truth[rows]).sum(axis=1) if truth.ndim == 2 else _losses(logits, truth[rows])
        )
    return losses


def _label_losses(logits: Floats, truth: NDArray[np.bool_]) -> Floats:
    signed = np.where(truth, -logits, logits)
    return np.where(np.isfinite(logits), np.logaddexp(0, signed), 0.0)


def _losses(logits: Floats, truth: NDArray[np.int64]) -> Floats:
    from scipy.special import logsumexp

    true_logits = logits[np.arange(len(truth)), truth]
    return np.where(np.isfinite(true_logits), logsumexp(logits, axis=1) - true_logits, 0.0)


def _temperature_derivatives(sample: Sample, factor: float) -> tuple[float, float]:
    """The first and second derivative of the log loss by the factor of the scores."""
    slope = curvature = 0.0
    for rows in row_blocks(sample.scores.shape):
        scores = sample.scores[rows]
        _, residuals = sample.loss(rows, factor * scores)
        slope += float((residuals * scores).sum())
        probabilities = residuals + _indicators(sample.truth[rows], scores.shape[1])
        if sample.is_multilabel:
            curvature += float((probabilities * (1 - probabilities) * scores**2).sum())
        else:
            means = np.einsum("dl,dl->d", probabilities, scores)
            curvature += float(np.einsum("dl,dl,dl->", probabilities, scores, scores) - means @ means)
    return slope, curvature


def _indicators(truth: NDArray[Any], labels: int) -> Floats:
    """1 for each label of a document, float64 (documents, labels)."""
    if truth.ndim == 2:
        return truth.astype(np.float64)
    indicators = np.zeros((len(truth), labels))
    indicators[np.arange(len(truth)), truth] = 1
    return indicators
