"""How metrics of multi-label predictions change as pairs of a document and a label are predicted one by one.

A `PairValue` computes a metric after each pair, so that one sort finds the best common threshold, and searches the best
threshold of each label: exactly for metrics that are a sum over labels and for micro averages, label by label with the
others fixed for metrics of documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.decisions.optimizers.search import best_threshold, cumulate, sort_labels

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

ITERATIONS = 50  # of Dinkelbach's method, which takes about five
SWEEPS = 3


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of a document and a label, the highest score first.

    documents, labels: int64 (pairs,). is_true: bool (pairs,), whether the document has the label.
    sizes: int64 (documents,), how many labels each document of the sample has.
    support: int64 (labels,), documents of each label.
    """

    documents: Codes
    labels: Codes
    is_true: Mask
    sizes: Codes
    support: Codes


@dataclass(frozen=True, eq=False)
class LabelScores:
    """The highest scores of a label, descending, with their documents and whether they have the label.

    scores: float64 (documents,). documents: int64 (documents,). is_true: bool (documents,).
    is_cut: whether the last score only bounds the search.
    """

    scores: Floats
    documents: Codes
    is_true: Mask
    is_cut: bool

    def count_above(self, threshold: float) -> int:
        """How many scores are above a threshold."""
        return int(np.searchsorted(-self.scores, -threshold))

    def best(self, gains: Floats, default: float) -> float:
        """The threshold with the best metric. gains: (documents,), the change as each document is predicted."""
        if self.is_cut:
            gains = np.append(gains[:-1], -np.inf)
        return -best_threshold(-self.scores, gains, -default)


@dataclass(frozen=True, eq=False)
class ThresholdSearch:
    """What the best thresholds of labels are searched in.

    labels: the scores of each label. tuned: bool (labels,), whose threshold is searched; others have the common one.
    common: float64 (labels,), the thresholds to prefer among ties.
    sizes: int64 (documents,), how many labels each document has. support: int64 (labels,), documents of each label.
    smoothing: of the F-beta of a label, if the metric is a mean over labels.
    """

    labels: Sequence[LabelScores]
    tuned: Mask
    common: Floats
    sizes: Codes
    support: Codes
    smoothing: float = 0.0

    def choose(self, label: int, gains: Floats) -> float:
        """The best threshold of a label. gains: the change of the metric as each of its documents is predicted."""
        default = float(self.common[label])
        return self.labels[label].best(gains, default) if self.tuned[label] else default


class PairValue(Protocol):
    """A metric of multi-label predictions."""

    def path(self, pairs: Pairs) -> Floats:
        """The metric if no pair, the first pair, the first two pairs, ... are predicted: float64 (pairs + 1,)."""
        ...

    def thresholds(self, search: "ThresholdSearch") -> Floats:
        """The best threshold of each label, float64 (labels,)."""
        ...


@dataclass(frozen=True)
class LabelFBeta:
    """The mean F-beta of labels; `weighted` by their documents, or each label alike, as in the macro average.

    With `smoothing` s, the threshold of a label has the highest (s + (1 + beta^2) tp) / (s + beta^2 support +
    predicted): a rare label does not get a low threshold for one true positive (Lin & Lin 2023, On the Thresholding
    Strategy for Infrequent Labels in Multi-label Classification, CIKM, doi 10.1145/3583780.3614996).
    """

    beta: float = 1.0
    weighted: bool = False

    def path(self, pairs: Pairs) -> Floats:
        """The metric after each pair."""
        order = sort_labels(pairs.labels, len(pairs.support))
        keys, hits, support = pairs.labels[order], pairs.is_true[order], pairs.support
        nothing = np.zeros(len(support), dtype=np.int64)
        positives, starts = cumulate(keys, hits, nothing)
        predicted, _ = cumulate(keys, np.ones(len(keys), dtype=np.int64), nothing)
        before = self._of_labels(positives, predicted, support[keys])
        change = np.empty(len(keys))
        change[order] = self._of_labels(positives + hits, predicted + 1, support[keys]) - before
        if self.weighted:
            return np.asarray(np.append(0.0, np.cumsum(change)) / max(1, support.sum()))
        present = np.zeros(len(keys), dtype=np.int64)
        present[order[starts]] = support[keys[starts]] == 0  # a label without documents counts once it is predicted
        counted = np.count_nonzero(support) + np.append(0, np.cumsum(present))
        return np.asarray(np.append(0.0, np.cumsum(change)) / np.maximum(counted, 1))

    def thresholds(self, search: "ThresholdSearch") -> Floats:
        """The best threshold of each label."""
        chosen, squared, smoothing = search.common.copy(), self.beta**2, search.smoothing
        for label in np.flatnonzero(search.tuned).tolist():
            positives = (1 + squared) * np.append(0, np.cumsum(search.labels[label].is_true))
            size = squared * search.support[label] + np.arange(len(positives))
            chosen[label] = search.choose(label, np.diff((positives + smoothing) / (size + smoothing)))
        return chosen

    def _of_labels(self, true_positives: Codes, predicted: Codes, support: Codes) -> Floats:
        size = np.maximum(self.beta**2 * support + predicted, 1e-9)
        value = (1 + self.beta**2) * true_positives / size
        return np.asarray(value * support if self.weighted else value)


