"""Learning curves: the metrics of heads against the number of training documents, from one store.

`points.py` is the result, `fits.py` one fit, `runner.py` chooses and makes the fits, `chart.py` draws them. Heads are
scored on a validation split of the training split with the default decision rule (argmax, or 0.5 for multi-label),
because a rule that is tuned on few documents would be a curve of its own. The test split is never read: nothing here
uses `Task.held_out`.

Every fit is kept under a hash of everything that decides it, so that a repeated, interrupted or larger command makes
only the missing fits:

    runs/curves/linear-200-1-3f9a12bc.json      head, size, seed, hash
"""

from stages.curve.fits import CurveProgress
from stages.curve.points import METRICS, CurvePoint, LearningCurves, SizeSummary, Spread
from stages.curve.runner import CurvePlan, fit_curves, parse_curve_heads, parse_sizes

__all__ = [
    "METRICS",
    "CurvePlan",
    "CurvePoint",
    "CurveProgress",
    "LearningCurves",
    "SizeSummary",
    "Spread",
    "fit_curves",
    "parse_curve_heads",
    "parse_sizes",
]
