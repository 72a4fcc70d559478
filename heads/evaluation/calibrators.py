"""Calibrators: frozen maps from a head's scores to calibrated logits, fitted to held-out scores, stored as JSON.

Temperature and vector scaling are those of Guo et al. 2017 (On Calibration of Modern Neural Networks, arXiv 1706.04599,
section 4.2), isotonic calibration is that of Zadrozny and Elkan 2002 (Transforming classifier scores into accurate
multiclass probability estimates), one label against the rest. Values of single labels are shrunk to what labels have in
common, so that a rare label cannot get an extreme one.

scores: float (documents, labels), logits or log-probabilities, logits if multi-label; -inf for a label that the head
has not seen, whose probability stays 0.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.score_matrix import row_blocks, scores_to_probabilities

__all__ = [
    "Calibrator",
    "IsotonicCalibration",
    "Sample",
    "TemperatureScaling",
    "Uncalibrated",
    "VectorScaling",
    "calibrator_from_json",
]

Floats = NDArray[np.float64]
Knots = tuple[tuple[float, ...], tuple[float, ...]]  # log-odds, and the calibrated ones

# Both were chosen by the log loss of one half of out-of-fold scores of training documents after a fit to the other
# half, over four heads on Reuters-52 with and without class weights, and simulated scores.
PRECISION = 10.0  # of the normal prior of what a label's scale (its logarithm) and offset add to the common ones
COMMON_PRECISION = 0.1  # of the prior of what labels have in common
PSEUDO_DOCUMENTS = 3.0  # documents that a block of an isotonic fit is given with and without the label, as predicted
MAX_LOG_ODDS = 30.0
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
    """Scores divided by one temperature, which leaves their order as it is."""

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


@dataclass(frozen=True)
class VectorScaling(Calibrator):
    """Each label's score multiplied by its scale, which is above 0, plus its offset."""

    label_scales: tuple[float, ...]
    offsets: tuple[float, ...]
    method: ClassVar[str] = "vector"

    def logits(self, scores: NDArray[Any], *, multilabel: bool) -> Floats:
        """Scaled and moved scores, float64 (documents, labels)."""
        del multilabel
        return np.asarray(scores * self.scales(scores.shape[1]) + np.array(self.offsets))

    def scales(self, labels: int) -> Floats:
        """The scale of each label."""
        if labels != len(self.label_scales):
            raise ValueError(f"the calibration is for {len(self.label_scales)} labels, but there are {labels} columns")
        return np.array(self.label_scales)

    @classmethod
    def fit(cls, sample: Sample, simpler: Calibrator | None = None) -> Self:
        """The scales and offsets with the lowest log loss plus the penalty of what they differ from the common ones.

        Scales have a common factor, and offsets a common term and a common multiple of the label's log-frequency,
        which undoes balanced class weights for rare labels too. What a label adds to these has a normal prior.
        """
        from scipy.optimize import minimize

        scaling = simpler if isinstance(simpler, TemperatureScaling) else TemperatureScaling.fit(sample)
        problem, factor = _VectorProblem(sample, sample.log_frequencies), 1 / scaling.temperature
        units = problem.units(factor)
        start = np.zeros(len(units))
        start[0] = np.log(factor)
        result = minimize(
            lambda values: problem.loss(values * units, units),
            start / units,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 200, "ftol": 1e-6, "gtol": 1e-4},
        )
        factors, offsets = problem.parameters(result.x * units)
        return cls(tuple(factors.tolist()), tuple(offsets.tolist()))


@dataclass(frozen=True)
class IsotonicCalibration(VectorScaling):
    """A monotone map of each label's log-odds after vector scaling; probabilities are then normalized.

    The map is linear between its knots, and adds a constant below the lowest and above the highest one, so that it
    keeps the order of documents.

    knots: of each label, the log-odds at which the map is known, and its values there.
    """

    knots: tuple[Knots, ...]
    method: ClassVar[str] = "isotonic"

    def logits(self, scores: NDArray[Any], *, multilabel: bool) -> Floats:
        """Calibrated log-odds, log-probabilities unless multi-label: float64 (documents, labels)."""
        from scipy.special import log_expit

        odds = _log_odds(super().logits(scores, multilabel=multilabel), multilabel=multilabel)
        for column, (points, values) in enumerate(self.knots):
            old = odds[:, column]
            outside = np.minimum(old - points[0], 0) + np.maximum(old - points[-1], 0)
            odds[:, column] = np.interp(old, points, values) + outside
        odds[np.isneginf(scores)] = -np.inf
        return odds if multilabel else np.asarray(log_expit(odds))

    @classmethod
    def fit(cls, sample: Sample, simpler: Calibrator | None = None) -> Self:
        """The maps with the lowest squared error, moved to the log-odds that they change."""
        scaling = simpler if isinstance(simpler, VectorScaling) else VectorScaling.fit(sample)
        odds: NDArray[np.float32] = np.empty(sample.scores.shape, dtype=np.float32)
        for rows in row_blocks(odds.shape):
            logits = scaling.logits(sample.scores[rows], multilabel=sample.is_multilabel)
            odds[rows] = _log_odds(logits, multilabel=sample.is_multilabel)
        knots = tuple(_fit_knots(odds, sample.truth, column) for column in range(odds.shape[1]))
        return cls(scaling.label_scales, scaling.offsets, knots)


