"""Learning curves: what heads make of fewer training documents, from one store.

A part of the training split is kept aside to score on. Of the rest each seed draws subsets that grow, and every head is
fitted on each. A head's plain decision is scored (argmax, or 0.5 where a document has several labels), because a rule
tuned on few documents would be a curve of its own. Nothing here reads the test split: `Task.held_out` is not asked.

Each fit is kept in the folder of the runs under all that decides it, so a command that is repeated, interrupted, or
asked for another head or size fits only what is missing:

    runs/curves/linear-200-1-3f9a12bc.json      head, size and seed; then a hash of what decides the figures
"""

from stages.curve.points import METRICS, LearningCurves, Point, SizeSummary, Spread
from stages.curve.runner import CurvePlan, CurveProgress, curve_heads, learning_curves, parse_sizes

__all__ = [
    "METRICS",
    "CurvePlan",
    "CurveProgress",
    "LearningCurves",
    "Point",
    "SizeSummary",
    "Spread",
    "curve_heads",
    "learning_curves",
    "parse_sizes",
]
