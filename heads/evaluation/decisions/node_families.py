"""Decision rules for labels of a hierarchy, one label per document, fitted to scores and truth.

A rule has at most three fitted numbers: a temperature, a strength of logit adjustment and a threshold. Each is taken
from a grid, so that rules of the same grid are decided once for all documents, whatever the folds. The shares of labels
that logit adjustment subtracts are those of all documents for the same reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.hierarchical import GreedyDescent, NodeRule
from heads.evaluation.decisions.node_thresholds import BestPathMass, ConfidenceThreshold, ThresholdRule
from heads.evaluation.decisions.rules import Argmax, DecisionRule, LogitAdjustment
from heads.evaluation.document_measures import measure_documents
from heads.evaluation.metrics import Metric

TEMPERATURES = (1.0, 0.7, 1.4, 0.5, 2.0, 0.35, 2.8, 0.25, 4.0)  # among ties the nearest to 1
STRENGTHS = (0.0, 0.25, -0.25, 0.5, -0.5, 0.75, 1.0, 1.5)
THRESHOLDS = tuple(np.linspace(0.025, 0.975, 39).round(3).tolist())
MEASURES = {  # metric -> the sums over documents that it is computed from
    "hf1": ("shared_nodes", "predicted_nodes", "true_nodes"),
    "tree_distance": ("tree_distance",),
    "wu_palmer": ("wu_palmer",),
    "accuracy": (),
}

Scores = NDArray[np.float64]
Codes = NDArray[np.int64]
Grid = tuple[DecisionRule, ...]
Rule = TypeVar("Rule", bound=NodeRule)


@dataclass(frozen=True, eq=False)
class Sample:
    """Documents that rules are fitted to: the rows of all documents that `rows` selects.

    Attributes:
        all_scores: float64 (documents, labels).
        all_truth: int64 (documents,).
        rows: bool (documents,).
        hierarchy: of the labels.
        metric: what rules are fitted to, one of MEASURES.
        labels_only: whether nodes that are no label are never predicted.
        measured: the measures of all documents for each grid that was decided, shared by all samples of them.
    """

    all_scores: Scores
    all_truth: Codes
    rows: NDArray[np.bool_]
    hierarchy: Hierarchy
    metric: Metric
    labels_only: bool = False
    measured: dict[Grid, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def of_all(
        cls, scores: Scores, truth: Codes, hierarchy: Hierarchy, metric: Metric, *, labels_only: bool
    ) -> "Sample":
        """The sample of all documents."""
        return cls(scores, truth, np.ones(len(truth), dtype=bool), hierarchy, metric, labels_only)

    def rule(self, rule_class: Callable[..., Rule], **values: Any) -> Rule:
        """A rule for this hierarchy."""
        shape: dict[str, Any] = {"labels": self.hierarchy.labels, "parents": self.hierarchy.parents}
        return rule_class(**shape, labels_only=self.labels_only, **values)

    @cached_property
    def log_prior(self) -> NDArray[np.float64]:
        """The log of each label's share, where a label without documents counts as one document: float64 (labels,)."""
        documents = np.maximum(np.bincount(self.all_truth, minlength=self.all_scores.shape[1]), 1)
        return np.asarray(np.log(documents / documents.sum()))

    def best(self, *grids: Sequence[DecisionRule]) -> Any:
        """The rule of several grids with the best metric on these documents, the first among ties."""
        values = np.concatenate([self._values(tuple(grid)) for grid in grids])
        return [rule for grid in grids for rule in grid][int(np.argmax(values.round(12)))]

    def _values(self, grid: Grid) -> NDArray[np.float64]:
        """The metric of each rule, with the sign for which higher is better."""
        measures = self._measure(grid)[:, :, self.rows].sum(axis=2, dtype=np.float64)
        names = ("exact", *MEASURES[self.metric.attribute])
        nothing, documents = np.zeros(len(grid)), int(self.rows.sum())
        counts = ConfusionCounts(
            nothing, nothing, nothing, measures[0], documents, dict(zip(names, measures, strict=True))
        )
        return np.asarray(self.metric.signed_value(counts))

    def _measure(self, grid: Grid) -> NDArray[np.float32]:
        """(measures, rules, documents), of all documents; the first one is whether the label is correct."""
        if grid not in self.measured:
            decided, truth = _decide_grid(grid, self.all_scores), self.all_truth
            measures = [measure_documents(truth, predicted, self.hierarchy) for predicted in decided]
            names = MEASURES[self.metric.attribute]
            table = [decided == truth, *(np.stack([each[name] for each in measures]) for name in names)]
            self.measured[grid] = np.stack([one.astype(np.float32) for one in table])
        return self.measured[grid]


