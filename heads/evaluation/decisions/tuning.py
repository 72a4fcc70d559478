"""Selects a decision rule: a more flexible family only if cross-fitting shows that it helps.

The families are ordered from the most constrained to the most flexible. Each is cross-fitted: fitted on all folds but
one, and applied to that fold. A more flexible family is selected if its cross-fitted metric is better than that of the
current family by more than a number of standard errors of the difference over documents (`heads.evaluation.jackknife`):
two, or one if the family has a single fitted number. This is the rule of Breiman et al. 1984 (Classification and
Regression Trees, section 3.4.3), which prefers the simpler of two models that cannot be distinguished. Of two families
that are as simple, the better one is selected if each is better than the one before them by its margin. Folds are drawn
three times; a family that is worse in the first ones is not fitted in the others, and is compared in the first ones.

The margins were chosen on 120 random problems of 2 to 50 labels (those of `benchmarks/decisions.py --part random`), for
macro-F1 on new documents. With two standard errors for all families the mean gain over argmax was 4.5 points; with one
for a single number 5.2 points, and one rule lowered macro-F1 by more than a point. One standard error for offsets of
labels as well added nothing. On training documents of Reuters-52, whose head had balanced class weights, a margin of 1
for all families selected rules with 78.9 in place of the 79.3 of argmax, and a margin of 2 none.

A rule is tuned on a stratified sample of many documents, in whole groups: the values of a label are known to about one
over the root of its documents, so that more of them change nothing but the time. The other documents are decided by the
rule of the sample, which was not fitted to them.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.splits import nested_subsets, take_groups
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.decision import Decision
from heads.evaluation.decisions.evidence import Evidence, RuleComparison
from heads.evaluation.decisions.objective_request import ObjectiveRequest
from heads.evaluation.decisions.objectives import Family
from heads.evaluation.decisions.problem import FOLDS, Fold, Problem, Selection, canonical_order, reorder
from heads.evaluation.decisions.rules import DecisionRule
from heads.evaluation.jackknife import difference_error

REPEATS = 3
SAMPLE, SAMPLE_PER_LABEL = 20_000, 1_000  # documents of the sample that rules are tuned on: the larger number


def default_decision(
    scores: NDArray[Any],
    truth: NDArray[Any],
    *,
    ordinal: bool = False,
    hierarchy: Hierarchy | None = None,
    objective: ObjectiveRequest | str | None = None,
    labels_only: bool = False,
) -> Decision:
    """Decide by the rule without a fitted parameter, and measure it.

    Args:
        scores: float (documents, labels), out-of-fold scores.
        truth: int (documents,), or bool (documents, labels) for multi-label targets.
        ordinal: whether the labels are ordinal; the rule is measured by the mean absolute error then.
        hierarchy: as for `tune_decision`.
        objective: as for `tune_decision`.
        labels_only: as for `tune_decision`.

    Returns:
        Argmax, a threshold of 0.5 for multi-label targets, or the exact rule of an objective of a hierarchy.

    Raises:
        EmbedOnceError: the objective does not fit the labels.
    """
    selection = Selection.of(truth, hierarchy, objective, ordinal=ordinal, labels_only=labels_only)
    metric = selection.objective.metric
    (rule,) = selection.objective.default(selection.sample(scores, truth))
    predicted = rule.decide(scores)
    value = float(metric.value(selection.count(truth, predicted, scores.shape[1])))
    only = RuleComparison(
        rule.name, None, value, value, 0.0, 0.0, 0.0, selected=True, metric=metric.name, sign=metric.sign
    )
    return Decision(rule, Evidence(len(truth), 0, 0, 0, (only,)), predicted)


def tune_decision(
    scores: NDArray[Any],
    truth: NDArray[Any],
    groups: Sequence[Hashable] | NDArray[Any] | None = None,
    seed: int = 0,
    *,
    ordinal: bool = False,
    hierarchy: Hierarchy | None = None,
    objective: ObjectiveRequest | str | None = None,
    labels_only: bool = False,
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
        hierarchy: of the labels, for an objective that needs one; multi-label decisions are closed under it.
        objective: what the rule is selected for, or the name of an objective that needs no more, one of
            `objective_request.OBJECTIVES`; None for the metric of `ordinal`.
        labels_only: whether nodes of the hierarchy that are no label are never predicted.

    Returns:
        The rule, the evidence for it, and its out-of-fold predictions.

    Raises:
        EmbedOnceError: the objective does not fit the labels.
    """
    selection = Selection.of(truth, hierarchy, objective, ordinal=ordinal, labels_only=labels_only)
    size = SAMPLE if selection.objective.is_hierarchical else max(SAMPLE, SAMPLE_PER_LABEL * scores.shape[1])
    if len(truth) <= size:
        return _tune(scores, truth, groups, seed, selection)
    order = np.arange(scores.shape[1]) if ordinal else canonical_order(scores, truth)
    (rows,) = nested_subsets(reorder(truth, order), groups, [size], seed)
    decision = _tune(scores[rows], truth[rows], take_groups(groups, rows), seed, selection)
    out_of_fold = decision.rule.decide(scores)
    out_of_fold[rows] = decision.out_of_fold
    return replace(decision, out_of_fold=out_of_fold)


