"""Selects how scores become probabilities: a freer calibrator only if cross-fitting shows that it helps.

No calibration, temperature, vector and isotonic scaling are compared in this order by the log loss of documents that
they were not fitted to. One replaces the last selected one if it lowers the log loss by more than two standard errors
of the difference over documents, as a decision rule is selected (`decisions/tuning.py`).

The folds are those of the documents whose scores are out-of-fold already, so a document's probabilities are of a head
and of a calibrator that were fitted without it. New documents get the calibrator of all documents.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from data.hierarchy import Hierarchy
from data.splits import assign_folds, nested_subsets
from heads.evaluation.calibrators import (
    CALIBRATORS,
    Calibrator,
    Sample,
    Uncalibrated,
    calibrator_from_json,
    document_log_losses,
)

__all__ = ["METHODS", "Calibration", "CalibrationEvidence", "CalibrationMethod", "MethodComparison", "fit_calibration"]

CalibrationMethod = Literal["auto", "none", "temperature", "vector", "isotonic"]
METHODS: tuple[CalibrationMethod, ...] = get_args(CalibrationMethod)

FOLDS = 5
MARGIN = 2.0  # standard errors, as for decision rules
SAMPLE, MIN_SAMPLE, SAMPLE_CELLS = 20_000, 2_000, 2 * 10**7  # documents of the sample; fewer if there are many labels
FULL_SAMPLE = -1  # the fold of documents outside the sample, which no calibrator was fitted to


@dataclass(frozen=True)
class MethodComparison:
    """One method compared with the method selected before it.

    Attributes:
        method: its name.
        baseline: the method selected before it; None for the first.
        log_loss: cross-fitted, mean over documents.
        gain: by how much it lowers the cross-fitted log loss of the baseline.
        standard_error: of the gain, over documents.
        selected: whether it replaced the baseline.
    """

    method: str
    baseline: str | None
    log_loss: float
    gain: float
    standard_error: float
    selected: bool


@dataclass(frozen=True)
class CalibrationEvidence:
    """Why a calibration was selected.

    Attributes:
        documents: number of documents that the methods were compared on.
        folds: number of cross-fitting folds; 0 if nothing was fitted.
        comparisons: one comparison per method, from the most constrained to the most flexible.
    """

    documents: int
    folds: int
    comparisons: tuple[MethodComparison, ...]

    @property
    def sentence(self) -> str:
        """What was selected and what it gains, in one sentence."""
        first, *others = self.comparisons
        selected = [comparison for comparison in self.comparisons if comparison.selected][-1]
        if selected.method == "none":
            tried = f"no method lowers the log loss of {first.log_loss:.3f} by more than noise" if others else ""
            return f"Probabilities are not calibrated{': ' if tried else ''}{tried or ' (--calibration none)'}."
        return (
            f"Probabilities are calibrated by {LONG_NAMES[selected.method]}: the log loss is {selected.log_loss:.3f} "
            f"instead of {first.log_loss:.3f} out of fold."
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The evidence that `asdict` returned."""
        comparisons = tuple(MethodComparison(**comparison) for comparison in content["comparisons"])
        return cls(**{**content, "comparisons": comparisons})


LONG_NAMES: Mapping[str, str] = {
    "temperature": "temperature scaling",
    "vector": "vector scaling",
    "isotonic": "isotonic regression",
}


