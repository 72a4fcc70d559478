"""Adds to a decision what it leaves undecided and its label sets, both fitted on out-of-fold scores."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from heads.evaluation.decisions import Decision
from heads.evaluation.decisions.abstention import AbstentionOptions, fit_abstention
from heads.evaluation.decisions.label_set_fitting import fit_label_sets
from heads.evaluation.decisions.label_sets import LabelSetOptions
from heads.evaluation.decisions.novelty import fit_other
from stages.deciding.features import RunFeatures
from stages.deciding.inputs import DecisionInputs

__all__ = ["add_abstention", "add_label_sets"]


def add_label_sets(decision: Decision, inputs: DecisionInputs, options: LabelSetOptions) -> Decision:
    """A decision with label sets; `out_of_fold_sets` has those of the documents that it was chosen on.

    Args:
        decision: without undecided documents.
        inputs: the documents.
        options: what is requested.

    Returns:
        The decision with its sets.

    Raises:
        CallError: the labels are multi-label, or there are too few documents for the level.
    """
    rule, sets = fit_label_sets(
        _probabilities(decision, inputs),
        inputs.target.y,
        decision.out_of_fold,
        inputs.ids,
        options,
        inputs.groups,
        inputs.seed,
    )
    return replace(decision, label_sets=rule, out_of_fold_sets=sets)


def add_abstention(
    decision: Decision, inputs: DecisionInputs, options: AbstentionOptions, features: RunFeatures | None
) -> Decision:
    """A decision that leaves documents undecided, also among its out-of-fold predictions.

    Args:
        decision: without undecided documents.
        inputs: the documents.
        options: what is requested.
        features: of the documents; only needed for documents unlike training.

    Returns:
        The decision with its abstention.

    Raises:
        CallError: the labels are multi-label, or there are too few labels or documents to find what is unlike them.
    """
    target = inputs.target
    other = distance = is_other = None
    if options.other and target.y.ndim == 1:
        if features is None:
            raise CallError("--other needs the features of the documents. Name their store with --store.")
        view, ids = features.view, np.array(inputs.ids, dtype=object)

        def read(rows: NDArray[np.int64]) -> NDArray[Any]:
            return features.vectors(ids[rows].tolist(), view)

        other, distance, is_other = fit_other(read, target.y, view, options.false_alarms, inputs.groups, inputs.seed)
    abstention, out_of_fold = fit_abstention(
        target.y,
        decision.out_of_fold,
        _probabilities(decision, inputs),
        options,
        inputs.groups,
        inputs.seed,
        hierarchy=target.hierarchy,
        other=other,
        is_other=is_other,
    )
    return replace(decision, abstention=abstention, out_of_fold=out_of_fold, training_distance=distance)


def _probabilities(decision: Decision, inputs: DecisionInputs) -> NDArray[np.float32]:
    """Probabilities of the documents by calibrations that were fitted without them, before any label shift."""
    return decision.corpus_probabilities(inputs.scores, decision.calibration.folds)
