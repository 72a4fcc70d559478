"""How scores become probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.calibration.calibrators import Calibrator, Uncalibrated
from heads.evaluation.calibration.evidence import CalibrationEvidence
from heads.evaluation.calibration.methods import calibrator_from_json

__all__ = ["FULL_SAMPLE", "Calibration"]

FULL_SAMPLE = -1  # the fold of documents outside the sample, which no calibrator was fitted to


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
            "evidence": None if self.evidence is None else self.evidence.to_json(),
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
