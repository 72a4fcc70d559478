"""What a decision rule is selected on: scores and truth in a canonical order of columns, the objective, and folds."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.splits import assign_folds
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import multilabel, node_families, single_label
from heads.evaluation.decisions.constraints import Sample as ConstrainedSample
from heads.evaluation.decisions.constraints import reached
from heads.evaluation.decisions.evidence import ReachedConstraint
from heads.evaluation.decisions.objective_metrics import measure_costs
from heads.evaluation.decisions.objective_request import ObjectiveRequest, find_objective
from heads.evaluation.decisions.objectives import Objective
from heads.evaluation.decisions.optimizers.search import MIN_DOCUMENTS
from heads.evaluation.decisions.rules import reorder_parents
from heads.evaluation.document_measures import Measures, measure_documents
from heads.evaluation.metrics import ABSOLUTE_ERROR, Metric
from heads.evaluation.score_matrix import row_blocks

if TYPE_CHECKING:
    from heads.evaluation.decisions.optimizers.flips import FlipValue
    from heads.evaluation.decisions.optimizers.pairs import PairValue

FOLDS = 5
OF_LABELS = ("", "macro_f1", "micro_f1", "weighted_f1", "accuracy", "balanced_accuracy", "mcc", "cost")  # no sums

Sample = single_label.Sample | multilabel.Sample | node_families.Sample


@dataclass(frozen=True, eq=False)
class Selection:
    """The objective of a selection, and what its rules need to know about labels."""

    objective: Objective
    hierarchy: Hierarchy | None
    labels_only: bool

    @classmethod
    def of(
        cls,
        truth: NDArray[Any],
        hierarchy: Hierarchy | None,
        objective: ObjectiveRequest | str | None,
        *,
        ordinal: bool,
        labels_only: bool,
    ) -> Self:
        """What `tune_decision` selects by. Raises EmbedOnceError if the objective does not fit the labels."""
        request = objective if isinstance(objective, ObjectiveRequest) else ObjectiveRequest(name=objective)
        is_multilabel = truth.ndim == 2
        found = find_objective(request, hierarchy, is_multilabel=is_multilabel, is_ordinal=ordinal)
        needs_hierarchy = is_multilabel or found.is_hierarchical
        return cls(found, hierarchy if needs_hierarchy else None, labels_only)

    def reordered(self, order: NDArray[np.int64]) -> Self:
        """The same for reordered columns."""
        selection = replace(self, objective=self.objective.reordered(order))
        if self.hierarchy is None:
            return selection
        names, parents = self.hierarchy.names, reorder_parents(self.hierarchy.parents, order)
        names = (*(names[column] for column in order.tolist()), *names[len(order) :])
        return replace(selection, hierarchy=Hierarchy(names, self.hierarchy.labels, parents))

    def sample(self, scores: NDArray[Any], truth: NDArray[Any]) -> Sample:
        """The sample of all documents."""
        metric, hierarchy, value = self.objective.metric, self.hierarchy, self.objective.value
        if truth.ndim == 2:
            parents = () if hierarchy is None else hierarchy.parents
            return multilabel.Sample.of_all(scores, truth, parents, cast("PairValue | None", value))
        if hierarchy is None:
            return single_label.Sample.of_all(scores, truth, cast("FlipValue | None", value))
        return node_families.Sample.of_all(scores, truth, hierarchy, metric, labels_only=self.labels_only)

    def count(self, truth: NDArray[Any], predicted: NDArray[Any], labels: int) -> ConfusionCounts:
        """The counts of predictions."""
        counts = ConfusionCounts.from_predictions(
            truth, predicted, labels, self.hierarchy, with_sums=self._needs_measures
        )
        costs = self.objective.costs
        if costs is None:
            return counts
        total = {name: values.sum() for name, values in measure_costs(truth, predicted, costs).items()}
        return replace(counts, sums={**counts.sums, **total})

    def measure(self, truth: NDArray[Any], predicted: NDArray[Any]) -> Measures:
        """What the metric needs of each document in addition to its labels."""
        if self.objective.costs is not None:
            return measure_costs(truth, predicted, self.objective.costs)
        return measure_documents(truth, predicted, self.hierarchy) if self._needs_measures else {}

    @property
    def _needs_measures(self) -> bool:
        """Whether the metric needs more of each document than its labels."""
        return self.objective.metric.attribute not in OF_LABELS


@dataclass(frozen=True, eq=False)
class Fold:
    """rows: bool (documents,), the documents that are predicted. sample: the others, which rules are fitted to."""

    rows: NDArray[np.bool_]
    sample: Sample


@dataclass(frozen=True, eq=False)
class Problem:
    """Scores, truth, and what selects a rule.

    The columns are in a canonical order, the most frequent label first, unless the metric depends on their order.
    scores: of the given type if multi-label, else float64.
    """

    scores: NDArray[Any]
    truth: NDArray[Any]
    order: NDArray[np.int64]
    selection: Selection

    @classmethod
    def build(cls, scores: NDArray[Any], truth: NDArray[Any], selection: Selection) -> Self:
        """The problem of all documents, with its columns in the canonical order."""
        if truth.ndim == 1:
            scores = scores.astype(np.float64)
            highest = scores.max(axis=1, keepdims=True)
            scores -= np.where(np.isfinite(highest), highest, 0.0)
        if selection.objective.metric == ABSOLUTE_ERROR:
            return cls(scores, truth, np.arange(scores.shape[1]), selection)
        order = canonical_order(scores, truth)
        return cls(scores[:, order], reorder(truth, order), order, selection.reordered(order))

    @property
    def metric(self) -> Metric:
        """The metric that selects a rule."""
        return self.selection.objective.metric

    @cached_property
    def all_documents(self) -> Sample:
        """The sample of all documents."""
        return self.selection.sample(self.scores, self.truth)

    def divide(self, groups: Sequence[Hashable] | NDArray[Any] | None, seed: int) -> list[Fold]:
        """The folds of one repeat."""
        hierarchy = self.selection.hierarchy
        strata = self.truth if hierarchy is None else hierarchy.strata(self.truth)
        fold_of = assign_folds(strata, groups, FOLDS, seed)
        masks = (fold_of == fold for fold in np.unique(fold_of))
        return [Fold(rows, replace(self.all_documents, rows=~rows)) for rows in masks]

    @property
    def inverse_order(self) -> NDArray[np.int64]:
        """The position of each original column."""
        return np.argsort(self.order)

    @property
    def rare_labels(self) -> int:
        """Number of labels that some documents have or lack, but too few to be tuned separately.

        It is 0 if no family tunes single labels.
        """
        if not self.selection.objective.tunes_labels:
            return 0
        documents = np.bincount(self.truth) if self.truth.ndim == 1 else self.truth.sum(axis=0)
        if self.truth.ndim == 2:  # a label that nearly all documents have is as hard to tune for
            documents = np.minimum(documents, len(self.truth) - documents)
        return int(np.count_nonzero((documents > 0) & (documents < MIN_DOCUMENTS)))

    def count(self, predicted: NDArray[Any]) -> ConfusionCounts:
        """The counts of predictions for all documents."""
        return self.selection.count(self.truth, predicted, self.scores.shape[1])

    def signed_value(self, predicted: NDArray[Any]) -> float:
        """The metric of predictions with the sign for which higher is better."""
        return float(self.metric.signed_value(self.count(predicted)))

    def reached_constraint(self, cross_fitted: Sequence[NDArray[Any]]) -> ReachedConstraint | None:
        """What predictions of documents that a rule was not fitted to reach; None if there is no constraint.

        cross_fitted: of each repeat. The confidence interval is that of the first one.
        """
        constraint = self.selection.objective.constraint
        if constraint is None:
            return None
        counts = [self.count(predicted) for predicted in cross_fitted]
        return reached(constraint, counts, cast("ConstrainedSample", self.all_documents))

    def restore_order(self, predicted: NDArray[Any]) -> NDArray[Any]:
        """Predictions in the original columns."""
        if predicted.ndim == 2:
            return np.asarray(predicted[:, self.inverse_order])
        nodes = len(self.order) if self.selection.hierarchy is None else len(self.selection.hierarchy)
        codes = np.append(self.order, np.arange(len(self.order), nodes))  # only labels have columns
        return np.asarray(codes[predicted])


def canonical_order(scores: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.int64]:
    """The columns, the most frequent label first: the same labels, whatever their order in the columns."""
    documents = np.bincount(truth, minlength=scores.shape[1]) if truth.ndim == 1 else truth.sum(axis=0)
    return np.lexsort((_column_sums(scores), -documents))


def reorder(truth: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    """The truth with its columns in another order."""
    return np.asarray(np.argsort(order)[truth] if truth.ndim == 1 else truth[:, order])


def _column_sums(scores: NDArray[Any]) -> NDArray[np.float64]:
    """The sum of each column's finite scores, float64 (labels,)."""
    total = np.zeros(scores.shape[1])
    for rows in row_blocks(scores.shape):
        total += np.where(np.isfinite(scores[rows]), scores[rows], 0.0).sum(axis=0, dtype=np.float64)
    return total
