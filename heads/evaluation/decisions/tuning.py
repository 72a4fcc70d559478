"""Selects a decision rule: a more flexible family only if cross-fitting shows that it helps.

The families are ordered from the most constrained to the most flexible. Each is cross-fitted: fitted on all folds but
one, and applied to that fold. A more flexible family is selected if its cross-fitted metric (macro-F1; for ordinal
labels the mean absolute error) is better than that of the current family by more than two standard errors of the
difference, which a paired bootstrap over documents estimates. This is the rule of Breiman et al. 1984 (Classification
and Regression Trees, section 3.4.3), which prefers the simpler of two models that cannot be distinguished, with twice
their margin.

The margin was chosen on training documents of Reuters-52: rules tuned on one half of out-of-fold scores and scored on
the other, in 8 random halvings. With balanced class weights the macro-F1 of argmax was 79.3; a margin of 1 standard
error selected rules with 78.9, a margin of 2 selected none. Without class weights, where rules help, argmax had 74.7,
and either margin gained 3 to 4 points.

A rule is tuned on a stratified sample of many documents, in whole groups: the values of a label are known to about one
over the root of its documents, so that more of them change nothing but the time. The other documents are decided by the
rule of the sample, which was not fitted to them.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import add
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.splits import assign_folds, nested_subsets
from heads.evaluation.bootstrap import resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import multilabel, single_label
from heads.evaluation.decisions.evidence import Evidence, RuleComparison
from heads.evaluation.decisions.rule_json import rule_from_json
from heads.evaluation.decisions.rules import DecisionRule
from heads.evaluation.decisions.search import MIN_DOCUMENTS
from heads.evaluation.metrics import ABSOLUTE_ERROR, MACRO_F1, Metric
from heads.evaluation.score_matrix import row_blocks

FOLDS = 5
REPEATS = 3
MARGIN = 2.0  # standard errors
SAMPLE, SAMPLE_PER_LABEL = 20_000, 1_000  # documents of the sample that rules are tuned on: the larger number

Sample = single_label.Sample | multilabel.Sample
Family = Callable[[Any], list[DecisionRule]]  # of a Sample of the kind of the labels
SINGLE_LABEL_FAMILIES: tuple[Family, ...] = (
    single_label.argmax,
    single_label.logit_adjustment,
    single_label.per_label_offsets,
)
ORDINAL_FAMILIES: tuple[Family, ...] = (single_label.argmax, single_label.weighted_median)
MULTILABEL_FAMILIES: tuple[Family, ...] = (
    multilabel.fixed_threshold,
    multilabel.single_threshold,
    multilabel.per_label_thresholds,
)


@dataclass(frozen=True)
class Decision:
    """A decision rule and why it was selected.

    Attributes:
        rule: the rule, fitted on all documents.
        evidence: how its family compares with the others.
        out_of_fold: predictions for the documents that it was tuned on, each by a rule of the same family that was
            fitted without that document: int64 (documents,), or bool (documents, labels). Empty if read from JSON.
    """

    rule: DecisionRule
    evidence: Evidence
    out_of_fold: NDArray[Any] = field(default_factory=lambda: np.empty(0, dtype=np.int64), compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `decision_from_json`."""
        return {"rule": self.rule.to_json(), "evidence": self.evidence.to_json()}


