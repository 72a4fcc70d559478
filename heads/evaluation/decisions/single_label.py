"""Decision rules for one label per document, ordinal ones included, fitted to scores and truth.

Each family returns its candidates from the most constrained to the most flexible.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.calibration.calibrators import Sample as CalibrationSample
from heads.evaluation.calibration.calibrators import TemperatureScaling
from heads.evaluation.decisions.expected_rules import LowestExpectedCost, WeightedProbabilities
from heads.evaluation.decisions.optimizers.ascent import CoordinateAscent
from heads.evaluation.decisions.optimizers.envelope import Envelope
from heads.evaluation.decisions.optimizers.flips import FBetaSum, FlipValue, NegativeCost
from heads.evaluation.decisions.optimizers.search import shrink_to_common
from heads.evaluation.decisions.rules import Argmax, DecisionRule, LogitAdjustment, PerLabelOffsets, WeightedMedian

Scores = NDArray[np.float64]
Codes = NDArray[np.int64]


class _Shared:
    """What is computed once for all documents, and used in the sample of every fold."""

    def __init__(self, scores: Scores, truth: Codes) -> None:
        self.scores, self.truth = scores, truth

    @cached_property
    def log_prior(self) -> NDArray[np.float64]:
        """The log of each label's share, float64 (labels,)."""
        # a label without documents counts as one document, because log(0) would be an infinite offset
        documents = np.maximum(np.bincount(self.truth, minlength=self.scores.shape[1]), 1)
        return np.asarray(np.log(documents / documents.sum()))

    @cached_property
    def envelope(self) -> Envelope:
        """The flips of all documents by logit adjustment."""
        return Envelope.of(self.scores, -self.log_prior)


@dataclass(frozen=True, eq=False)
class Sample:
    """Documents that rules are fitted to: the rows of all documents that `rows` selects.

    all_scores: float64 (documents, labels), shifted per row to a maximum of 0; for ordinal labels the columns go from
        the lowest label to the highest.
    all_truth: int64 (documents,).
    rows: bool (documents,).
    value: what rules are fitted to.
    shared: what samples of the same documents share.
    """

    all_scores: Scores
    all_truth: Codes
    rows: NDArray[np.bool_]
    value: FlipValue
    shared: _Shared = field(repr=False)

    @classmethod
    def of_all(cls, scores: Scores, truth: Codes, value: FlipValue | None = None) -> Self:
        """The sample of all documents. value: macro-F1 by default."""
        return cls(scores, truth, np.ones(len(truth), dtype=bool), value or FBetaSum(), _Shared(scores, truth))

    @property
    def scores(self) -> Scores:
        """The scores of these documents; a copy is not kept, because every fold of every repeat would keep one."""
        return self.all_scores if self.rows.all() else np.asarray(self.all_scores[self.rows])

    @property
    def truth(self) -> Codes:
        """The labels of these documents."""
        return np.asarray(self.all_truth[self.rows])

    @cached_property
    def adjustment(self) -> LogitAdjustment:
        """The logit adjustment with the best metric; among ties the smallest."""
        labels = self.all_scores.shape[1]
        strength = self.shared.envelope.best_strength(self.all_truth, self.rows, labels, self.value)
        return LogitAdjustment(strength, tuple(self.shared.log_prior.tolist()))


def argmax(sample: Sample) -> list[DecisionRule]:
    """The rule without a fitted parameter."""
    del sample
    return [Argmax()]


def equal_priors(sample: Sample) -> list[DecisionRule]:
    """Argmax after dividing probabilities by the labels' shares, which has the best expected balanced accuracy.

    Menon et al. 2013, On the statistical consistency of algorithms for binary classification under class imbalance.
    """
    return [LogitAdjustment(1.0, tuple(sample.shared.log_prior.tolist()))]


def logit_adjustment(sample: Sample) -> list[DecisionRule]:
    """The strength with the best metric; among ties the smallest."""
    return [sample.adjustment]


def weighted_probabilities(sample: Sample) -> list[DecisionRule]:
    """The rule with the best expected metric, whose only fitted numbers are the labels' numbers of documents."""
    assert isinstance(sample.value, FBetaSum)
    return [WeightedProbabilities.fit(sample.scores, sample.truth, sample.value)]


def per_label_offsets(sample: Sample) -> list[DecisionRule]:
    """Offsets by coordinate ascent on the metric, started at those of logit adjustment and then shrunk to them."""
    common, scores, truth = sample.adjustment.offsets, sample.scores, sample.truth
    documents = np.bincount(truth, minlength=scores.shape[1])
    flexible = CoordinateAscent(scores, truth, common, sample.value).run()
    return [PerLabelOffsets(offsets) for offsets in shrink_to_common(flexible, common, documents)]


def weighted_median(sample: Sample) -> list[DecisionRule]:
    """The rule with the lowest expected absolute error for ordinal labels; it has no fitted parameter."""
    del sample
    return [WeightedMedian()]


def lowest_expected_cost(sample: Sample) -> list[DecisionRule]:
    """The Bayes rule of a cost matrix, without a fitted parameter."""
    assert isinstance(sample.value, NegativeCost)
    return [LowestExpectedCost.of(sample.value.costs)]


def tempered_expected_cost(sample: Sample) -> list[DecisionRule]:
    """The same with the temperature at which the probabilities fit best."""
    assert isinstance(sample.value, NegativeCost)
    scaling = TemperatureScaling.fit(CalibrationSample.of(sample.scores, sample.truth))
    return [LowestExpectedCost.of(sample.value.costs, scaling.temperature)]