@dataclass(frozen=True)
class Calibration:
    """How scores become probabilities; by default, scores are taken as logits or log-probabilities.

    Attributes:
        calibrator: fitted to all documents.
        of_folds: of each fold, the calibrator that was fitted to the other folds; () if nothing was fitted.
        evidence: why the method was selected; None if none was.
        folds: the fold of each document that it was selected on, FULL_SAMPLE for one that no calibrator was fitted to:
            int8 (documents,). Empty if read from JSON.
    """

    calibrator: Calibrator = field(default_factory=Uncalibrated)
    of_folds: tuple[Calibrator, ...] = ()
    evidence: CalibrationEvidence | None = None
    folds: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, np.int8), compare=False, repr=False)

    @property
    def method(self) -> str:
        """The name of the selected method."""
        return self.calibrator.method

    def probabilities(
        self, scores: NDArray[Any], folds: NDArray[np.int8] | None = None, *, multilabel: bool
    ) -> NDArray[np.float32]:
        """Calibrated probabilities.

        Args:
            scores: (documents, labels), -inf for a label that the head has not seen.
            folds: of documents that the calibration was fitted to; each gets the probabilities of the calibrator that
                it had no part in. None for other documents.
            multilabel: whether documents have any number of labels.

        Returns:
            float32 (documents, labels).
        """
        if folds is None or not self.of_folds:
            return self.calibrator.probabilities(scores, multilabel=multilabel)
        probabilities = np.empty(scores.shape, dtype=np.float32)
        for fold in np.unique(folds).tolist():
            rows, calibrator = folds == fold, self.calibrator if fold == FULL_SAMPLE else self.of_folds[fold]
            probabilities[rows] = calibrator.probabilities(scores[rows], multilabel=multilabel)
        return probabilities

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return {
            "calibrator": self.calibrator.to_json(),
            "of_folds": [calibrator.to_json() for calibrator in self.of_folds],
            "evidence": None if self.evidence is None else asdict(self.evidence),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The calibration that `to_json` returned, without `folds`. Raises ValueError for any other content."""
        evidence = content["evidence"]
        return cls(
            calibrator_from_json(content["calibrator"]),
            tuple(map(calibrator_from_json, content["of_folds"])),
            None if evidence is None else CalibrationEvidence.from_json(evidence),
        )


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
    if method not in METHODS:
        raise CallError(f"There is no calibration '{method}'. Known: {', '.join(METHODS)}.")
    rows = _sample_rows(truth, groups, scores.shape[1], seed)
    strata = truth[rows] if hierarchy is None else hierarchy.strata(truth[rows])
    fold_of = assign_folds(strata, _take(groups, rows), FOLDS, seed)
    methods = list(CALIBRATORS) if method == "auto" else list(dict.fromkeys(["none", method]))
    if len(np.unique(fold_of)) < 2 or methods == ["none"]:
        methods, fold_of = ["none"], np.zeros_like(fold_of)
    folds = np.full(len(truth), FULL_SAMPLE, dtype=np.int8)
    folds[rows] = fold_of
    return replace(_select(scores[rows], truth[rows], fold_of, methods, forced=method != "auto"), folds=folds)


def _sample_rows(
    truth: NDArray[Any], groups: Sequence[Hashable] | NDArray[Any] | None, labels: int, seed: int
) -> NDArray[np.int64]:
    """The documents that calibrators are fitted to: all, or a stratified sample in whole groups."""
    size = max(MIN_SAMPLE, min(SAMPLE, SAMPLE_CELLS // max(1, labels)))
    if len(truth) <= size:
        return np.arange(len(truth))
    (rows,) = nested_subsets(truth, groups, [size], seed)
    return np.sort(rows)


def _take(
    groups: Sequence[Hashable] | NDArray[Any] | None, rows: NDArray[np.int64]
) -> Sequence[Hashable] | NDArray[Any] | None:
    if groups is None or isinstance(groups, np.ndarray):
        return groups if groups is None else groups[rows]
    return [groups[row] for row in rows.tolist()]


def _select(
    scores: NDArray[Any], truth: NDArray[Any], fold_of: NDArray[Any], methods: Sequence[str], *, forced: bool
) -> Calibration:
    """The calibration of a sample. forced: whether the last method is selected in any case."""
    losses = np.zeros((len(methods), len(truth)))
    chains = []
    for fold in range(int(fold_of.max()) + 1):
        rows, others = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        chains.append(_fit_chain(methods, Sample.of(scores[others], truth[others])))
        losses[:, rows] = [document_log_losses(calibrator, scores[rows], truth[rows]) for calibrator in chains[-1]]
    comparisons = _compare(methods, losses, forced=forced)
    selected = max(number for number, comparison in enumerate(comparisons) if comparison.selected)
    calibrator = _fit_chain(methods[: selected + 1], Sample.of(scores, truth))[-1]
    of_folds = tuple(chain[selected] for chain in chains) if selected else ()
    return Calibration(calibrator, of_folds, CalibrationEvidence(len(truth), len(chains), comparisons))


def _fit_chain(methods: Sequence[str], sample: Sample) -> list[Calibrator]:
    """The calibrator of each method, each fitted on top of the one before."""
    chain: list[Calibrator] = []
    for method in methods:
        chain.append(CALIBRATORS[method].fit(sample, chain[-1] if chain else None))
    return chain


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