@dataclass(frozen=True)
class MicroFBeta:
    """F-beta of all pairs together.

    Thresholds of labels are those of Dinkelbach 1967 (On nonlinear fractional programming): F-beta is above f if
    (1 + beta^2) tp - f (predicted + beta^2 support) is positive, which is a sum over labels. So each label maximizes
    its term for the f of the last thresholds, until f does not grow: no other thresholds have a higher one.
    """

    beta: float = 1.0

    def path(self, pairs: Pairs) -> Floats:
        """The metric after each pair."""
        positives = np.append(0, np.cumsum(pairs.is_true))
        size = self.beta**2 * pairs.support.sum() + np.arange(len(positives))
        return np.asarray((1 + self.beta**2) * positives / np.maximum(size, 1e-9))

    def thresholds(self, search: "ThresholdSearch") -> Floats:
        """The best threshold of each label."""
        chosen, highest = search.common.copy(), 0.0
        for _ in range(ITERATIONS):
            hits, predicted = 0, 0
            for label, scores in enumerate(search.labels):
                chosen[label] = search.choose(
                    label, np.asarray((1 + self.beta**2) * scores.is_true - highest, dtype=np.float64)
                )
                above = scores.count_above(chosen[label])
                hits, predicted = hits + int(np.count_nonzero(scores.is_true[:above])), predicted + above
            reached = (1 + self.beta**2) * hits / max(self.beta**2 * search.support.sum() + predicted, 1e-9)
            if reached <= highest + 1e-12:
                break
            highest = reached
        return chosen


@dataclass(frozen=True)
class DocumentValue:
    """The mean over documents of a value of its sets of true and predicted labels."""

    def of_documents(self, shared: Any, predicted: Any, sizes: Any) -> Floats:
        """The value, from the sizes of the intersection, the predicted and the true set."""
        raise NotImplementedError

    def path(self, pairs: Pairs) -> Floats:
        """The metric after each pair."""
        order = np.argsort(pairs.documents, kind="stable")
        keys, hits, sizes = pairs.documents[order], pairs.is_true[order], pairs.sizes[pairs.documents[order]]
        nothing = np.zeros(len(pairs.sizes), dtype=np.int64)
        shared, predicted = cumulate(keys, hits, nothing)[0], cumulate(keys, np.ones_like(keys), nothing)[0]
        change = np.empty(len(keys))
        after = self.of_documents(shared + hits, predicted + 1, sizes)
        change[order] = after - self.of_documents(shared, predicted, sizes)
        return np.append(0.0, np.cumsum(change)) / max(1, len(pairs.sizes))

    def thresholds(self, search: "ThresholdSearch") -> Floats:
        """The best threshold of each label, with those of the other labels fixed."""
        chosen, sizes = search.common.copy(), search.sizes
        shared, predicted = np.zeros((2, len(sizes)), dtype=np.int64)
        for label, scores in enumerate(search.labels):
            _add(shared, predicted, scores, chosen[label], 1)
        for _ in range(SWEEPS):
            before = chosen.copy()
            for label in np.flatnonzero(search.tuned).tolist():
                scores = search.labels[label]
                rows, hits = scores.documents, scores.is_true
                _add(shared, predicted, scores, chosen[label], -1)
                with_label = self.of_documents(shared[rows] + hits, predicted[rows] + 1, sizes[rows])
                gains = with_label - self.of_documents(shared[rows], predicted[rows], sizes[rows])
                chosen[label] = search.choose(label, gains)
                _add(shared, predicted, scores, chosen[label], 1)
            if np.array_equal(before, chosen):
                break
        return chosen


@dataclass(frozen=True)
class DocumentFBeta(DocumentValue):
    """The mean F-beta of documents; 1 if truth and prediction are both empty."""

    beta: float = 1.0

    def of_documents(self, shared: Any, predicted: Any, sizes: Any) -> Floats:
        """F-beta of each document."""
        size = self.beta**2 * sizes + predicted
        return np.where(size > 0, (1 + self.beta**2) * shared / np.maximum(size, 1e-9), 1.0)


@dataclass(frozen=True)
class SameSet(DocumentValue):
    """The share of documents whose labels are all correct."""

    def of_documents(self, shared: Any, predicted: Any, sizes: Any) -> Floats:
        """Whether the sets of each document are the same."""
        return np.asarray((shared == sizes) & (predicted == sizes), dtype=np.float64)


def _add(shared: Codes, predicted: Codes, scores: LabelScores, threshold: float, sign: int) -> None:
    """Predict a label for its documents above a threshold, or with the sign -1 no more."""
    above = scores.count_above(threshold)
    predicted[scores.documents[:above]] += sign
    shared[scores.documents[:above]] += sign * scores.is_true[:above]
