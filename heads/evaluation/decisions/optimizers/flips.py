"""How metrics of one label per document change as predictions flip from one label to another, one by one.

A `FlipValue` knows the change of a metric by each flip of a sequence, so that one sort finds the best threshold. Each
is the metric times a constant, because only the best place is searched.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.optimizers.search import cumulate, sort_labels

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Flips:
    """Predictions that flip one after the other.

    old: int64 (flips,), the label that is not predicted any more.
    new: int64 (flips,), the label that is predicted instead, or one label for all flips, which is in `old` nowhere.
    truth: int64 (flips,), the label of each document.
    """

    old: Codes
    new: Codes | int
    truth: Codes


class FlipValue(Protocol):
    """A metric of one label per document.

    most_predicted: a label that is predicted for more than this many times its documents has a useless threshold, and
        thresholds beyond need not be searched.
    """

    @property
    def most_predicted(self) -> float:
        """As above."""
        ...

    def changes(self, flips: Flips, before: ConfusionCounts) -> Floats:
        """The change by each flip, float64 (flips,). before: the counts before the first flip."""
        ...


@dataclass(frozen=True)
class FBetaSum:
    """The sum of F-beta over labels; `weighted` by their documents, or each label alike, as in the macro average."""

    beta: float = 1.0
    weighted: bool = False

    @property
    def most_predicted(self) -> float:
        """Beyond it, F-beta of the label is below 0.2."""
        return 10 * max(1.0, self.beta**2)

    def changes(self, flips: Flips, before: ConfusionCounts) -> Floats:
        """The change by each flip."""
        return _changes_of_labels(self, flips, before)

    def of_labels(self, true_positives: Codes, predicted: Codes, support: Codes) -> Floats:
        """The term of a label."""
        squared = self.beta**2
        value = (1 + squared) * true_positives / np.maximum(squared * support + predicted, 1e-9)
        return np.asarray(value * support if self.weighted else value)


@dataclass(frozen=True)
class RecallSum:
    """The sum of recall over labels: balanced accuracy times the number of labels."""

    most_predicted: float = np.inf

    def changes(self, flips: Flips, before: ConfusionCounts) -> Floats:
        """The change by each flip."""
        return np.asarray(corrected(flips) / before.support[flips.truth])


@dataclass(frozen=True)
class CorrectDocuments:
    """The number of documents that are predicted correctly: accuracy, and for one label per document micro-F1."""

    most_predicted: float = np.inf

    def changes(self, flips: Flips, before: ConfusionCounts) -> Floats:
        """The change by each flip."""
        del before
        return corrected(flips)


@dataclass(frozen=True)
class MatthewsCorrelation:
    """The correlation of truth and prediction (Gorodkin 2004, Comparing two K-category assignments by a K-category
    correlation coefficient).
    """

    most_predicted: float = np.inf

    def changes(self, flips: Flips, before: ConfusionCounts) -> Floats:
        """The change by each flip."""
        _, (old, new) = running_counts(flips, before)
        support, documents = before.support.astype(np.float64), float(before.documents)
        shared = np.append(0.0, np.cumsum(support[flips.new] - support[flips.old])) + before.predicted @ support
        squares = np.append(0.0, np.cumsum(2.0 * (new - old) + 2)) + (before.predicted.astype(np.float64) ** 2).sum()
        hits = np.append(0, np.cumsum(corrected(flips))) + before.true_positives.sum()
        spread = (documents**2 - squares) * (documents**2 - support @ support)
        value = (hits * documents - shared) / np.sqrt(np.maximum(spread, 1e-9))
        return np.diff(np.where(spread > 1e-9, value, 0.0))


@dataclass(frozen=True, eq=False)
class NegativeCost:
    """The cost of all documents with its sign turned. costs: float64 (true labels, predicted labels)."""

    costs: Floats
    most_predicted: float = np.inf

    def changes(self, flips: Flips, before: ConfusionCounts) -> Floats:
        """The change by each flip."""
        del before
        return np.asarray(self.costs[flips.truth, flips.old] - self.costs[flips.truth, flips.new])


def corrected(flips: Flips) -> Floats:
    """1 for each flip that makes a prediction correct, -1 for one that makes it wrong, else 0: float64 (flips,)."""
    correct, was_correct = np.asarray(flips.new == flips.truth), np.asarray(flips.old == flips.truth)
    return np.asarray(correct.astype(np.float64) - was_correct)


def running_counts(flips: Flips, before: ConfusionCounts) -> tuple[tuple[Codes, Codes], tuple[Codes, Codes]]:
    """The true positives and the predicted documents, each of the old and of the new label, before each flip."""
    if isinstance(flips.new, int):
        hits, label = flips.truth == flips.new, flips.new
        old = _running(flips.old, -1, flips.old == flips.truth, before)
        new_positives = before.true_positives[label] + np.cumsum(hits) - hits
        return (old[0], new_positives), (old[1], before.predicted[label] + np.arange(len(hits)))
    labels = np.stack([flips.old, flips.new], axis=1).ravel()
    signs = np.tile([-1, 1], len(flips.old))
    positives, predicted = _running(labels, signs, labels == np.repeat(flips.truth, 2), before)
    return (positives[::2], positives[1::2]), (predicted[::2], predicted[1::2])


def _running(
    labels: Codes, signs: Codes | int, hits: NDArray[np.bool_], before: ConfusionCounts
) -> tuple[Codes, Codes]:
    """The true positives and predicted documents of a label before each of many changes by `signs`, in their order."""
    order = sort_labels(labels, len(before.support))
    keys = labels[order]
    signs = np.full(len(keys), signs) if isinstance(signs, int) else signs[order]
    positives, predicted = np.empty_like(labels), np.empty_like(labels)
    positives[order] = cumulate(keys, signs * hits[order], before.true_positives)[0]
    predicted[order] = cumulate(keys, signs, before.predicted)[0]
    return positives, predicted


def _changes_of_labels(value: FBetaSum, flips: Flips, before: ConfusionCounts) -> Floats:
    (old_positives, new_positives), (old, new) = running_counts(flips, before)
    support = before.support
    new_support, old_support = support[flips.new], support[flips.old]
    gained = value.of_labels(new_positives + (flips.new == flips.truth), new + 1, new_support)
    lost = value.of_labels(old_positives - (flips.old == flips.truth), old - 1, old_support)
    before_flip = value.of_labels(new_positives, new, new_support) + value.of_labels(old_positives, old, old_support)
    return np.asarray(gained + lost - before_flip)
