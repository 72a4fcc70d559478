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
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.splits import assign_folds
from heads.evaluation.bootstrap import resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import multilabel, single_label
from heads.evaluation.decisions.evidence import Evidence, RuleComparison
from heads.evaluation.decisions.rules import DecisionRule, rule_from_json
from heads.evaluation.decisions.search import MIN_DOCUMENTS
from heads.evaluation.metrics import ABSOLUTE_ERROR, MACRO_F1, Metric

FOLDS = 5
REPEATS = 3
MARGIN = 2.0  # standard errors

Family = Callable[[NDArray[Any], NDArray[Any]], list[DecisionRule]]
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
    (rule,) = constrained(scores, truth)
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
    (constrained, *more_flexible), metric = _families(truth, ordinal=ordinal)
    problem = _Problem.build(scores, truth, metric)
    members = None if groups is None else list(groups)
    repeats = [assign_folds(problem.truth, members, FOLDS, seed * REPEATS + repeat) for repeat in range(REPEATS)]
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


@dataclass(frozen=True)
class _Problem:
    """Scores in float64, truth, and the metric that selects a rule.

    The columns are in a canonical order, the most frequent label first, unless the metric depends on their order.
    """

    scores: NDArray[np.float64]
    truth: NDArray[Any]
    order: NDArray[np.int64]
    metric: Metric

    @classmethod
    def build(cls, scores: NDArray[Any], truth: NDArray[Any], metric: Metric) -> Self:
        exact = scores.astype(np.float64)
        documents = np.bincount(truth, minlength=scores.shape[1]) if truth.ndim == 1 else truth.sum(axis=0)
        if truth.ndim == 1:
            highest = exact.max(axis=1, keepdims=True)
            exact -= np.where(np.isfinite(highest), highest, 0.0)
        if metric == ABSOLUTE_ERROR:
            return cls(exact, truth, np.arange(scores.shape[1]), metric)
        order = np.lexsort((np.where(np.isfinite(exact), exact, 0.0).sum(axis=0), -documents))
        reordered_truth = np.argsort(order)[truth] if truth.ndim == 1 else truth[:, order]
        return cls(exact[:, order], reordered_truth, order, metric)

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

    def signed_value(self, predicted: NDArray[Any], rows: Any = slice(None)) -> float:
        """The metric of predictions with the sign for which higher is better."""
        counts = ConfusionCounts.from_predictions(self.truth[rows], predicted[rows], self.scores.shape[1])
        return float(self.metric.signed_value(counts))

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


def _fit_family(family: Family, problem: _Problem, repeats: list[NDArray[np.int32]]) -> _FittedFamily:
    results = [_cross_fit(family, problem, folds) for folds in repeats]
    best = int(np.argmax(np.mean([values for _, values in results], axis=0)))
    return _FittedFamily(family(problem.scores, problem.truth)[best], [predicted for predicted, _ in results])


def _cross_fit(family: Family, problem: _Problem, folds: NDArray[np.int32]) -> tuple[NDArray[Any], list[float]]:
    """Out-of-fold predictions of a family, and the signed metric of each of its candidates over all folds.

    The candidate that predicts a fold is the best one on the other folds, so the choice among candidates is
    cross-fitted too.
    """
    candidates = _cross_fit_candidates(family, problem, folds)
    chosen = np.empty_like(candidates[0])
    for fold in np.unique(folds):
        others = folds != fold
        values = [problem.signed_value(predicted, others) for predicted in candidates]
        chosen[~others] = candidates[int(np.argmax(values))][~others]
    return chosen, [problem.signed_value(predicted) for predicted in candidates]


def _cross_fit_candidates(family: Family, problem: _Problem, folds: NDArray[np.int32]) -> list[NDArray[Any]]:
    """Out-of-fold predictions of each candidate of a family."""
    predictions: list[NDArray[Any]] = []
    for fold in np.unique(folds):
        rows = folds == fold
        rules = family(problem.scores[~rows], problem.truth[~rows])
        predictions = predictions or [np.empty_like(problem.truth) for _ in rules]
        for predicted, rule in zip(predictions, rules, strict=True):
            predicted[rows] = rule.decide(problem.scores[rows])
    return predictions
