"""Confusion counts of a prediction, and the one definition of each metric computed from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import add, sub
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.document_measures import is_right, sum_documents

FloatArray = NDArray[np.float64]
# a negative code is a prediction of no label: the decision abstained, or the document is like no label
LOWEST_CODE = -2
_LABEL_METRICS = (  # of any labels
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "macro_precision",
    "macro_recall",
    "micro_precision",
    "micro_recall",
    "weighted_precision",
    "weighted_recall",
    "accuracy",
)
_MEASURES = {  # metric -> the measure of documents that it needs
    "balanced_accuracy": "decided",
    "mcc": "decided",
    "kappa": "decided",
    "decided_share": "decided",
    "selective_accuracy": "decided",
    "hamming_loss": "sample_f1",
    "samples_f1": "sample_f1",
    "samples_precision": "sample_precision",
    "samples_recall": "sample_recall",
    "absolute_error": "absolute_distance",
    "quadratic_kappa": "squared_distance",
    "hf1": "shared_nodes",
    "hierarchical_precision": "shared_nodes",
    "hierarchical_recall": "shared_nodes",
    "macro_hf1": "document_f1",
    "consistency": "consistent",
    "tree_distance": "tree_distance",
    "lca_f1": "lca_f1",
    "wu_palmer": "wu_palmer",
    "level_accuracy": "level_correct",
}


@dataclass(frozen=True)
class ConfusionCounts:
    """The counts behind every metric, for one sample or, with a leading axis, for many resamples of it.

    A predicted node of a hierarchy that is no label counts for no label, as does a negative code, with which a decision
    abstains: its document is a miss of the true label, and no false positive of another.

    Attributes:
        true_positives: (..., labels) documents that have a label and are predicted to have it.
        predicted: (..., labels) documents that are predicted to have a label.
        support: (..., labels) documents that have a label.
        exact_matches: (...) documents whose predicted labels are all correct.
        documents: number of documents in the sample; int64 (...) if samples have different numbers.
        sums: (...) or (..., levels) the sum of each measure of documents, by its name in `document_measures`.
    """

    true_positives: NDArray[Any]
    predicted: NDArray[Any]
    support: NDArray[Any]
    exact_matches: NDArray[Any]
    documents: int | NDArray[np.int64]
    sums: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def from_predictions(
        cls,
        truth: NDArray[Any],
        predicted: NDArray[Any],
        labels: int,
        hierarchy: Hierarchy | None = None,
        *,
        with_sums: bool = True,
    ) -> Self:
        """Count one sample.

        Args:
            truth: int label codes (documents,), or bool (documents, labels) for multi-label targets.
            predicted: predictions of the same shape and kind; with a hierarchy, codes of nodes; -1 or -2 for no label.
            labels: number of labels.
            hierarchy: of the labels, for the hierarchical metrics; None if they have none.
            with_sums: whether `sums` are needed; without them the counts have the metrics of labels alone.

        Returns:
            The counts, without a leading axis.

        Raises:
            ValueError: the shapes differ, or a code is not a label.
        """
        check_labels(truth, predicted, labels, hierarchy)
        correct = is_right(truth, predicted)
        if truth.ndim == 2:
            matrices = (truth & predicted, predicted, truth)
            true_positives, positives, support = (_count_columns(matrix) for matrix in matrices)
        else:
            arrays = (truth[correct], predicted[predicted >= 0], truth)
            true_positives, positives, support = (np.bincount(codes, minlength=labels)[:labels] for codes in arrays)
        sums = sum_documents(truth, predicted, hierarchy) if with_sums else {}
        return cls(true_positives, positives, support, np.asarray(np.count_nonzero(correct)), len(truth), sums)

    def __add__(self, other: Self) -> Self:
        """The counts of both samples together."""
        return self._combine(other, add)

    def __sub__(self, other: Self) -> Self:
        """The counts of this sample without the other one, which is part of it."""
        return self._combine(other, sub)

    def _combine(self, other: Self, operation: Callable[[Any, Any], Any]) -> Self:
        sums = {name: operation(total, other.sums[name]) for name, total in self.sums.items()}
        return type(self)(
            operation(self.true_positives, other.true_positives),
            operation(self.predicted, other.predicted),
            operation(self.support, other.support),
            operation(self.exact_matches, other.exact_matches),
            operation(self.documents, other.documents),
            sums,
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics that can be computed from these counts, without those of each label."""
        return (*_LABEL_METRICS, *(name for name, measure in _MEASURES.items() if measure in self.sums))

    def values(self) -> dict[str, FloatArray]:
        """Each of `metrics` by name."""
        return {name: getattr(self, name) for name in self.metrics}

    @property
    def precision(self) -> FloatArray:
        """(..., labels) true positives over predicted documents; 0 if none is predicted."""
        return np.asarray(self.true_positives / np.maximum(self.predicted, 1))

    @property
    def recall(self) -> FloatArray:
        """(..., labels) true positives over the label's documents; 0 if it has none."""
        return np.asarray(self.true_positives / np.maximum(self.support, 1))

    @property
    def f1(self) -> FloatArray:
        """(..., labels) harmonic mean of precision and recall; 0 if a label is in neither truth nor prediction."""
        return np.asarray(2 * self.true_positives / np.maximum(self.predicted + self.support, 1))

    def _macro(self, values: FloatArray) -> FloatArray:
        """(...) mean over the labels that are in truth or prediction; 0 if there is none."""
        present = np.count_nonzero(self.predicted + self.support, axis=-1)
        return np.asarray(values.sum(axis=-1) / np.maximum(present, 1))  # values of other labels are 0

    def _weighted(self, values: FloatArray) -> FloatArray:
        """(...) mean over the labels, weighted by their documents; 0 if there is none."""
        return np.asarray((self.support * values).sum(axis=-1) / np.maximum(self.support.sum(axis=-1), 1))

    @property
    def macro_f1(self) -> FloatArray:
        """(...) mean F1 over the labels that are in truth or prediction; 0 if there is none."""
        return self._macro(self.f1)

    @property
    def macro_precision(self) -> FloatArray:
        """(...) mean precision over the labels that are in truth or prediction; 0 if there is none."""
        return self._macro(self.precision)

    @property
    def macro_recall(self) -> FloatArray:
        """(...) mean recall over the labels that are in truth or prediction; 0 if there is none."""
        return self._macro(self.recall)

    @property
    def weighted_f1(self) -> FloatArray:
        """(...) mean F1 over the labels, weighted by their documents."""
        return self._weighted(self.f1)

    @property
    def weighted_precision(self) -> FloatArray:
        """(...) mean precision over the labels, weighted by their documents."""
        return self._weighted(self.precision)

    @property
    def weighted_recall(self) -> FloatArray:
        """(...) mean recall over the labels, weighted by their documents; for single-label targets the accuracy."""
        return self._weighted(self.recall)

    @property
    def micro_f1(self) -> FloatArray:
        """(...) F1 over all pairs of document and label; for single-label targets it equals the accuracy."""
        pairs = (self.predicted + self.support).sum(axis=-1)
        return np.asarray(2 * self.true_positives.sum(axis=-1) / np.maximum(pairs, 1))

    @property
    def micro_precision(self) -> FloatArray:
        """(...) share of the predicted pairs of document and label that are correct; 0 if none is predicted."""
        return np.asarray(self.true_positives.sum(axis=-1) / np.maximum(self.predicted.sum(axis=-1), 1))

    @property
    def micro_recall(self) -> FloatArray:
        """(...) share of the true pairs of document and label that are predicted; 0 if there is none."""
        return np.asarray(self.true_positives.sum(axis=-1) / np.maximum(self.support.sum(axis=-1), 1))

    @property
    def accuracy(self) -> FloatArray:
        """(...) share of documents whose labels are all correct."""
        return np.asarray(self.exact_matches / np.maximum(self.documents, 1))

    @property
    def balanced_accuracy(self) -> FloatArray:
        """(...) mean recall over the labels that have documents; 0 if there is none."""
        return np.asarray(self.recall.sum(axis=-1) / np.maximum(np.count_nonzero(self.support, axis=-1), 1))

    @property
    def _by_chance(self) -> FloatArray:
        """(...) documents times those that are correct by chance with the same label counts."""
        return np.asarray((self.support.astype(np.float64) * self.predicted).sum(axis=-1))

    @property
    def kappa(self) -> FloatArray:
        """(...) Cohen's kappa (1960): the accuracy above that of chance with the same label counts, over its maximum.

        It is 0 if chance is always correct: truth and prediction are one and the same label for every document.
        """
        chance = self._by_chance / np.maximum(self.documents, 1) ** 2
        safe = np.where(chance < 1, 1 - chance, 1)
        return np.asarray(np.where(chance < 1, (self.accuracy - chance) / safe, 0.0))

    @property
    def mcc(self) -> FloatArray:
        """(...) Matthews correlation coefficient of any labels (Gorodkin 2004), 0 if one side has a single label.

        Documents without a predicted label count as predictions of one more label, which is never true.
        """
        documents = np.asarray(self.documents, dtype=np.float64)
        unpredicted = documents - self.predicted.sum(axis=-1)
        covariance = self.exact_matches * documents - self._by_chance
        of_truth = documents**2 - (self.support.astype(np.float64) ** 2).sum(axis=-1)
        of_predicted = documents**2 - (self.predicted.astype(np.float64) ** 2).sum(axis=-1) - unpredicted**2
        product = of_truth * of_predicted
        return np.asarray(np.where(product > 0, covariance / np.sqrt(np.where(product > 0, product, 1.0)), 0.0))

    @property
    def decided_share(self) -> FloatArray:
        """(...) share of documents for which the decision did not abstain."""
        return self._mean("decided")

    @property
    def selective_accuracy(self) -> FloatArray:
        """(...) share of the decided documents whose label is correct; 0 if none is decided."""
        return np.asarray(self.exact_matches / np.maximum(self.sums["decided"], 1))

    @property
    def hamming_loss(self) -> FloatArray:
        """(...) share of the pairs of document and label that are wrong, for multi-label targets."""
        wrong = (self.predicted + self.support - 2 * self.true_positives).sum(axis=-1)
        return np.asarray(wrong / np.maximum(self.documents * self.support.shape[-1], 1))

    @property
    def samples_f1(self) -> FloatArray:
        """(...) mean over documents of the F1 of their labels, for multi-label targets."""
        return self._mean("sample_f1")

    @property
    def samples_precision(self) -> FloatArray:
        """(...) mean over documents of the precision of their labels, for multi-label targets."""
        return self._mean("sample_precision")

    @property
    def samples_recall(self) -> FloatArray:
        """(...) mean over documents of the recall of their labels, for multi-label targets."""
        return self._mean("sample_recall")

    def _mean(self, measure: str) -> FloatArray:
        return np.asarray(self.sums[measure] / np.maximum(self.documents, 1))

    @property
    def absolute_error(self) -> FloatArray:
        """(...) mean number of columns between the predicted and the true ordinal label, of decided documents."""
        return np.asarray(self.sums["absolute_distance"] / np.maximum(self.sums["decided"], 1))

    @property
    def quadratic_kappa(self) -> FloatArray:
        """(...) 1 - the sum of squared distances over that of chance with the same label counts, for ordinal labels.

        Cohen 1968, Weighted kappa, with squared distances as weights. It is 0 if truth and prediction are one and the
        same label for every document: chance is as good. All sums are over the documents with a predicted label.
        """
        position = np.arange(self.support.shape[-1], dtype=np.float64)
        product = self.sums["true_position"] * (self.predicted @ position) / np.maximum(self.sums["decided"], 1)
        by_chance = self.sums["true_square"] + self.predicted @ position**2 - 2 * product
        safe = np.where(by_chance > 0, by_chance, 1)
        return np.asarray(np.where(by_chance > 0, 1 - self.sums["squared_distance"] / safe, 0.0))

    @property
    def hierarchical_precision(self) -> FloatArray:
        """(...) correctly predicted nodes over predicted nodes, of all documents together (micro)."""
        return np.asarray(self.sums["shared_nodes"] / np.maximum(self.sums["predicted_nodes"], 1))

    @property
    def hierarchical_recall(self) -> FloatArray:
        """(...) correctly predicted nodes over true nodes, of all documents together (micro)."""
        return np.asarray(self.sums["shared_nodes"] / np.maximum(self.sums["true_nodes"], 1))

    @property
    def hf1(self) -> FloatArray:
        """(...) harmonic mean of hierarchical precision and recall (micro)."""
        return self.hierarchical_f(1.0)

    def hierarchical_f(self, beta: float) -> FloatArray:
        """(...) F-beta of hierarchical precision and recall (micro); recall counts `beta` times as much."""
        weighted = self.sums["predicted_nodes"] + beta**2 * self.sums["true_nodes"]
        return np.asarray((1 + beta**2) * self.sums["shared_nodes"] / np.where(weighted > 0, weighted, 1))

    @property
    def macro_hierarchical_precision(self) -> FloatArray:
        """(...) mean over documents of the precision of their nodes."""
        return self._mean("document_precision")

    @property
    def macro_hierarchical_recall(self) -> FloatArray:
        """(...) mean over documents of the recall of their nodes."""
        return self._mean("document_recall")

    @property
    def macro_hf1(self) -> FloatArray:
        """(...) mean over documents of the F1 of their nodes."""
        return self._mean("document_f1")

    @property
    def tree_distance(self) -> FloatArray:
        """(...) mean number of edges between the predicted and the true node."""
        return self._mean("tree_distance")

    @property
    def lca_f1(self) -> FloatArray:
        """(...) mean F1 of the nodes up to the lowest common ancestor of the predicted and the true node."""
        return self._mean("lca_f1")

    @property
    def wu_palmer(self) -> FloatArray:
        """(...) mean Wu-Palmer similarity of the predicted and the true node."""
        return self._mean("wu_palmer")

    @property
    def consistency(self) -> FloatArray:
        """(...) share of documents whose predicted labels contain each label that is above one of them."""
        return self._mean("consistent")

    @property
    def level_accuracy(self) -> FloatArray:
        """(..., levels) share of the documents with nodes at a depth whose nodes there are all correct, or NaN."""
        documents = np.asarray(self.sums["level_documents"], dtype=np.float64)
        return np.asarray(self.sums["level_correct"] / np.where(documents > 0, documents, np.nan))


