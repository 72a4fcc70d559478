"""Which rule to trust: families from rigid to free, a freer one only where cross-fitting shows that it helps.

Every family is fitted on some folds and decides the one that was left out (`crossfitted`). The freer family is taken
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
from heads.evaluation.bootstrap import resampled
from heads.evaluation.confusion_counts import Counts
from heads.evaluation.decisions import multilabel as multilabel
from heads.evaluation.decisions import ordinal
from heads.evaluation.decisions import single_label as single
from heads.evaluation.decisions.evidence import Evidence, Trial
from heads.evaluation.decisions.rules import Rule, rule_from_json
from heads.evaluation.decisions.search import FEW
from heads.evaluation.metrics import ABSOLUTE_ERROR, MACRO_F1, Metric

FOLDS = 5
REPEATS = 3
MARGIN = 2.0  # standard errors

Family = Callable[[NDArray[Any], NDArray[Any]], list[Rule]]
SINGLE: tuple[Family, ...] = (single.argmax, single.logit_adjustment, single.label_offsets)
ORDERED: tuple[Family, ...] = (single.argmax, ordinal.weighted_median)
SEVERAL: tuple[Family, ...] = (multilabel.half, multilabel.one_threshold, multilabel.label_thresholds)


@dataclass(frozen=True)
class Decision:
    """A rule and why it was chosen.

    out_of_fold: what rules of its family say of the documents that it was tuned on, each fitted without them: int64
    (documents,), or bool (documents, labels). Empty in a decision that was read from JSON.
    """

    rule: Rule
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


def untuned(scores: NDArray[Any], truth: NDArray[Any], *, ordered: bool = False) -> Decision:
    """Argmax, or 0.5 for several labels: the rule for which nothing is fitted, and how well it does."""
    (rigid, *_), metric = _choice(truth, ordered=ordered)
    (rule,) = rigid(scores, truth)
    decided = rule.decide(scores)
    value = float(metric.of(Counts.of(truth, decided, scores.shape[1])))
    only = Trial(rule.family, None, value, value, 0.0, 0.0, 0.0, taken=True, metric=metric.name)
    return Decision(rule, Evidence(len(truth), 0, 0, 0, (only,)), decided)


def tune(
    scores: NDArray[Any],
    truth: NDArray[Any],
    groups: Sequence[Hashable] | NDArray[Any] | None = None,
    seed: int = 0,
    *,
    ordered: bool = False,
) -> Decision:
    """The rule for these scores, and the evidence for it.

    scores: float (documents, labels), of documents that the head had not seen; -inf in a column that it had not seen.
    truth: int (documents,), or bool (documents, labels) for several labels. groups: rows of one group are not parted.
    ordered: the columns stand from the lowest label to the highest, and rules are chosen by the mean absolute error.
    Otherwise the same labels in another order give the same rule in that order.
    """
    (rigid, *freer), metric = _choice(truth, ordered=ordered)
    problem = _Problem.of(scores, truth, metric)
    members = None if groups is None else list(groups)
    repeats = [assign_folds(problem.truth, members, FOLDS, seed * REPEATS + repeat) for repeat in range(REPEATS)]
    present = _fitted(rigid, problem, repeats)
    trials = [present.trial(None, problem, seed)]
    for family in freer:
        asked = _fitted(family, problem, repeats)
        trials.append(asked.trial(present, problem, seed))
        present = asked if trials[-1].taken else present
    evidence = Evidence(len(truth), FOLDS, REPEATS, problem.few, tuple(trials))
    return Decision(present.rule.reordered(problem.inverse), evidence, problem.restored(present.held[0]))


def _choice(truth: NDArray[Any], *, ordered: bool) -> tuple[Sequence[Family], Metric]:
    """The families to choose from, and by what."""
    if ordered:
        return ORDERED, ABSOLUTE_ERROR
    return (SINGLE if truth.ndim == 1 else SEVERAL), MACRO_F1


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
        return int(np.count_nonzero((documents > 0) & (documents < FEW)))

    def merit(self, decided: NDArray[Any], rows: Any = slice(None)) -> float:
        """The figure, or less it where less is better."""
        return float(self.metric.merit(Counts.of(self.truth[rows], decided[rows], self.scores.shape[1])))

    def restored(self, decided: NDArray[Any]) -> NDArray[Any]:
        """Labels as they were given."""
        return self.order[decided] if decided.ndim == 1 else decided[:, self.inverse]


@dataclass(frozen=True)
class _Fitted:
    """A family's rule for all documents, and, a repeat each, what its rules say of those they were not fitted to."""

    rule: Rule
    held: list[NDArray[Any]]

    def trial(self, present: "_Fitted | None", problem: _Problem, seed: int) -> Trial:
        against = present or self
        apparent, before = (problem.merit(one.rule.decide(problem.scores)) for one in (self, against))
        crossfitted, held = (float(np.mean([problem.merit(said) for said in one.held])) for one in (self, against))
        error = 0.0 if present is None else _standard_error(self.held, present.held, problem, seed)
        return Trial(
            family=self.rule.family,
            against=None if present is None else present.rule.family,
            apparent=problem.metric.sign * apparent,
            crossfitted=problem.metric.sign * crossfitted,
            apparent_gain=apparent - before,
            gain=crossfitted - held,
            standard_error=error,
            taken=present is None or crossfitted - held > MARGIN * error,
            metric=problem.metric.name,
        )


def _standard_error(freer: list[NDArray[Any]], present: list[NDArray[Any]], problem: _Problem, seed: int) -> float:
    """Of the mean difference of the figure over repeats, by documents resampled for all of them at once."""
    resamples = resampled(problem.truth, [*freer, *present], problem.scores.shape[1], seed)
    metrics = [problem.metric.merit(one) for one in resamples]
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
        metrics = [problem.merit(decided, others) for decided in candidates]
        chosen[~others] = candidates[int(np.argmax(metrics))][~others]
    return chosen, [problem.merit(decided) for decided in candidates]


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