def decision_from_json(content: Mapping[str, Any]) -> Decision:
    """The decision that `to_json` returned, without `out_of_fold`. Raises ValueError for any other content."""
    try:
        return Decision(rule_from_json(content["rule"]), Evidence.from_json(content["evidence"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"the content is not a decision: {error}") from error


def default_decision(scores: NDArray[Any], truth: NDArray[Any], *, ordinal: bool = False) -> Decision:
    """Decide by the rule without a fitted parameter, and measure it.

    Args:
        scores: float (documents, labels), out-of-fold scores.
        truth: int (documents,), or bool (documents, labels) for multi-label targets.
        ordinal: whether the labels are ordinal; the rule is measured by the mean absolute error then.

    Returns:
        Argmax, or a threshold of 0.5 for multi-label targets.
    """
    (constrained, *_), metric = _families(truth, ordinal=ordinal)
    (rule,) = constrained(None)
    predicted = rule.decide(scores)
    value = float(metric.value(ConfusionCounts.from_predictions(truth, predicted, scores.shape[1])))
    only = RuleComparison(rule.family, None, value, value, 0.0, 0.0, 0.0, selected=True, metric=metric.name)
    return Decision(rule, Evidence(len(truth), 0, 0, 0, (only,)), predicted)


def tune_decision(
    scores: NDArray[Any],
    truth: NDArray[Any],
    groups: Sequence[Hashable] | NDArray[Any] | None = None,
    seed: int = 0,
    *,
    ordinal: bool = False,
) -> Decision:
    """Select and fit the decision rule for these scores.

    Unless the labels are ordinal, the same labels in another order give the same rule in that order.

    Args:
        scores: float (documents, labels), out-of-fold scores; -inf for a label that a fold's head has not seen.
        truth: int (documents,), or bool (documents, labels) for multi-label targets.
        groups: (documents,); rows of one group stay in one fold. None if there are no groups.
        seed: seed of the folds and of the bootstrap.
        ordinal: whether the columns go from the lowest label to the highest. The metric is the mean absolute error
            then, else macro-F1.

    Returns:
        The rule, the evidence for it, and its out-of-fold predictions.
    """
    size = max(SAMPLE, SAMPLE_PER_LABEL * scores.shape[1])
    if len(truth) <= size:
        return _tune(scores, truth, groups, seed, ordinal=ordinal)
    order = np.arange(scores.shape[1]) if ordinal else _canonical_order(scores, truth)
    (rows,) = nested_subsets(_reorder(truth, order), groups, [size], seed)
    if groups is not None:
        groups = groups[rows] if isinstance(groups, np.ndarray) else [groups[row] for row in rows.tolist()]
    decision = _tune(scores[rows], truth[rows], groups, seed, ordinal=ordinal)
    out_of_fold = decision.rule.decide(scores)
    out_of_fold[rows] = decision.out_of_fold
    return replace(decision, out_of_fold=out_of_fold)


def _tune(
    scores: NDArray[Any],
    truth: NDArray[Any],
    groups: Sequence[Hashable] | NDArray[Any] | None,
    seed: int,
    *,
    ordinal: bool,
) -> Decision:
    """As `tune_decision`, on all of the documents."""
    (constrained, *more_flexible), metric = _families(truth, ordinal=ordinal)
    problem = _Problem.build(scores, truth, metric)
    repeats = [problem.divide(groups, seed * REPEATS + repeat) for repeat in range(REPEATS)]
    current = _fit_family(constrained, problem, repeats)
    comparisons = [current.compare(None, problem, seed)]
    for family in more_flexible:
        candidate = _fit_family(family, problem, repeats)
        comparisons.append(candidate.compare(current, problem, seed))
        current = candidate if comparisons[-1].selected else current
    evidence = Evidence(len(truth), FOLDS, REPEATS, problem.rare_labels, tuple(comparisons))
    rule = current.rule.reordered(problem.inverse_order)
    return Decision(rule, evidence, problem.restore_order(current.cross_fitted[0]))


def _families(truth: NDArray[Any], *, ordinal: bool) -> tuple[Sequence[Family], Metric]:
    """The families to select from, and the metric that selects."""
    if ordinal:
        return ORDINAL_FAMILIES, ABSOLUTE_ERROR
    return (SINGLE_LABEL_FAMILIES if truth.ndim == 1 else MULTILABEL_FAMILIES), MACRO_F1


@dataclass(frozen=True, eq=False)
class _Fold:
    """rows: bool (documents,), the documents that are predicted. sample: the others, which rules are fitted to."""

    rows: NDArray[np.bool_]
    sample: Sample


@dataclass(frozen=True, eq=False)
class _Problem:
    """Scores, truth, and the metric that selects a rule.

    The columns are in a canonical order, the most frequent label first, unless the metric depends on their order.
    scores: of the given type if multi-label, else float64.
    """

    scores: NDArray[Any]
    truth: NDArray[Any]
    order: NDArray[np.int64]
    metric: Metric

    @classmethod
    def build(cls, scores: NDArray[Any], truth: NDArray[Any], metric: Metric) -> Self:
        if truth.ndim == 1:
            scores = scores.astype(np.float64)
            highest = scores.max(axis=1, keepdims=True)
            scores -= np.where(np.isfinite(highest), highest, 0.0)
        if metric == ABSOLUTE_ERROR:
            return cls(scores, truth, np.arange(scores.shape[1]), metric)
        order = _canonical_order(scores, truth)
        return cls(scores[:, order], _reorder(truth, order), order, metric)

    @cached_property
    def all_documents(self) -> Sample:
        """The sample of all documents."""
        if self.truth.ndim == 1:
            return single_label.Sample.of_all(self.scores, self.truth)
        return multilabel.Sample.of_all(self.scores, self.truth)

    def divide(self, groups: Sequence[Hashable] | NDArray[Any] | None, seed: int) -> list[_Fold]:
        """The folds of one repeat."""
        fold_of = assign_folds(self.truth, groups, FOLDS, seed)
        masks = (fold_of == fold for fold in np.unique(fold_of))
        return [_Fold(rows, replace(self.all_documents, rows=~rows)) for rows in masks]

    @property
    def inverse_order(self) -> NDArray[np.int64]:
        """The position of each original column."""
        return np.argsort(self.order)

    @property
    def rare_labels(self) -> int:
        """Number of labels with documents, but too few to be tuned separately; 0 if no family tunes single labels."""
        if self.metric == ABSOLUTE_ERROR:
            return 0
        documents = np.bincount(self.truth) if self.truth.ndim == 1 else self.truth.sum(axis=0)
        return int(np.count_nonzero((documents > 0) & (documents < MIN_DOCUMENTS)))

    def count(self, predicted: NDArray[Any], rows: Any = slice(None)) -> ConfusionCounts:
        """The counts of predictions for some documents."""
        return ConfusionCounts.from_predictions(self.truth[rows], predicted, self.scores.shape[1])

    def signed_value(self, predicted: NDArray[Any]) -> float:
        """The metric of predictions with the sign for which higher is better."""
        return float(self.metric.signed_value(self.count(predicted)))

    def restore_order(self, predicted: NDArray[Any]) -> NDArray[Any]:
        """Predictions in the original columns."""
        return self.order[predicted] if predicted.ndim == 1 else predicted[:, self.inverse_order]


@dataclass(frozen=True)
class _FittedFamily:
    """A family's rule, fitted on all documents, and its cross-fitted predictions, one array per repeat."""

    rule: DecisionRule
    cross_fitted: list[NDArray[Any]]

    def compare(self, current: "_FittedFamily | None", problem: _Problem, seed: int) -> RuleComparison:
        baseline = current or self
        in_sample, baseline_in_sample = (
            problem.signed_value(family.rule.decide(problem.scores)) for family in (self, baseline)
        )
        cross_fitted, baseline_cross_fitted = (
            float(np.mean([problem.signed_value(predicted) for predicted in family.cross_fitted]))
            for family in (self, baseline)
        )
        gain = cross_fitted - baseline_cross_fitted
        error = 0.0 if current is None else _standard_error(self, current, problem, seed)
        return RuleComparison(
            family=self.rule.family,
            baseline=None if current is None else current.rule.family,
            in_sample=problem.metric.sign * in_sample,
            cross_fitted=problem.metric.sign * cross_fitted,
            in_sample_gain=in_sample - baseline_in_sample,
            cross_fitted_gain=gain,
            standard_error=error,
            selected=current is None or gain > MARGIN * error,
            metric=problem.metric.name,
        )


def _standard_error(candidate: _FittedFamily, current: _FittedFamily, problem: _Problem, seed: int) -> float:
    """Standard error of the mean difference over repeats, with one resample of documents for all repeats."""
    predictions = [*candidate.cross_fitted, *current.cross_fitted]
    resampled = resample_metrics(problem.truth, predictions, problem.scores.shape[1], seed)
    values = [problem.metric.signed_value(metrics) for metrics in resampled]
    repeats = len(candidate.cross_fitted)
    difference = np.mean(values[:repeats], axis=0) - np.mean(values[repeats:], axis=0)
    return float(np.std(difference, ddof=1))


def _fit_family(family: Family, problem: _Problem, repeats: list[list[_Fold]]) -> _FittedFamily:
    results = [_cross_fit(family, problem, folds) for folds in repeats]
    best = int(np.argmax(np.mean([values for _, values in results], axis=0)))
    return _FittedFamily(family(problem.all_documents)[best], [predicted for predicted, _ in results])


def _cross_fit(family: Family, problem: _Problem, folds: list[_Fold]) -> tuple[NDArray[Any], list[float]]:
    """Out-of-fold predictions of a family, and the signed metric of each of its candidates over all folds.

    The candidate that predicts a fold is the best one on the other folds, so the choice among candidates is
    cross-fitted too. The predictions of the others are counted, not kept.
    """
    rules = [family(fold.sample) for fold in folds]
    counts = [
        [problem.count(rule.decide(problem.scores[fold.rows]), fold.rows) for rule in candidates]
        for fold, candidates in zip(folds, rules, strict=True)
    ]
    totals = [reduce(add, of_candidate) for of_candidate in zip(*counts, strict=True)]
    chosen = np.empty_like(problem.truth)
    for fold, candidates, of_fold in zip(folds, rules, counts, strict=True):
        values = [problem.metric.signed_value(total - part) for total, part in zip(totals, of_fold, strict=True)]
        chosen[fold.rows] = candidates[int(np.argmax(values))].decide(problem.scores[fold.rows])
    return chosen, [float(problem.metric.signed_value(total)) for total in totals]


def _canonical_order(scores: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.int64]:
    """The columns, the most frequent label first: the same labels, whatever their order in the columns."""
    documents = np.bincount(truth, minlength=scores.shape[1]) if truth.ndim == 1 else truth.sum(axis=0)
    return np.lexsort((_column_sums(scores), -documents))


def _reorder(truth: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    """The truth with its columns in another order."""
    return np.asarray(np.argsort(order)[truth] if truth.ndim == 1 else truth[:, order])


def _column_sums(scores: NDArray[Any]) -> NDArray[np.float64]:
    """The sum of each column's finite scores, float64 (labels,)."""
    total = np.zeros(scores.shape[1])
    for rows in row_blocks(scores.shape):
        total += np.where(np.isfinite(scores[rows]), scores[rows], 0.0).sum(axis=0, dtype=np.float64)
    return total