def _count_columns(matrix: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How often each column is true, int64 (columns,): a product with ones, which takes a third of the time of NumPy's.

    float32 has all integers up to 2^24.
    """
    if len(matrix) > 2**24:
        return np.asarray(np.count_nonzero(matrix, axis=0))
    return (np.ones(len(matrix), dtype=np.float32) @ matrix.view(np.uint8)).astype(np.int64)


def check_labels(truth: NDArray[Any], predicted: NDArray[Any], labels: int, hierarchy: Hierarchy | None = None) -> None:
    """Check that truth and prediction have one shape and kind, and contain known labels only.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        predicted: the same; codes may be those of any node of a hierarchy, or -1 and -2 for no label.
        labels: number of labels.
        hierarchy: of the labels, if they have one.

    Raises:
        ValueError: one of these does not hold.
    """
    if hierarchy is not None and hierarchy.labels != labels:
        raise ValueError(f"the hierarchy has {hierarchy.labels} labels, but there are {labels}")
    if truth.shape != predicted.shape or (truth.dtype == np.bool_) != (predicted.dtype == np.bool_):
        raise ValueError(f"truth is {truth.dtype} {truth.shape}, but prediction is {predicted.dtype} {predicted.shape}")
    if truth.ndim == 2 and (truth.dtype != np.bool_ or truth.shape[1] != labels):
        raise ValueError(
            f"multi-label targets must be bool (documents, {labels}), but they are {truth.dtype} {truth.shape}"
        )
    if truth.ndim == 1 and len(truth):
        _check_codes("label", truth, 0, labels)
        kind, known = ("label", labels) if hierarchy is None else ("node", len(hierarchy))
        _check_codes(f"predicted {kind}", predicted, LOWEST_CODE, known)


def _check_codes(kind: str, codes: NDArray[Any], least: int, known: int) -> None:
    lowest, highest = codes.min(), codes.max()
    if lowest < least or highest >= known:
        raise ValueError(f"{kind} codes must be {least} to {known - 1}, but they are {lowest} to {highest}")
