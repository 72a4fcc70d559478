"""What a user requests a decision rule for, and whether it fits the labels."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, UnknownName, suggest_name
from data.hierarchy import Hierarchy
from data.target import Target
from heads.evaluation.decisions.multilabel import fixed_threshold
from heads.evaluation.decisions.objective_metrics import Constraint
from heads.evaluation.decisions.objectives import (
    FLAT_OBJECTIVES,
    HIERARCHICAL_OBJECTIVES,
    MULTILABEL_HF1,
    ORDINAL,
    Objective,
    constrained,
    of_costs,
)
from heads.evaluation.decisions.single_label import argmax

__all__ = ["OBJECTIVES", "ObjectiveRequest", "default_objective", "find_objective"]

CONSTRAINED = ("recall-at-precision", "precision-at-recall")
OF_BETA = ("macro-fbeta", "micro-fbeta")
OBJECTIVES = (*FLAT_OBJECTIVES, "cost", *CONSTRAINED, "absolute-error", *HIERARCHICAL_OBJECTIVES)


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectiveRequest:
    """What a rule is requested for.

    Attributes:
        name: one of OBJECTIVES, or None for macro-F1, or the mean absolute error if labels are ordinal.
        beta: of macro-fbeta and micro-fbeta, above 0.
        costs: of cost, float64 (true labels, predicted labels).
        at: of recall-at-precision and precision-at-recall, the lowest precision or recall, between 0 and 1.
        label: the column of the label that these are for; None for all labels.
        label_name: its name.
        per_label: whether each label must have it, not all of them together.
    """

    name: str | None = None
    beta: float | None = None
    costs: NDArray[np.float64] | None = None
    at: float | None = None
    label: int | None = None
    label_name: str = ""
    per_label: bool = False


def find_objective(
    request: ObjectiveRequest, hierarchy: Hierarchy | None, *, is_multilabel: bool = False, is_ordinal: bool = False
) -> Objective:
    """The objective that is requested for labels of this kind.

    Args:
        request: what is requested.
        hierarchy: of the labels; None if they have none.
        is_multilabel: whether a document may have several labels.
        is_ordinal: whether labels are ordered.

    Returns:
        The objective.

    Raises:
        UnknownName: there is none of this name.
        CallError: it does not fit the labels, or lacks what it needs.
    """
    name = request.name
    if name not in (None, *OBJECTIVES):
        raise UnknownName(f"No objective is called '{name}'.{suggest_name(str(name), OBJECTIVES)}")
    check_parameters(request)
    if name == "absolute-error" and not is_ordinal:
        raise CallError("--objective absolute-error is for ordinal labels. Fit with --order, which names their order.")
    if name == "absolute-error" or (name is None and is_ordinal):
        return ORDINAL
    if name in HIERARCHICAL_OBJECTIVES:
        return _of_hierarchy(str(name), hierarchy, is_multilabel=is_multilabel)
    if name in CONSTRAINED:
        return _constrained(request, is_multilabel=is_multilabel)
    if name == "cost" and not is_multilabel:
        return of_costs(np.asarray(request.costs, dtype=np.float64))
    make = None if name == "cost" else FLAT_OBJECTIVES[name or "macro-f1"][is_multilabel]
    if make is None:
        kind = "one label per document, and these documents may have several"
        needed = "documents with several labels, and these have one each" if name == "samples-f1" else kind
        other = "macro-f1 or micro-f1" if is_multilabel else "macro-f1 or accuracy"
        raise CallError(f"--objective {name} needs {needed}. Choose --objective {other}.")
    return make(request.beta or 1.0)


def check_parameters(request: ObjectiveRequest) -> None:
    """Raise CallError if an objective lacks a parameter, or has one that it does not use."""
    name = request.name or "macro-f1"
    used = {
        "--beta": (request.beta, OF_BETA, "a number above 0 by which recall counts more than precision"),
        "--costs": (request.costs, ("cost",), "a CSV file with the cost of each confusion"),
        "--at": (request.at, CONSTRAINED, "the lowest precision or recall, between 0 and 1"),
    }
    for option, (value, names, meaning) in used.items():
        if name in names and value is None:
            raise CallError(f"--objective {name} needs {option}, {meaning}. Add it.")
        if name not in names and value is not None:
            raise CallError(
                f"{option} is for --objective {' and '.join(names)}, not for {name}. Leave one of them out."
            )
    if name not in CONSTRAINED and (request.label is not None or request.per_label):
        raise CallError(f"--for-label and --per-label are for --objective {' and '.join(CONSTRAINED)}. Leave them out.")
    if request.beta is not None and not 0 < request.beta < np.inf:
        raise CallError(f"--beta is {request.beta:g}, but must be a number above 0.")
    if request.at is not None and not 0 < request.at < 1:
        raise CallError(f"--at is {request.at:g}, but must be between 0 and 1.")


def _constrained(request: ObjectiveRequest, *, is_multilabel: bool) -> Objective:
    if request.label is not None and request.per_label:
        raise CallError("--for-label is for one label, and --per-label for each of them. Leave one of them out.")
    if request.label is None and not is_multilabel:
        raise CallError(
            f"--objective {request.name} needs --for-label NAME if each document has one label: a threshold of one "
            "label changes the others. Add it, or leave unclear documents undecided with `decide --min-confidence`."
        )
    bounded: Literal["precision", "recall"] = "precision" if request.name == "recall-at-precision" else "recall"
    constraint = Constraint(bounded, request.at or 0.0, request.label, request.label_name, request.per_label)
    return constrained(constraint, fixed_threshold if is_multilabel else argmax)


def _of_hierarchy(name: str, hierarchy: Hierarchy | None, *, is_multilabel: bool) -> Objective:
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
    _check_hierarchy(name, hierarchy)
    return MULTILABEL_HF1 if is_multilabel else HIERARCHICAL_OBJECTIVES[name]


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


def check_objective(request: ObjectiveRequest, target: Target) -> None:
    """Raise CallError or UnknownName if an objective does not fit the labels."""
    find_objective(request, target.hierarchy, is_multilabel=target.kind == "multilabel", is_ordinal=target.is_ordinal)
