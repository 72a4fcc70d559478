"""How a head's scores become calibrated probabilities.

`calibrators` are the maps that a run stores, with `vector_scaling` and `isotonic`; `methods` names them, `selection`
chooses one by cross-fitting, and `evidence` records why, with the `reliability` diagrams. Nothing here sees a document
or a head.
"""

from heads.evaluation.calibration.calibration import FULL_SAMPLE, Calibration
from heads.evaluation.calibration.evidence import CalibrationEvidence, MethodComparison
from heads.evaluation.calibration.reliability import ReliabilityBin, ReliabilityDiagram
from heads.evaluation.calibration.selection import METHODS, CalibrationMethod, check_method, fit_calibration

__all__ = [
    "FULL_SAMPLE",
    "METHODS",
    "Calibration",
    "CalibrationEvidence",
    "CalibrationMethod",
    "MethodComparison",
    "ReliabilityBin",
    "ReliabilityDiagram",
    "check_method",
    "fit_calibration",
]
