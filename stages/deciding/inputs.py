"""The documents that a decision is chosen on, as their run stores them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.splits import Split
from data.target import Target
from data.taxonomy import Taxonomy
from heads.evaluation.calibration import Calibration
from stages.fitting.record import Record
from stages.fitting.runs import Run

__all__ = ["DecisionInputs", "target_of"]


@dataclass(frozen=True, kw_only=True)
class DecisionInputs:
    """Documents that the head of a run was not fitted on, with its scores: those of the folds or the validation split.

    Attributes:
        run: the run with the weights and the scores; it is no decided run.
        ids: of the documents.
        scores: float32 (documents, labels), out-of-fold, -inf for a label that the head has not seen.
        target: their labels.
        groups: int64 (documents,), as in the fit of the run.
        seed: of the run.
        calibration: of the run, with the folds of the documents.
    """

    run: Run
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
        split = Split.TRAIN if origin.record.validate_on == "folds" else Split.VALIDATION
        rows = origin.predictions().of(split)
        folds = np.empty(0, dtype=np.int8) if rows.calibration_folds is None else rows.calibration_folds
        return cls(
            run=origin,
            ids=rows.ids,
            scores=np.asarray(rows.scores),
            target=target_of(origin.record, rows.truth),
            groups=origin.groups(),
            seed=origin.record.seed,
            calibration=replace(origin.decision.calibration, folds=folds),
        )


def target_of(record: Record, truth: NDArray[Any]) -> Target:
    """The labels of documents as the target that the run was fitted on. truth: as in `Predictions`."""
    taxonomy = Taxonomy.from_json(record.taxonomy) if record.taxonomy else None
    return Target(record.kind, tuple(record.labels), truth, taxonomy)
