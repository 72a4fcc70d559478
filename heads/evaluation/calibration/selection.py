"""Selects how scores become probabilities: a freer calibrator only if cross-fitting shows that it helps.

No calibration, temperature, vector and isotonic scaling are compared in this order by the log loss of documents that
they were not fitted to. One replaces the last selected one if it lowers the log loss by more than two standard errors
of the difference over documents, as a decision rule is selected (`decisions/tuning.py`).

The folds are those of the documents whose scores are out-of-fold already, so a document's probabilities are of a head
and of a calibrator that were fitted without it. New documents get the calibrator of all documents.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.hierarchy import Hierarchy
from data.splits import assign_folds, nested_subsets, take_groups
from heads.evaluation.calibration.calibration import FULL_SAMPLE, Calibration
from heads.evaluation.calibration.calibrators import Sample, document_log_losses
from heads.evaluation.calibration.evidence import CalibrationEvidence, MethodComparison
from heads.evaluation.calibration.methods import CALIBRATORS, fit_chain
from heads.evaluation.score_matrix import scores_to_probabilities

__all__ = ["METHODS", "CalibrationMethod", "check_method", "fit_calibration"]

CalibrationMethod = Literal["auto", "none", "temperature", "vector", "isotonic"]
METHODS: tuple[CalibrationMethod, ...] = get_args(CalibrationMethod)

FOLDS = 5
MARGIN = 2.0  # standard errors, as for decision rules
SAMPLE, MIN_SAMPLE, SAMPLE_CELLS = 20_000, 2_000, 4 * 10**6  # documents of the sample; fewer if there are many labels


def fit_calibration(
    scores: NDArray[Any],
    truth: NDArray[Any],
    groups: Sequence[Hashable] | NDArray[Any] | None = None,
    seed: int = 0,
    *,
    method: CalibrationMethod = "auto",
    hierarchy: Hierarchy | None = None,
) -> Calibration:
    """Select and fit a calibration.

    Args:
        scores: float (documents, labels), out-of-fold scores; -inf for a label that a fold's head has not seen.
        truth: int (documents,), or bool (documents, labels) for multi-label targets.
        groups: (documents,); rows of one group stay in one fold. None if there are no groups.
        seed: seed of the folds and of the sample.
        method: `auto` selects one by the cross-fitted log loss.
        hierarchy: of the labels, by which folds are stratified; None if they have none.

    Returns:
        The calibration with the folds of the documents.

    Raises:
        CallError: there is no such method.
    """
    check_method(method)
    rows = _sample_rows(truth, groups, scores.shape[1], seed)
    strata = truth[rows] if hierarchy is None else hierarchy.strata(truth[rows])
    fold_of = assign_folds(strata, take_groups(groups, rows), FOLDS, seed)
    methods = _automatic(len(rows), scores.shape[1]) if method == "auto" else list(dict.fromkeys(["none", method]))
    if len(np.unique(fold_of)) < 2 or methods == ["none"]:
        methods, fold_of = ["none"], np.zeros_like(fold_of)
    folds = np.full(len(truth), FULL_SAMPLE, dtype=np.int8)
    folds[rows] = fold_of
    return replace(_select(scores[rows], truth[rows], fold_of, methods, forced=method != "auto"), folds=folds)


def check_method(method: str) -> None:
    """Raise CallError if there is no such method."""
    if method not in METHODS:
        raise CallError(f"There is no calibration '{method}'. Known: {', '.join(METHODS)}.")


def _automatic(documents: int, labels: int) -> list[str]:
    """The methods to try: those with values for each label only if there is a document for each."""
    return [name for name in CALIBRATORS if name in ("none", "temperature") or documents >= labels]


def _sample_rows(
    truth: NDArray[Any], groups: Sequence[Hashable] | NDArray[Any] | None, labels: int, seed: int
) -> NDArray[np.int64]:
    """The documents that calibrators are fitted to: all, or a stratified sample in whole groups."""
    size = max(MIN_SAMPLE, min(SAMPLE, SAMPLE_CELLS // max(1, labels)))
    if len(truth) <= size:
        return np.arange(len(truth))
    (rows,) = nested_subsets(truth, groups, [size], seed)
    return np.sort(rows)


def _select(
    scores: NDArray[Any], truth: NDArray[Any], fold_of: NDArray[Any], methods: Sequence[str], *, forced: bool
) -> Calibration:
    """The calibration of a sample. forced: whether the last method is selected in any case."""
    losses = np.zeros((len(methods), len(truth)))
    chains = []
    for fold in range(int(fold_of.max()) + 1):
        rows, others = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        chains.append(fit_chain(methods, Sample.of(scores[others], truth[others])))
        losses[:, rows] = [document_log_losses(calibrator, scores[rows], truth[rows]) for calibrator in chains[-1]]
    comparisons = _compare(methods, losses, forced=forced)
    selected = max(number for number, comparison in enumerate(comparisons) if comparison.selected)
    calibrator = fit_chain(methods[: selected + 1], Sample.of(scores, truth))[-1]
    calibration = Calibration(calibrator, tuple(chain[selected] for chain in chains) if selected else ())
    return replace(calibration, evidence=_measure(calibration, scores, truth, fold_of.astype(np.int8), comparisons))


def _measure(
    calibration: Calibration,
    scores: NDArray[Any],
    truth: NDArray[Any],
    folds: NDArray[np.int8],
    comparisons: tuple[MethodComparison, ...],
) -> CalibrationEvidence:
    """The evidence for a calibration of these documents."""
    multilabel = truth.ndim == 2
    before = after = scores_to_probabilities(scores, multilabel=multilabel)
    if calibration.of_folds:
        after = calibration.probabilities(scores, folds, multilabel=multilabel)
    return CalibrationEvidence.of(truth, before, after, int(folds.max()) + 1, comparisons)


def _compare(methods: Sequence[str], losses: NDArray[np.float64], *, forced: bool) -> tuple[MethodComparison, ...]:
    """Compare each method with the one selected before it. losses: cross-fitted, (methods, documents)."""
    comparisons = [MethodComparison(methods[0], None, float(losses[0].mean()), 0.0, 0.0, selected=True)]
    current = 0
    for number in range(1, len(methods)):
        gains = losses[current] - losses[number]
        gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
        selected, baseline = forced or gain > MARGIN * error, methods[current]
        comparisons.append(
            MethodComparison(methods[number], baseline, float(losses[number].mean()), gain, error, selected=selected)
        )
        current = number if selected else current
    return tuple(comparisons)
