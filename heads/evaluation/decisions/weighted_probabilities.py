"""The decision rule that has the best expected F-beta of all documents together, if their probabilities are exact."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.decisions.optimizers.flips import FBetaSum
from heads.evaluation.decisions.rules import DecisionRule, Scores
from heads.evaluation.score_matrix import row_blocks

PRIOR = 3.0  # documents that each label has and is expected to have: of 0.5 to 30, good for exact and for biased scores
MATCHES = 4  # iterations until the expected numbers of documents are those of the sample
STEPS = 8  # iterations until the rule is that of its own counts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WeightedProbabilities(DecisionRule):
    """The label with the highest weight times its probability, minus its price.

    F-beta of a label is a ratio of counts, so a document that is predicted to have it changes the sum over labels by
    about ((1 + beta^2) p - F) / (beta^2 documents + predicted), with the probability p. This is linear in p: the best
    rule has this form (Koyejo et al. 2015, Consistent Multilabel Classification; Narasimhan et al. 2015, Consistent
    Multiclass Algorithms for Complex Performance Measures). All counts are expected ones, which need no truth.

    Attributes:
        offsets: added to the score of each label before the softmax, so that as many documents are expected to have it
            as do.
        weights, prices: of each label.
    """

    offsets: tuple[float, ...]
    weights: tuple[float, ...]
    prices: tuple[float, ...]
    family: ClassVar[str] = "weighted probabilities"

    @classmethod
    def fit(cls, scores: Floats, truth: NDArray[np.int64], value: FBetaSum) -> Self:
        """The rule of a sample.

        Args:
            scores: float64 (documents, labels), shifted per row to a maximum of 0.
            truth: int64 (documents,), of which only the number of documents per label is used.
            value: the metric.

        Returns:
            The rule.
        """
        documents = np.bincount(truth, minlength=scores.shape[1]).astype(np.float64)
        share, matched = np.exp(scores.astype(np.float32)), np.ones(scores.shape[1])
        for _ in range(MATCHES):
            expected = matched * (
                (1 / np.maximum(share @ matched.astype(np.float32), 1e-30)).astype(np.float32) @ share
            )
            matched *= (documents + PRIOR) / (expected + PRIOR)
        probabilities = share * matched.astype(np.float32)
        probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-30)
        predicted, documents = probabilities.argmax(axis=1), probabilities.sum(axis=0, dtype=np.float64)
        weights, prices = _weigh(probabilities, predicted, documents, value)
        for _ in range(STEPS):
            gains = probabilities * weights.astype(np.float32)
            gains -= prices.astype(np.float32)
            before, predicted = predicted, gains.argmax(axis=1)
            if np.array_equal(before, predicted):
                break
            weights, prices = _weigh(probabilities, predicted, documents, value)
        return cls(*(tuple(each.tolist()) for each in (np.log(matched), weights, prices)))

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        offsets, weights, prices = (np.array(each) for each in (self.offsets, self.weights, self.prices))
        if len(offsets) != scores.shape[1]:
            raise ValueError(f"the rule is for {len(offsets)} labels, but the scores have {scores.shape[1]} columns")
        predicted = np.empty(len(scores), dtype=np.int64)
        for rows in row_blocks(scores.shape):
            exact = scores[rows].astype(np.float64) + offsets
            highest = exact.max(axis=1, keepdims=True)
            probabilities = np.exp(exact - np.where(np.isfinite(highest), highest, 0.0))
            probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-30)
            gains = np.where(np.isneginf(exact) & np.isfinite(highest), -np.inf, probabilities * weights - prices)
            predicted[rows] = gains.argmax(axis=1)
        return predicted

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for reordered columns."""
        names = ("offsets", "weights", "prices")
        return replace(self, **{name: tuple(getattr(self, name)[column] for column in order) for name in names})


def _weigh(
    probabilities: Floats, predicted: NDArray[np.int64], documents: Floats, value: FBetaSum
) -> tuple[Floats, Floats]:
    """The weight and the price of each label for the expected counts of these predictions."""
    labels, squared = len(documents), value.beta**2
    own = probabilities[np.arange(len(predicted)), predicted]
    hits = np.bincount(predicted, own, minlength=labels)
    size = squared * np.maximum(documents, 0.5) + np.maximum(np.bincount(predicted, minlength=labels), 1)
    scale = (documents if value.weighted else 1.0) / size
    return (1 + squared) * scale, (1 + squared) * hits / size * scale
