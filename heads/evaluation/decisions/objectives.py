"""What decision rules are selected for: a metric, and the families of rules that may be selected.

Families go from the most constrained to the most flexible. Those of a hierarchy have at most three fitted numbers,
which cross-fitting measures well, so the family with the best cross-fitted metric is selected. Families that fit a
number per label must be better by more than `MARGIN` standard errors (`tuning`).

`hf1` is the micro hF1 of all documents, which is no mean over documents: the rule that is exact for a document may be
worse than one with a fitted threshold.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from data.errors import CallError, UnknownName, suggest_name
from data.hierarchy import Hierarchy
from data.target import Target
from heads.evaluation.decisions import multilabel, node_families, single_label
from heads.evaluation.decisions.hierarchical import BestExpectedDistance, BestExpectedHF, BestExpectedSimilarity
from heads.evaluation.decisions.node_families import AdjustedExact, Exact, TemperedExact
from heads.evaluation.decisions.rules import DecisionRule
from heads.evaluation.metrics import ABSOLUTE_ERROR, MACRO_F1, METRICS, Metric

__all__ = ["OBJECTIVES", "Family", "Objective", "check_objective", "default_objective", "find_objective"]

MARGIN = 2.0  # standard errors

Family = Callable[[Any], list[DecisionRule]]  # of a Sample of the kind of the labels


@dataclass(frozen=True)
class Objective:
    """What rules are selected for.

    Attributes:
        metric: the metric.
        families: what may be selected.
        default: the family that decides if no rule is selected; it has no fitted parameter.
        margin: a family is selected if it is better than the ones before it by more than this many standard errors.
        tunes_labels: whether a family fits a number per label.
        is_hierarchical: whether rules are for one label per document of a hierarchy.
    """

    metric: Metric
    families: tuple[Family, ...]
    default: Family
    margin: float = MARGIN
    tunes_labels: bool = True
    is_hierarchical: bool = False


_MULTILABEL: tuple[Family, ...] = (
    multilabel.fixed_threshold,
    multilabel.single_threshold,
    multilabel.per_label_thresholds,
)
_SINGLE_LABEL = Objective(
    MACRO_F1,
    (single_label.argmax, single_label.logit_adjustment, single_label.per_label_offsets),
    single_label.argmax,
)
_MULTILABEL_MACRO_F1 = Objective(MACRO_F1, _MULTILABEL, multilabel.fixed_threshold)
_MULTILABEL_HF1 = Objective(METRICS["hf1"], (*_MULTILABEL, multilabel.greedy_closure), multilabel.fixed_threshold)
_ORDINAL = Objective(
    ABSOLUTE_ERROR, (single_label.argmax, single_label.weighted_median), single_label.argmax, tunes_labels=False
)


def _hierarchical(metric: str, default: Family, *families: Family) -> Objective:
    heuristics = (node_families.argmax, node_families.greedy_descent)
    return Objective(METRICS[metric], (*heuristics, *families), default, 0.0, tunes_labels=False, is_hierarchical=True)


def _of_documents(metric: str, rule_class: Any) -> Objective:
    """A metric that is a mean over documents, for which a rule is exact."""
    exact = Exact(rule_class)
    more = (node_families.confidence_threshold, TemperedExact(rule_class), AdjustedExact(rule_class))
    return _hierarchical(metric, exact, exact, *more)


_HIERARCHICAL: Mapping[str, Objective] = {
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
OBJECTIVES = ("macro-f1", *_HIERARCHICAL)


def find_objective(
    name: str | None, hierarchy: Hierarchy | None, *, is_multilabel: bool = False, is_ordinal: bool = False
) -> Objective:
    """The objective of this name for labels of this kind.

    Args:
        name: one of OBJECTIVES, or None for macro-F1, or the mean absolute error if labels are ordinal.
        hierarchy: of the labels; None if they have none.
        is_multilabel: whether a document may have several labels.
        is_ordinal: whether labels are ordered.

    Returns:
        The objective.

    Raises:
        UnknownName: there is none of this name.
        CallError: it does not fit the labels.
    """
    if name not in (None, *OBJECTIVES):
        raise UnknownName(f"No objective is called '{name}'.{suggest_name(str(name), OBJECTIVES)}")
    if name in (None, "macro-f1"):
        by_kind = _MULTILABEL_MACRO_F1 if is_multilabel else _SINGLE_LABEL
        return _ORDINAL if is_ordinal and name is None else by_kind
    if hierarchy is None:
        raise CallError(
            f"--objective {name} needs a taxonomy, and these labels have none. Give one with `embed --taxonomy`, or "
            "choose --objective macro-f1."
        )
    if is_multilabel and name != "hf1":
        raise CallError(
            f"--objective {name} needs one label per document, and these documents may have several. Choose "
            "--objective hf1 or macro-f1."
        )
    _check_hierarchy(str(name), hierarchy)
    return _MULTILABEL_HF1 if is_multilabel else _HIERARCHICAL[str(name)]


def _check_hierarchy(name: str, hierarchy: Hierarchy) -> None:
    """Raise CallError if the objective needs leaves or a tree, and the hierarchy has none."""
    for node, parents in enumerate(hierarchy.parents):
        if name in ("distance", "wu-palmer") and len(parents) > 1:
            raise CallError(
                f"--objective {name} needs a tree, and '{hierarchy.names[node]}' has {len(parents)} parents. Choose "
                "--objective hf1."
            )
        for parent in parents:
            if name == "leaf" and parent < hierarchy.labels:
                raise CallError(
                    f"--objective leaf needs labels at leaves, and the label '{hierarchy.names[parent]}' is above "
                    f"'{hierarchy.names[node]}'. Choose --objective hf1, distance or wu-palmer."
                )


def default_objective(target: Target) -> str | None:
    """The objective of labels if the user chooses none: hf1 for a taxonomy that was given or is in paths."""
    return "hf1" if target.taxonomy is not None and target.kind in ("path", "multilabel") else None


def check_objective(name: str | None, target: Target) -> None:
    """Raise CallError or UnknownName if an objective does not fit the labels."""
    find_objective(name, target.hierarchy, is_multilabel=target.kind == "multilabel", is_ordinal=target.is_ordinal)
