"""Decisions for documents among which labels have other frequencies than in training.

A shift is used if it is no noise, and if it does not lower the metric: training documents are resampled as often with
the frequencies of training as with the estimated ones, and the same steps are taken on their out-of-fold scores. Half
of the latter choose the share of the shift that the rule gets: a head with balanced class weights has undone the
frequencies of training already, and a rule for macro-F1 needs less than one for accuracy. The other half measures it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.label_frequencies import LEAST, estimate_frequencies, frequency_offsets, reweighted

__all__ = ["LabelShift", "ShiftEvidence", "ShiftMetric", "TrainingDocuments", "fit_label_shift"]

Floats = NDArray[np.float64]

RESAMPLES = 20
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)  # the shares of the shift that are tried
MAX_DOCUMENTS = 5_000  # of a resample
MARGIN = 4.0  # standard deviations of the evidence for a shift that documents with the frequencies of training give
RAKING_STEPS = 20


@dataclass(frozen=True)
class ShiftEvidence:
    """Why a label shift is used, or not.

    Attributes:
        documents: number of new documents.
        log_likelihood_ratio: how much more probable the scores of new documents are with the estimated frequencies
            than with those of training.
        expected_ratio: the same, mean over resamples with the frequencies of training.
        ratio_deviation: its standard deviation over these resamples.
        metric: name of the metric that the rule was chosen for.
        unshifted: its mean over training documents that are resampled with the estimated frequencies.
        shifted: the same with a shift that was estimated on each resample.
        standard_error: of the difference, over resamples.
        is_better: whether `shifted` is not worse than `unshifted`.
    """

    documents: int
    log_likelihood_ratio: float
    expected_ratio: float
    ratio_deviation: float
    metric: str
    unshifted: float
    shifted: float
    standard_error: float
    is_better: bool

    @property
    def is_significant(self) -> bool:
        """Whether new documents have other frequencies than those of training, beyond noise."""
        return self.log_likelihood_ratio > self.expected_ratio + MARGIN * self.ratio_deviation

    @property
    def sentence(self) -> str:
        """Whether the shift is used, and the numbers that say so."""
        if not self.is_significant:
            return (
                "The frequencies of labels in the new documents are those of training, as far as their scores tell "
                f"(log-likelihood ratio {self.log_likelihood_ratio:.1f}, {self.expected_ratio:.1f} ± "
                f"{self.ratio_deviation:.1f} for training documents): the label shift is not used."
            )
        used = "it is used for new documents, not in the metrics of the run"
        used = used if self.is_better else "it is not used, because that is worse"
        return (
            f"The label shift changes the {self.metric} from {self.unshifted:.3f} to {self.shifted:.3f} (± "
            f"{self.standard_error:.3f}) on training documents that are resampled with the frequencies of the new "
            f"documents: {used}."
        )


@dataclass(frozen=True)
class LabelShift:
    """Other frequencies of labels than in training, and how they move scores and probabilities.

    Attributes:
        training: the frequency of each label in training, as the calibrated probabilities see it.
        frequencies: the estimated frequency of each label in the new documents.
        scales: by how much a label's calibrated logit rises if its score rises by 1.
        strength: the share of the shift that the rule gets.
        is_multilabel: whether documents have any number of labels.
        evidence: why the shift is used, or not.
    """

    training: tuple[float, ...]
    frequencies: tuple[float, ...]
    scales: tuple[float, ...]
    strength: float
    is_multilabel: bool
    evidence: ShiftEvidence

    @property
    def is_used(self) -> bool:
        """Whether the shift moves anything."""
        return self.evidence.is_significant and self.evidence.is_better

    @property
    def sentence(self) -> str:
        """Whether the shift is used, and the numbers that say so."""
        return self.evidence.sentence

    @property
    def offsets(self) -> Floats:
        """What is added to the calibrated logit of each label, float64 (labels,)."""
        return frequency_offsets(np.array(self.frequencies), np.array(self.training), multilabel=self.is_multilabel)

    def shift_scores(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Scores for a rule that was fitted without the shift, float64 (documents, labels) if it is used."""
        return scores + self.strength * self.offsets / np.array(self.scales) if self.is_used else scores

    def shift_probabilities(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities under the new frequencies, float32 (documents, labels)."""
        if not self.is_used:
            return probabilities
        frequencies, training = np.array(self.frequencies), np.array(self.training)
        exact = probabilities.astype(np.float64)
        shifted, _ = reweighted(exact, frequencies, training, multilabel=self.is_multilabel)
        return shifted.astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`, whether the shift is used, and the sentence."""
        return {**asdict(self), "is_used": self.is_used, "sentence": self.sentence}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The label shift that `to_json` returned."""
        training, frequencies, scales = (tuple(content[name]) for name in ("training", "frequencies", "scales"))
        evidence = ShiftEvidence(**content["evidence"])
        return cls(training, frequencies, scales, content["strength"], content["is_multilabel"], evidence)


@dataclass(frozen=True, eq=False)
class TrainingDocuments:
    """Documents that the head was not fitted on.

    Attributes:
        scores: float (documents, labels).
        probabilities: (documents, labels), calibrated and cross-fitted.
        truth: int64 (documents,), or bool (documents, labels).
    """

    scores: NDArray[Any]
    probabilities: NDArray[np.float32]
    truth: NDArray[Any]

    @property
    def is_multilabel(self) -> bool:
        """Whether documents have any number of labels."""
        return self.truth.ndim == 2

    @cached_property
    def frequencies(self) -> Floats:
        """The mean probability of each label, float64 (labels,)."""
        return np.asarray(np.maximum(self.probabilities.mean(axis=0, dtype=np.float64), LEAST))

    def draw(self, random: np.random.Generator, frequencies: Floats | None, size: int) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of resamples of `size` documents with these frequencies of labels, None for those of all."""
        chances = None if frequencies is None else self.chances(frequencies)
        return (random.choice(len(self.truth), size, p=chances) for _ in range(RESAMPLES))

    def chances(self, frequencies: Floats) -> Floats:
        """The chance of each document to be drawn, so that labels have these frequencies: float64 (documents,)."""
        if self.is_multilabel:
            return _rake(self.truth, frequencies)
        documents = np.bincount(self.truth, minlength=len(frequencies))
        chances = (frequencies / np.maximum(documents, 1))[self.truth]
        return np.asarray(chances / chances.sum())

    def shift(self, rows: NDArray[np.int64]) -> Floats:
        """What a shift to the frequencies that are estimated in some rows adds to each label's logit."""
        estimated, _ = estimate_frequencies(self.probabilities[rows], self.frequencies, multilabel=self.is_multilabel)
        return frequency_offsets(estimated, self.frequencies, multilabel=self.is_multilabel)


def _rake(truth: NDArray[np.bool_], frequencies: Floats) -> Floats:
    """Chances of documents with a factor per label, which are fitted one after the other (Deming & Stephan 1940)."""
    logs, target = np.zeros(len(frequencies)), np.clip(frequencies, LEAST, 1 - LEAST)
    has_label = truth.astype(np.float64)
    found = truth.any(axis=0)  # a label without documents cannot be drawn
    chances = np.full(len(truth), 1 / len(truth))
    for _ in range(RAKING_STEPS):
        current = np.clip(chances @ has_label, LEAST, 1 - LEAST)
        steps = np.log(target) - np.log1p(-target) - np.log(current) + np.log1p(-current)
        logs += np.where(found, np.clip(steps, -2, 2), 0) / 2  # labels of one document push together
        exponents = has_label @ logs
        chances = np.exp(exponents - exponents.max())
        chances /= chances.sum()
    return chances


@dataclass(frozen=True)
class ShiftMetric:
    """What a rule was chosen for.

    Attributes:
        name: of the metric.
        sign: -1 if lower is better.
        value: of predictions for some rows of the training documents.
    """

    name: str
    sign: int
    value: Callable[[NDArray[np.int64], NDArray[Any]], float]


def fit_label_shift(
    probabilities: NDArray[np.float32],
    training: TrainingDocuments,
    scales: Floats,
    decide: Callable[[NDArray[Any]], NDArray[Any]],
    metric: ShiftMetric,
    seed: int = 0,
) -> LabelShift:
    """Estimate the frequencies of labels in new documents, and whether a shift to them helps.

    Args:
        probabilities: of new documents, (documents, labels), calibrated for the frequencies of training.
        training: documents that the head was not fitted on.
        scales: float64 (labels,), of the calibration.
        decide: predictions of scores, by the rule without a shift.
        metric: of predictions for training documents.
        seed: of the resamples.

    Returns:
        The shift; `is_used` says whether it is used.
    """
    random, multilabel = np.random.default_rng(seed), training.is_multilabel
    if len(probabilities) > MAX_DOCUMENTS:
        probabilities = probabilities[random.choice(len(probabilities), MAX_DOCUMENTS, replace=False)]
    frequencies, ratio = estimate_frequencies(probabilities, training.frequencies, multilabel=multilabel)
    null_ratios = [
        estimate_frequencies(training.probabilities[rows], training.frequencies, multilabel=multilabel)[1]
        for rows in training.draw(random, None, len(probabilities))
    ]
    # the frequencies of training are those of a sample too, which draws from that sample do not show
    spread = 1 + len(probabilities) / len(training.truth)
    rows_of_resamples = training.draw(random, frequencies, len(probabilities))
    values = np.array([_values_by_strength(training, rows, scales, decide, metric) for rows in rows_of_resamples])
    chosen, measured = values[::2].mean(axis=0) * metric.sign, values[1::2]
    strength = 1 + int(chosen[1:].argmax())
    gains = metric.sign * (measured[:, strength] - measured[:, 0])
    evidence = ShiftEvidence(
        documents=len(probabilities),
        log_likelihood_ratio=ratio,
        expected_ratio=spread * float(np.mean(null_ratios)),
        ratio_deviation=spread * float(np.std(null_ratios, ddof=1)),
        metric=metric.name,
        unshifted=float(measured[:, 0].mean()),
        shifted=float(measured[:, strength].mean()),
        standard_error=float(gains.std(ddof=1) / np.sqrt(len(gains))),
        is_better=bool(gains.mean() >= 0),
    )
    means, estimated, factors = (tuple(each.tolist()) for each in (training.frequencies, frequencies, scales))
    return LabelShift(means, estimated, factors, STRENGTHS[strength], multilabel, evidence)


def _values_by_strength(
    training: TrainingDocuments,
    rows: NDArray[np.int64],
    scales: Floats,
    decide: Callable[[NDArray[Any]], NDArray[Any]],
    metric: ShiftMetric,
) -> list[float]:
    """The metric of some rows for each of STRENGTHS of a shift that is estimated on them."""
    scores, moved = training.scores[rows], training.shift(rows) / scales
    return [metric.value(rows, decide(scores + strength * moved)) for strength in STRENGTHS]
