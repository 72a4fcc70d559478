"""The documents that a decision is chosen on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.splits import Split
from data.target import Target
from heads.evaluation.calibration import Calibration
from heads.evaluation.decisions import Decision
from stages.fitting.predictions import Predictions
from stages.fitting.runs import Run

__all__ = ["DecisionInputs"]


@dataclass(frozen=True, kw_only=True)
class DecisionInputs:
    """Documents that a head was not fitted on, with its scores: those of the folds or the validation split.

    Attributes:
        ids: of the documents.
        scores: float32 (documents, labels), out-of-fold, -inf for a label that the head has not seen.
        target: their labels.
        groups: int64 (documents,), as in the fit of the run.
        seed: of the run.
        calibration: of the run, with the folds of the documents.
    """

    ids: Sequence[str]
    scores: NDArray[np.float32]
    target: Target
    groups: NDArray[np.int64]
    seed: int
    calibration: Calibration

    @classmethod
    def of(cls, run: Run) -> Self:
        """The inputs of a run, or of the parent of a decided run. Raises RunDamaged for files that were changed."""
        origin = run.origin
        rows = origin.predictions().of(origin.record.ranking_split)
        folds = np.empty(0, dtype=np.int8) if rows.calibration_folds is None else rows.calibration_folds
        return cls(
            ids=rows.ids,
            scores=np.asarray(rows.scores),
            target=origin.record.target(rows.truth),
            groups=origin.groups(),
            seed=origin.record.seed,
            calibration=replace(origin.decision.calibration, folds=folds),
        )

    def predictions(self, decision: Decision, split: Split) -> Predictions:
        """The out-of-fold predictions of a decision on these documents. split: where they are from."""
        calibration = decision.calibration
        return Predictions(
            ids=self.ids,
            splits=[split.value] * len(self.ids),
            truth=self.target.y,
            predicted=decision.out_of_fold,
            scores=self.scores,
            decision=decision,
            label_sets=None if decision.label_sets is None else decision.out_of_fold_sets,
            calibration_folds=calibration.folds if calibration.of_folds else None,
        )
