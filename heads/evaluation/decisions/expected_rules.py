"""Rules with the best expected value: of a cost matrix, of F-beta of a document, and of F-beta of all documents."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.decisions.optimizers.flips import FBetaSum
from heads.evaluation.decisions.rules import (
    DecisionRule,
    Scores,
    ThresholdRule,
    raised_scores,
    seen_probabilities,
    with_parents,
)
from heads.evaluation.score_matrix import row_blocks

LEAST = 1e-4  # labels with a lower probability in all documents of a block are left out
MOST = 64  # labels of a document at most, the most probable ones: the others hardly change what is best
BLOCK = 2**14  # documents times labels that are computed together, which fits into the cache of a core
PRIOR = 3.0  # documents that each label has and is expected to have: of 0.5 to 30, good for exact and for biased scores
MATCHES = 4  # iterations until the expected numbers of documents are those of the sample
STEPS = 8  # iterations until the rule is that of its own counts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LowestExpectedCost(DecisionRule):
    """The label with the lowest expected cost under the softmax of the scores, the first among ties.

    No other decision has a lower expected cost (Elkan 2001, The Foundations of Cost-Sensitive Learning, section 1.1).
    A label with a score of -inf, which the head has not seen, is not predicted.

    Attributes:
        costs: of each true label (rows) if a label (columns) is predicted.
        temperature: what scores are divided by.
    """

    costs: tuple[tuple[float, ...], ...]
    temperature: float = 1.0
    family: ClassVar[str] = "lowest expected cost"

    @classmethod
    def of(cls, costs: NDArray[np.float64], temperature: float = 1.0) -> Self:
        """The rule of costs (true labels, predicted labels)."""
        return cls(tuple(map(tuple, costs.tolist())), temperature)

    @property
    def name(self) -> str:
        """The family, and whether it has a temperature."""
        return self.family if self.temperature == 1.0 else f"{self.family} with temperature"

    def decide(self, scores: Scores) -> NDArray[np.int64]:
        """int64 (documents,)."""
        costs = np.array(self.costs)
        if costs.shape[0] != scores.shape[1]:
            raise ValueError(f"the rule is for {len(costs)} labels, but the scores have {scores.shape[1]} columns")
        predicted = np.empty(len(scores), dtype=np.int64)
        for rows in row_blocks(scores.shape):
            probabilities, is_unseen = seen_probabilities(scores[rows].astype(np.float64) / self.temperature)
            predicted[rows] = np.where(is_unseen, np.inf, probabilities @ costs).argmin(axis=1)
        return predicted

    def reordered(self, order: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same rule for reordered columns."""
        costs: Any = np.array(self.costs)[np.ix_(np.asarray(order), np.asarray(order))]
        return replace(self, costs=tuple(map(tuple, costs.tolist())))


@dataclass(frozen=True)
class BestExpectedFBeta(ThresholdRule):
    """The set of labels with the highest expected F-beta of a document, which is 1 if both sets are empty.

    For independent labels, the best set of m labels has the m most probable ones, and its expected value follows from
    the distributions of how many of these and of the other labels are true. Each takes time in the square of the number
    of labels: Ye, Chai, Lee & Chieu 2012, Optimizing F-measures: A Tale of Two Approaches (ICML), section 4.2.
    """

    beta: float = 1.0
    family: ClassVar[str] = "highest expected F of a document"

    def decide(self, scores: Scores) -> NDArray[np.bool_]:
        """bool (documents, labels)."""
        from scipy.special import expit

        chosen = np.zeros(scores.shape, dtype=bool)
        raised = raised_scores(scores, self.parents)
        step = max(1, BLOCK // max(1, min(MOST, scores.shape[1])))
        for start in range(0, len(scores), step):
            probabilities = expit(raised[start : start + step].astype(np.float64))
            order = np.argsort(-probabilities, axis=1, kind="stable")[:, :MOST]
            highest = np.take_along_axis(probabilities, order, axis=1)
            used = max(1, int(np.count_nonzero(highest.max(axis=0) > LEAST)))
            best = _expected_values(highest[:, :used], self.beta).argmax(axis=1)
            np.put_along_axis(chosen[start : start + step], order, np.arange(order.shape[1]) < best[:, None], axis=1)
        return with_parents(chosen, self.parents)


def _expected_values(probabilities: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """The expected F-beta of the first 0, 1, 2, ... labels, (documents, labels + 1). probabilities: descending."""
    labels = probabilities.shape[1]
    first, last = _count_distributions(probabilities), _count_distributions(probabilities[:, ::-1])
    values = np.empty((len(probabilities), labels + 1))
    values[:, 0] = last[labels][:, 0]
    for size in range(1, labels + 1):
        others = last[labels - size]  # how many of the labels after the first `size` are true
        true = np.arange(size + 1) + np.arange(others.shape[1])[:, None]
        inverse = others @ (1 / (beta**2 * true + size))
        values[:, size] = (1 + beta**2) * (np.arange(size + 1) * first[size] * inverse).sum(axis=1)
    return values


def _count_distributions(probabilities: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """For the first 0, 1, 2, ... labels, the probabilities that 0, 1, 2, ... of them are true: (documents, n + 1)."""
    distributions = [np.ones((len(probabilities), 1))]
    for column in probabilities.T[:, :, None]:
        last = distributions[-1]
        empty = np.zeros((len(last), 1))
        distributions.append(np.hstack([last * (1 - column), empty]) + np.hstack([empty, last * column]))
    return distributions


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
            probabilities, is_unseen = seen_probabilities(scores[rows].astype(np.float64) + offsets)
            predicted[rows] = np.where(is_unseen, -np.inf, probabilities * weights - prices).argmax(axis=1)
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