CALIBRATORS: Mapping[str, type[Calibrator]] = {
    calibrator.method: calibrator
    for calibrator in (Uncalibrated, TemperatureScaling, VectorScaling, IsotonicCalibration)
}


def calibrator_from_json(content: Mapping[str, Any]) -> Calibrator:
    """The calibrator that `to_json` returned. Raises ValueError for any other content."""
    values = {name: _to_tuple(value) for name, value in content.items() if name != "method"}
    try:
        return CALIBRATORS[content["method"]](**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the content is not a calibration: {error}") from error


def _to_tuple(value: Any) -> Any:
    return tuple(map(_to_tuple, value)) if isinstance(value, list) else value


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


@dataclass(frozen=True, eq=False)
class _VectorProblem:
    """The penalized log loss of vector scaling.

    Its parameters are float64 (3 + 2 labels,): the logarithm of the common factor, the common offset, the multiple of
    log-frequencies, and what each label adds to the logarithm of its scale, and to its offset.
    """

    sample: Sample
    log_frequencies: Floats

    def parameters(self, values: Floats) -> tuple[Floats, Floats]:
        """The scale and the offset of each label, float64 (labels,)."""
        own_scales, own_offsets = np.split(values[3:], 2)
        return np.exp(values[0] + own_scales), values[1] + values[2] * self.log_frequencies + own_offsets

    def loss(self, values: Floats, units: Floats) -> tuple[float, Floats]:
        """The loss, and its derivative by the parameters in `units`."""
        scales, offsets = self.parameters(values)
        total, by_scale, by_offset = 0.0, np.zeros(len(scales)), np.zeros(len(scales))
        for rows in row_blocks(self.sample.scores.shape):
            scaled = self.sample.scores[rows] * scales
            loss, residuals = self.sample.loss(rows, scaled + offsets)
            total += loss
            by_scale += np.einsum("dl,dl->l", residuals, scaled)
            by_offset += residuals.sum(axis=0)
        penalized = np.concatenate([COMMON_PRECISION * values[:3], PRECISION * values[3:]])
        common = [by_scale.sum(), by_offset.sum(), by_offset @ self.log_frequencies]
        derivative = np.concatenate([common, by_scale, by_offset]) + penalized
        return total + float(values @ penalized) / 2, derivative * units

    def units(self, factor: float) -> Floats:
        """The step of each parameter that changes the loss about equally if all scores are multiplied by a factor.

        float64 (3 + 2 labels,): one over the root of the diagonal of the Hessian.
        """
        by_scale, by_offset = np.zeros((2, self.sample.scores.shape[1]))
        for rows in row_blocks(self.sample.scores.shape):
            scaled = self.sample.scores[rows] * factor
            _, residuals = self.sample.loss(rows, scaled.copy())
            variances = np.abs(residuals) * (1 - np.abs(residuals))
            by_offset += variances.sum(axis=0)
            by_scale += np.einsum("dl,dl,dl->l", variances, scaled, scaled)
        common = [by_scale.sum(), by_offset.sum(), by_offset @ self.log_frequencies**2]
        return 1 / np.sqrt(np.concatenate([common, by_scale + PRECISION, by_offset + PRECISION]) + COMMON_PRECISION)


def _log_odds(logits: Floats, *, multilabel: bool) -> Floats:
    """Log-odds of each label against the others, at most MAX_LOG_ODDS from 0: float64 (documents, labels)."""
    from scipy.special import log_softmax

    if not multilabel:
        log_probabilities = np.minimum(log_softmax(logits, axis=1), -np.exp(-MAX_LOG_ODDS))
        logits = log_probabilities - np.log(-np.expm1(log_probabilities))
    return np.clip(logits, -MAX_LOG_ODDS, MAX_LOG_ODDS)


def _fit_knots(odds: NDArray[np.float32], truth: NDArray[Any], column: int) -> Knots:
    """The knots of one label: the predicted log-odds of each block of an isotonic regression, and the found ones.

    A block's share of documents with the label is compared with the predicted one, after PSEUDO_DOCUMENTS with and
    without it were added to both, so that a block without any changes little if few were predicted.
    """
    from scipy.optimize import isotonic_regression
    from scipy.special import expit, logit

    seen = np.flatnonzero(odds[:, column] > -MAX_LOG_ODDS)
    if not len(seen):
        return (0.0,), (0.0,)
    has_label = truth[seen, column] if truth.ndim == 2 else truth[seen] == column
    points, place, documents = np.unique(odds[seen, column].astype(np.float64), return_inverse=True, return_counts=True)
    found = np.bincount(place, weights=has_label)
    starts = isotonic_regression(found / documents, weights=documents).blocks[:-1]
    sums = (found, documents * expit(points), documents.astype(np.float64))
    found, predicted, documents = (np.add.reduceat(values, starts) for values in sums)
    with_label = np.log((found + PSEUDO_DOCUMENTS) / (predicted + PSEUDO_DOCUMENTS))
    without_label = np.log((documents - found + PSEUDO_DOCUMENTS) / (documents - predicted + PSEUDO_DOCUMENTS))
    points = logit(predicted / documents)
    return tuple(points.tolist()), tuple(np.maximum.accumulate(points + with_label - without_label).tolist())
