"""Which rule to trust: families from rigid to free, a freer one only where cross-fitting shows that it helps.

Every family is fitted on some folds and decides the one that was left out (`cross_fitted`). The freer family is taken
when its figure there (macro-F1; of ordered labels the mean absolute error) is better than that of the family in place
by more than two standard errors of the difference, found by a paired bootstrap over documents: the rule of Breiman et
al. 1984 (Classification and Regression Trees, section 3.4.3), which prefers the simpler of two models that cannot be
told apart, with twice their margin. It was chosen on training documents of Reuters-52: rules tuned on one half and
tried on the other, 8 halvings of out-of-fold scores. With balanced weights argmax had a macro-F1 of 79.3 there; a
margin of 1 standard error took rules that had 78.9, one of 2 took none. Without weights, where rules help, it had 74.7,
and either margin gained 3 to 4 points of it.
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
    """A rule and why it was chosen.

    out_of_fold: what rules of its family say of the documents that it was tuned on, each fitted without them: int64
    (documents,), or bool (documents, labels). Empty in a decision that was read from JSON.
    """

    rule: DecisionRule
    evidence: Evidence
    out_of_fold: NDArray[Any] = field(default_factory=lambda: np.empty(0, dtype=np.int64), compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `decision_from_json` takes them."""
        return {"rule": self.rule.to_json(), "evidence": self.evidence.to_json()}