def _tune(
    scores: NDArray[Any],
    truth: NDArray[Any],
    groups: Sequence[Hashable] | NDArray[Any] | None,
    seed: int,
    selection: "Selection",
) -> Decision:
    """As `tune_decision`, on all of the documents."""
    problem = Problem.build(scores, truth, selection)
    repeats = [problem.divide(groups, seed * REPEATS + repeat) for repeat in range(REPEATS)]
    simplest, *more_flexible = problem.selection.objective.families
    current = _fit_family(simplest, problem, repeats)
    comparisons, compared = [current.compare(None, problem, seed)], [current.rule]
    for family in more_flexible:
        candidate = _fit_family(family, problem, repeats, current)
        if candidate.rule in compared:  # no flexibility was used
            continue
        compared.append(candidate.rule)
        comparison = candidate.compare(current, problem, seed)
        if not comparison.selected and candidate.is_better_alternative(current, problem, seed):
            comparison = replace(comparison, selected=True, is_alternative=True)
        comparisons.append(comparison)
        if comparison.selected:
            current = replace(candidate, simpler=current.simpler if comparison.is_alternative else current)
    reached = problem.reached_constraint(current.cross_fitted)
    evidence = Evidence(len(truth), FOLDS, REPEATS, problem.rare_labels, tuple(comparisons), reached)
    rule = current.rule.reordered(problem.inverse_order)
    return Decision(rule, evidence, problem.restore_order(current.cross_fitted[0]))


@dataclass(frozen=True)
class _FittedFamily:
    """A family's rule, fitted on all documents, and its cross-fitted predictions, one array per repeat.

    margin: how many standard errors better it must be to be selected; -inf if it is selected anyway.
    in_sample: the signed metric of the rule on all documents.
    values: the signed metric of the cross-fitted predictions of each repeat.
    simpler: the last simpler family that was selected; None for the simplest one.
    """

    rule: DecisionRule
    margin: float
    in_sample: float
    cross_fitted: list[NDArray[Any]]
    values: list[float]
    simpler: "_FittedFamily | None" = None

    def gain_over(self, other: "_FittedFamily") -> float:
        """By how much the cross-fitted metric is better, in the repeats that this family was fitted in."""
        return float(np.mean(self.values) - np.mean(other.values[: len(self.values)]))

    def error_over(self, other: "_FittedFamily", problem: Problem, seed: int) -> float:
        """The standard error of `gain_over`."""
        return difference_error(
            problem.truth,
            self.cross_fitted,
            other.cross_fitted[: len(self.cross_fitted)],
            problem.metric.signed_value,
            problem.scores.shape[1],
            measure=problem.selection.measure,
            seed=seed,
        )

    def is_better_alternative(self, current: "_FittedFamily", problem: Problem, seed: int) -> bool:
        """Whether it is better than a family as simple, and by its margin than the simpler family before both."""
        simpler = current.simpler
        if simpler is None or self.margin != current.margin or self.gain_over(current) <= 0:
            return False
        return self.gain_over(simpler) > self.margin * self.error_over(simpler, problem, seed)

    def compare(self, current: "_FittedFamily | None", problem: Problem, seed: int) -> RuleComparison:
        baseline, sign = current or self, problem.metric.sign
        gain = self.gain_over(baseline)
        error = 0.0 if current is None else self.error_over(current, problem, seed)
        return RuleComparison(
            family=self.rule.name,
            baseline=None if current is None else current.rule.name,
            in_sample=sign * self.in_sample,
            cross_fitted=sign * float(np.mean(self.values)),
            in_sample_gain=self.in_sample - baseline.in_sample,
            cross_fitted_gain=gain,
            standard_error=error,
            selected=current is None or self.margin == -np.inf or gain > self.margin * error,
            metric=problem.metric.name,
            sign=sign,
        )


def _fit_family(
    family: Family, problem: Problem, repeats: list[list[Fold]], current: _FittedFamily | None = None
) -> _FittedFamily:
    """Cross-fit a family, in the first repeat only if it is worse than the current one there."""
    results = [_cross_fit(family, problem, repeats[0])]
    margin, first = problem.selection.objective.margin_of(family), problem.signed_value(results[0][0])
    is_worse = current is not None and margin >= 0 and first < current.values[0]
    results += [] if is_worse else [_cross_fit(family, problem, folds) for folds in repeats[1:]]
    best = int(np.argmax(np.mean([of_candidates for _, of_candidates in results], axis=0)))
    rule, cross_fitted = family(problem.all_documents)[best], [predicted for predicted, _ in results]
    values = [first, *map(problem.signed_value, cross_fitted[1:])]
    return _FittedFamily(rule, margin, problem.signed_value(rule.decide(problem.scores)), cross_fitted, values)


def _cross_fit(family: Family, problem: Problem, folds: list[Fold]) -> tuple[NDArray[Any], list[float]]:
    """Out-of-fold predictions of a family, and the signed metric of each of its candidates over all folds.

    The candidate that predicts a fold is the best one on the other folds, so the choice among candidates is
    cross-fitted too. The predictions of the others are counted, not kept.
    """
    rules = [family(fold.sample) for fold in folds]
    counts = [_count_fold(problem, fold, candidates) for fold, candidates in zip(folds, rules, strict=True)]
    totals = [reduce(add, of_candidate) for of_candidate in zip(*counts, strict=True)]
    chosen = np.empty_like(problem.truth)
    for fold, candidates, of_fold in zip(folds, rules, counts, strict=True):
        values = [problem.metric.signed_value(total - part) for total, part in zip(totals, of_fold, strict=True)]
        chosen[fold.rows] = candidates[int(np.argmax(values))].decide(problem.scores[fold.rows])
    return chosen, [float(problem.metric.signed_value(total)) for total in totals]


def _count_fold(problem: Problem, fold: Fold, rules: Sequence[DecisionRule]) -> list[ConfusionCounts]:
    """The counts of a fold's documents by each rule."""
    scores, truth = problem.scores[fold.rows], problem.truth[fold.rows]
    return [problem.selection.count(truth, rule.decide(scores), scores.shape[1]) for rule in rules]