def _decide_grid(grid: Grid, scores: Scores) -> Codes:
    """int64 (rules, documents)."""
    first = grid[0]
    if isinstance(first, ThresholdRule) and len(grid) > 1:
        return first.decide_each(scores, [rule.threshold for rule in grid if isinstance(rule, ThresholdRule)])
    return np.stack([rule.decide(scores) for rule in grid])


def argmax(sample: Sample) -> list[DecisionRule]:
    """The rule without a fitted parameter."""
    del sample
    return [Argmax()]


def logit_adjustment(sample: Sample) -> list[DecisionRule]:
    """Argmax with the best strength."""
    log_prior = tuple(sample.log_prior.tolist())
    return [sample.best([LogitAdjustment(strength, log_prior) for strength in STRENGTHS])]


def greedy_descent(sample: Sample) -> list[DecisionRule]:
    """A rule without a fitted parameter."""
    return [sample.rule(GreedyDescent)]


def confidence_threshold(sample: Sample) -> list[DecisionRule]:
    """The heuristic with its best threshold."""
    return [sample.best([sample.rule(ConfidenceThreshold, threshold=threshold) for threshold in THRESHOLDS])]


def path_threshold(sample: Sample) -> list[DecisionRule]:
    """The rule for the micro hF1 with its best threshold."""
    return [sample.best(_thresholds(sample.rule(BestPathMass, threshold=0.5)))]


def tempered_path_threshold(sample: Sample) -> list[DecisionRule]:
    """The rule for the micro hF1 with the best pair of a temperature and a threshold."""
    rules = _temperatures(sample.rule(BestPathMass, threshold=0.5))
    return [sample.best(*map(_thresholds, rules))]


def adjusted_path_threshold(sample: Sample) -> list[DecisionRule]:
    """The same, and then the best pair of a logit adjustment and a threshold."""
    (rule,) = tempered_path_threshold(sample)
    return [sample.best([rule], *map(_thresholds, _adjustments(sample, rule)))]


@dataclass(frozen=True)
class Exact:
    """The exact rule of a metric without a fitted parameter."""

    rule_class: type[NodeRule]

    def __call__(self, sample: Sample) -> list[DecisionRule]:
        """The rule."""
        return [sample.rule(self.rule_class)]


@dataclass(frozen=True)
class AdjustedExact(Exact):
    """The exact rule of a metric with the best temperature and logit adjustment."""

    def __call__(self, sample: Sample) -> list[DecisionRule]:
        """The rule."""
        rule = sample.best(_temperatures(sample.rule(self.rule_class)))
        return [sample.best([rule, *_adjustments(sample, rule)])]


@dataclass(frozen=True)
class TemperedExact(Exact):
    """The exact rule of a metric with the best temperature."""

    def __call__(self, sample: Sample) -> list[DecisionRule]:
        """The rule."""
        return [sample.best(_temperatures(sample.rule(self.rule_class)))]


def _temperatures(rule: Rule) -> list[Rule]:
    return [replace(rule, temperature=temperature) for temperature in TEMPERATURES]


def _thresholds(rule: ThresholdRule) -> list[ThresholdRule]:
    return [replace(rule, threshold=threshold) for threshold in THRESHOLDS]


def _adjustments(sample: Sample, rule: Any) -> list[Any]:
    """The rule with each strength of logit adjustment but 0."""
    return [replace(rule, offsets=tuple((-strength * sample.log_prior).tolist())) for strength in STRENGTHS[1:]]