def decision_from_json(content: Mapping[str, Any]) -> Decision:
    """The decision that `to_json` gave, without `out_of_fold`. Raises ValueError for anything else."""
    try:
        return Decision(rule_from_json(content["rule"]), Evidence.from_json(content["evidence"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is no decision: {error}") from error


def default_decision(scores: NDArray[Any], truth: NDArray[Any], *, ordinal: bool = False) -> Decision:
    """Argmax, or 0.5 for several labels: the rule for which nothing is fitted, and how well it does."""
    (rigid, *_), metric = _choice(truth, ordinal=ordinal)
    (rule,) = rigid(scores, truth)
    decided = rule.decide(scores)
    value = float(metric.value(ConfusionCounts.from_predictions(truth, decided, scores.shape[1])))
    only = RuleComparison(rule.family, None, value, value, 0.0, 0.0, 0.0, selected=True, metric=metric.name)
    return Decision(rule, Evidence(len(truth), 0, 0, 0, (only,)), decided)


def tune_decision(
    scores: NDArray[Any],
    truth: NDArray[Any],
    groups: Sequence[Hashable] | NDArray[Any] | None = None,
    seed: int = 0,
    *,
    ordinal: bool = False,
) -> Decision:
    """The rule for these scores, and the evidence for it.

    scores: float (documents, labels), of documents that the head had not seen; -inf in a column that it had not seen.
    truth: int (documents,), or bool (documents, labels) for several labels. groups: rows of one group are not parted.
    ordered: the columns stand from the lowest label to the highest, and rules are chosen by the mean absolute error.
    Otherwise the same labels in another order give the same rule in that order.
    """
    (rigid, *freer), metric = _choice(truth, ordinal=ordinal)
    problem = _Problem.of(scores, truth, metric)
    members = None if groups is None else list(groups)
    repeats = [assign_folds(problem.truth, members, FOLDS, seed * REPEATS + repeat) for repeat in range(REPEATS)]
    present = _fitted(rigid, problem, repeats)
    comparisons = [present.comparison(None, problem, seed)]
    for family in freer:
        asked = _fitted(family, problem, repeats)
        comparisons.append(asked.comparison(present, problem, seed))
        present = asked if comparisons[-1].selected else present
    evidence = Evidence(len(truth), FOLDS, REPEATS, problem.few, tuple(comparisons))
    return Decision(present.rule.reordered(problem.inverse), evidence, problem.restored(present.held[0]))


def _choice(truth: NDArray[Any], *, ordinal: bool) -> tuple[Sequence[Family], Metric]:
    """The families to choose from, and by what."""
    if ordinal:
        return ORDINAL_FAMILIES, ABSOLUTE_ERROR
    return (SINGLE_LABEL_FAMILIES if truth.ndim == 1 else MULTILABEL_FAMILIES), MACRO_F1


@dataclass(frozen=True)
class _Problem:
    """Scores in float64, truth, and by what a rule is chosen.

    Columns are from the most frequent label on, whatever order was given, unless the figure reads their order.
    """

    scores: NDArray[np.float64]
    truth: NDArray[Any]
    order: NDArray[np.int64]
    metric: Metric

    @classmethod
    def of(cls, scores: NDArray[Any], truth: NDArray[Any], metric: Metric) -> Self:
        exact = scores.astype(np.float64)
        documents = np.bincount(truth, minlength=scores.shape[1]) if truth.ndim == 1 else truth.sum(axis=0)
        if truth.ndim == 1:
            highest = exact.max(axis=1, keepdims=True)
            exact -= np.where(np.isfinite(highest), highest, 0.0)
        if metric == ABSOLUTE_ERROR:
            return cls(exact, truth, np.arange(scores.shape[1]), metric)
        order = np.lexsort((np.where(np.isfinite(exact), exact, 0.0).sum(axis=0), -documents))
        own = np.argsort(order)[truth] if truth.ndim == 1 else truth[:, order]
        return cls(exact[:, order], own, order, metric)

    @property
    def inverse(self) -> NDArray[np.int64]:
        """Where each given column stands."""
        return np.argsort(self.order)

    @property
    def few(self) -> int:
        """Labels that have documents, but too few to be tuned alone, where a family would do so."""
        if self.metric == ABSOLUTE_ERROR:
            return 0
        documents = np.bincount(self.truth) if self.truth.ndim == 1 else self.truth.sum(axis=0)
        return int(np.count_nonzero((documents > 0) & (documents < MIN_DOCUMENTS)))

    def signed_value(self, decided: NDArray[Any], rows: Any = slice(None)) -> float:
        """The figure, or less it where less is better."""
        return float(
            self.metric.signed_value(
                ConfusionCounts.from_predictions(self.truth[rows], decided[rows], self.scores.shape[1])
            )
        )

    def restored(self, decided: NDArray[Any]) -> NDArray[Any]:
        """Labels as they were given."""
        return self.order[decided] if decided.ndim == 1 else decided[:, self.inverse]


@dataclass(frozen=True)
class _Fitted:
    """A family's rule for all documents, and, a repeat each, what its rules say of those they were not fitted to."""

    rule: DecisionRule
    held: list[NDArray[Any]]

    def comparison(self, present: "_Fitted | None", problem: _Problem, seed: int) -> RuleComparison:
        baseline = present or self
        in_sample, before = (problem.signed_value(one.rule.decide(problem.scores)) for one in (self, baseline))
        cross_fitted, held = (
            float(np.mean([problem.signed_value(said) for said in one.held])) for one in (self, baseline)
        )
        error = 0.0 if present is None else _standard_error(self.held, present.held, problem, seed)
        return RuleComparison(
            family=self.rule.family,
            baseline=None if present is None else present.rule.family,
            in_sample=problem.metric.sign * in_sample,
            cross_fitted=problem.metric.sign * cross_fitted,
            in_sample_gain=in_sample - before,
            cross_fitted_gain=cross_fitted - held,
            standard_error=error,
            selected=present is None or cross_fitted - held > MARGIN * error,
            metric=problem.metric.name,
        )


def _standard_error(freer: list[NDArray[Any]], present: list[NDArray[Any]], problem: _Problem, seed: int) -> float:
    """Of the mean difference of the figure over repeats, by documents resampled for all of them at once."""
    resamples = resample_metrics(problem.truth, [*freer, *present], problem.scores.shape[1], seed)
    metrics = [problem.metric.signed_value(one) for one in resamples]
    difference = np.mean(metrics[: len(freer)], axis=0) - np.mean(metrics[len(freer) :], axis=0)
    return float(np.std(difference, ddof=1))


def _fitted(family: Family, problem: _Problem, repeats: list[NDArray[np.int8]]) -> _Fitted:
    crossed = [_crossfitted(family, problem, parts) for parts in repeats]
    best = int(np.argmax(np.mean([metrics for _, metrics in crossed], axis=0)))
    return _Fitted(family(problem.scores, problem.truth)[best], [held for held, _ in crossed])


def _crossfitted(family: Family, problem: _Problem, parts: NDArray[np.int8]) -> tuple[NDArray[Any], list[float]]:
    """What rules fitted to the other parts say of each part, and each candidate's merit over all parts.

    The candidate that decides a part is the one that did best on the other parts, so that the choice among a family's
    candidates is cross-fitted too.
    """
    candidates = _decided_apart(family, problem, parts)
    chosen = np.empty_like(candidates[0])
    for part in np.unique(parts):
        others = parts != part
        metrics = [problem.signed_value(decided, others) for decided in candidates]
        chosen[~others] = candidates[int(np.argmax(metrics))][~others]
    return chosen, [problem.signed_value(decided) for decided in candidates]


def _decided_apart(family: Family, problem: _Problem, parts: NDArray[np.int8]) -> list[NDArray[Any]]:
    """What each candidate says of every document, fitted to the parts that it is not in."""
    said: list[NDArray[Any]] = []
    for part in np.unique(parts):
        within = parts == part
        rules = family(problem.scores[~within], problem.truth[~within])
        said = said or [np.empty_like(problem.truth) for _ in rules]
        for decided, rule in zip(said, rules, strict=True):
            decided[within] = rule.decide(problem.scores[within])
    return said
