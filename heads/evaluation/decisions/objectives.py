"""What decision rules are selected for: a metric, and the families of rules that may be selected.

Families go from the most constrained to the most flexible. Those of a hierarchy have at most three fitted numbers,
which cross-fitting measures well, so the family with the best cross-fitted metric is selected, as is a rule without a
fitted number that has the best expected value. A family with one fitted number must be better than the ones before it
by more than `SMALL_MARGIN` standard errors, and others by more than `MARGIN` (`tuning`).

`hf1` is the micro hF1 of all documents, which is no mean over documents: the rule that is exact for a document may be
worse than one with a fitted threshold.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from heads.evaluation.decisions import constraints, multilabel, node_families, single_label
from heads.evaluation.decisions.hierarchical import BestExpectedDistance, BestExpectedHF, BestExpectedSimilarity
from heads.evaluation.decisions.node_families import AdjustedExact, Exact, TemperedExact
from heads.evaluation.decisions.objective_metrics import MEAN_COST, Constraint, FBeta
from heads.evaluation.decisions.optimizers.flips import (
    CorrectDocuments,
    FBetaSum,
    FlipValue,
    MatthewsCorrelation,
    NegativeCost,
    RecallSum,
)
from heads.evaluation.decisions.optimizers.pairs import DocumentFBeta, LabelFBeta, MicroFBeta, PairValue, SameSet
from heads.evaluation.decisions.rules import DecisionRule
from heads.evaluation.metrics import ABSOLUTE_ERROR, METRICS, Metric

__all__ = ["FLAT_OBJECTIVES", "HIERARCHICAL_OBJECTIVES", "MARGIN", "Family", "Objective", "constrained", "of_costs"]

MARGIN = 2.0  # standard errors
SMALL_MARGIN = 1.0  # of a family with one fitted number

Family = Callable[[Any], list[DecisionRule]]  # of a Sample of the kind of the labels


@dataclass(frozen=True, eq=False)
class Objective:
    """What rules are selected for.

    Attributes:
        metric: the metric.
        families: what may be selected.
        default: the family that decides if no rule is selected; it has no fitted parameter.
        margin: a family is selected if it is better than the ones before it by more than this many standard errors.
        exact: the families that need no margin, because no number of theirs is fitted.
        value: what rules are fitted to; None for labels of a hierarchy.
        tunes_labels: whether a family fits a number per label.
        is_hierarchical: whether rules are for one label per document of a hierarchy.
        constraint: what the last family must have; it is selected whatever its metric.
    """

    metric: Metric
    families: tuple[Family, ...]
    default: Family
    margin: float = MARGIN
    exact: tuple[Family, ...] = ()
    value: FlipValue | PairValue | None = None
    tunes_labels: bool = True
    is_hierarchical: bool = False
    constraint: Constraint | None = None

    @property
    def costs(self) -> NDArray[np.float64] | None:
        """The cost matrix, float64 (labels, labels), if the objective is its expected value."""
        return self.value.costs if isinstance(self.value, NegativeCost) else None

    def margin_of(self, family: Family) -> float:
        """How many standard errors better a family must be than the ones before it; -inf if it is selected anyway."""
        if self.constraint is not None:
            return -np.inf
        return 0.0 if family in self.exact else min(self.margin, SMALL_MARGIN if family in _ONE_NUMBER else MARGIN)

    def reordered(self, order: NDArray[np.int64]) -> Self:
        """The same for reordered columns."""
        if self.costs is not None:
            return replace(self, value=NegativeCost(self.costs[np.ix_(order, order)]))
        if self.constraint is None:
            return self
        made = constrained(self.constraint.reordered(order), self.default)
        return replace(self, metric=made.metric, families=made.families, constraint=made.constraint)


_ONE_NUMBER: tuple[Family, ...] = (
    single_label.weighted_probabilities,  # which fits numbers of documents alone
    single_label.logit_adjustment,
    multilabel.single_threshold,
)


def _single_label(metric: Metric, value: FlipValue, *exact: Family) -> Objective:
    of_f = (single_label.weighted_probabilities,) if isinstance(value, FBetaSum) else ()
    families = (single_label.argmax, *exact, *of_f, single_label.logit_adjustment, single_label.per_label_offsets)
    return Objective(metric, families, (*exact, single_label.argmax)[0], exact=exact, value=value)


def _multilabel(metric: Metric, value: PairValue, *exact: Family) -> Objective:
    families = (multilabel.fixed_threshold, *exact, multilabel.single_threshold, multilabel.per_label_thresholds)
    return Objective(metric, families, (*exact, multilabel.fixed_threshold)[0], exact=exact, value=value)


# name -> the objectives for one label per document and for several, of beta; None if there is none
Pair = tuple[Callable[[float], Objective] | None, Callable[[float], Objective] | None]
FLAT_OBJECTIVES: Mapping[str, Pair] = {
    "macro-f1": (
        lambda _: _single_label(METRICS["macro-f1"], FBetaSum()),
        lambda _: _multilabel(METRICS["macro-f1"], LabelFBeta()),
    ),
    "micro-f1": (
        lambda _: _single_label(METRICS["micro-f1"], CorrectDocuments()),
        lambda _: _multilabel(METRICS["micro-f1"], MicroFBeta()),
    ),
    "weighted-f1": (
        lambda _: _single_label(METRICS["weighted-f1"], FBetaSum(weighted=True)),
        lambda _: _multilabel(METRICS["weighted-f1"], LabelFBeta(weighted=True)),
    ),
    "samples-f1": (
        None,
        lambda _: _multilabel(METRICS["samples-f1"], DocumentFBeta(), multilabel.best_expected_set),
    ),
    "macro-fbeta": (
        lambda beta: _single_label(FBeta.of("macro", beta), FBetaSum(beta)),
        lambda beta: _multilabel(FBeta.of("macro", beta), LabelFBeta(beta)),
    ),
    "micro-fbeta": (
        lambda beta: _single_label(FBeta.of("micro", beta), CorrectDocuments()),  # each F-beta is the accuracy
        lambda beta: _multilabel(FBeta.of("micro", beta), MicroFBeta(beta)),
    ),
    "balanced-accuracy": (
        lambda _: _single_label(METRICS["balanced-accuracy"], RecallSum(), single_label.equal_priors),
        None,
    ),
    "mcc": (lambda _: _single_label(METRICS["mcc"], MatthewsCorrelation()), None),
    "accuracy": (
        lambda _: _single_label(METRICS["accuracy"], CorrectDocuments()),
        lambda _: _multilabel(METRICS["accuracy"], SameSet()),
    ),
}
ORDINAL = Objective(
    ABSOLUTE_ERROR, (single_label.argmax, single_label.weighted_median), single_label.argmax, tunes_labels=False
)
MULTILABEL_HF1 = replace(
    _multilabel(METRICS["hf1"], MicroFBeta()),
    families=(*_multilabel(METRICS["hf1"], MicroFBeta()).families, multilabel.greedy_closure),
    exact=(multilabel.greedy_closure,),
)


def of_costs(costs: NDArray[np.float64]) -> Objective:
    """The lowest expected cost, for one label per document. costs: (true labels, predicted labels), at least 0.

    Raises CallError for a negative one, or one that is not finite.
    """
    if not (np.isfinite(costs) & (costs >= 0)).all():
        raise CallError("Costs must be numbers of at least 0, and one is negative or not finite. Change it.")
    families = (single_label.argmax, single_label.lowest_expected_cost, single_label.tempered_expected_cost)
    return Objective(MEAN_COST, families, families[1], 0.0, value=NegativeCost(costs), tunes_labels=False)


def constrained(constraint: Constraint, default: Family) -> Objective:
    """The highest precision at a recall, or the reverse. default: what decides if no rule is selected."""
    fitted = partial(constraints.fit, constraint)
    return Objective(constraint.metric, (default, fitted), default, tunes_labels=False, constraint=constraint)


def _hierarchical(metric: str, default: Family, *families: Family) -> Objective:
    heuristics = (node_families.argmax, node_families.greedy_descent)
    return Objective(METRICS[metric], (*heuristics, *families), default, 0.0, tunes_labels=False, is_hierarchical=True)


def _of_documents(metric: str, rule_class: Any) -> Objective:
    """A metric that is a mean over documents, for which a rule is exact."""
    exact = Exact(rule_class)
    more = (node_families.confidence_threshold, TemperedExact(rule_class), AdjustedExact(rule_class))
    return _hierarchical(metric, exact, exact, *more)


HIERARCHICAL_OBJECTIVES: Mapping[str, Objective] = {
    "hf1": _hierarchical(
        "hf1",
        Exact(BestExpectedHF),
        Exact(BestExpectedHF),
        TemperedExact(BestExpectedHF),
        node_families.confidence_threshold,
        node_families.path_threshold,
        node_families.tempered_path_threshold,
        node_families.adjusted_path_threshold,
    ),
    "leaf": _hierarchical("accuracy", node_families.argmax, node_families.logit_adjustment),
    "distance": _of_documents("tree-distance", BestExpectedDistance),
    "wu-palmer": _of_documents("wu-palmer", BestExpectedSimilarity),
}
