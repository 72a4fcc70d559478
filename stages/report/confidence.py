"""How confident a run is in its predictions, and whether that confidence can be trusted: two charts.

The reliability diagram and the risk-coverage curve are those of `heads/evaluation`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.calibration import ReliabilityDiagram
from heads.evaluation.coverage import node_confidence
from heads.evaluation.metrics import ConfidenceInterval
from heads.evaluation.risk_coverage import RiskCoverageCurve, risk_coverage_curve
from stages.report.formatting import format_count, format_metric, format_percent
from stages.report.line_chart import Axis, ChartTable, Line, LineChart, Marker, common_axis
from stages.report.run_view import RunView

__all__ = [
    "known_probabilities",
    "prediction_confidence",
    "reliability_chart",
    "risk_coverage",
    "risk_coverage_chart",
]

FloatArray = NDArray[np.float64]
MARKED_COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
MAX_POINTS = 100
WIDTH, HEIGHT = 400, 260


def prediction_confidence(run: RunView) -> FloatArray:
    """The probability of each predicted label, float64 (documents,); of the most probable label without a prediction.

    A node of a taxonomy, and the labels of a multi-label prediction, have the confidence of `node_confidence`.
    """
    exact = known_probabilities(run)
    if run.is_multilabel:
        promised, sizes = np.where(run.predicted, exact, 0).sum(axis=1), run.predicted.sum(axis=1) + exact.sum(axis=1)
        return np.asarray(2 * promised / np.where(sizes > 0, sizes, 1))
    confidence: FloatArray = exact.max(axis=1, initial=0.0)
    rows = np.flatnonzero((run.predicted >= 0) & (run.predicted < len(run.labels)))
    confidence[rows] = exact[rows, run.predicted[rows]]
    nodes = np.flatnonzero(run.predicted >= len(run.labels))
    if len(nodes) and run.hierarchy is not None:
        confidence[nodes] = node_confidence(run.predicted[nodes], exact[nodes], run.hierarchy)
    return confidence


def known_probabilities(run: RunView) -> FloatArray:
    """The probabilities with 0 for unknown ones, float64 (documents, labels)."""
    return np.nan_to_num(run.probabilities.astype(np.float64), nan=0.0, neginf=0.0)


def reliability_chart(diagram: ReliabilityDiagram) -> LineChart:
    """The share of correct predictions against their confidence, next to the diagonal of perfect calibration."""
    bins, unit = diagram.bins, Axis(0.0, 1.0)
    markers = tuple(
        Marker(
            each.confidence,
            each.correct,
            f"confidence {format_metric(each.confidence)}: {format_percent(each.correct)} of {each.size:,} are correct",
        )
        for each in bins
    )
    line = Line(
        "",
        [each.confidence for each in bins],
        [each.correct for each in bins],
        lower=[each.low for each in bins],
        upper=[each.high for each in bins],
        markers=markers,
    )
    return LineChart(
        description="Reliability diagram: the share of predictions that are correct against their confidence.",
        x_axis=unit,
        y_axis=unit,
        x_label="confidence",
        y_label="share that is correct",
        lines=(line, Line("", [0.0, 1.0], [0.0, 1.0], color=0, dash="4 4")),
        width=WIDTH,
        height=HEIGHT,
        table=_reliability_table(diagram),
    )


def _reliability_table(diagram: ReliabilityDiagram) -> ChartTable:
    return ChartTable(
        "Bins of the reliability diagram, the least confident first",
        ("confidence", "correct", "95 % confidence interval", "size"),
        tuple(
            (
                format_metric(each.confidence),
                format_metric(each.correct),
                f"{format_metric(each.low)}–{format_metric(each.high)}",
                format_count(each.size),
            )
            for each in diagram.bins
        ),
    )


def risk_coverage(run: RunView) -> RiskCoverageCurve | None:
    """The accuracy of the most confident predictions; None for multi-label, and if no document is decided.

    Coverage is a share of the documents that are decided.
    """
    if run.is_multilabel or not (run.predicted >= 0).any():
        return None
    decided = run.predicted >= 0
    return risk_coverage_curve(run.correct[decided], prediction_confidence(run)[decided], max_points=MAX_POINTS)


def risk_coverage_chart(curve: RiskCoverageCurve) -> LineChart:
    """The share of wrong predictions among the most confident ones, with its confidence interval."""
    marked = sorted({_first_at(curve, coverage) for coverage in MARKED_COVERAGES})
    markers = tuple(Marker(float(curve.coverage[at]), _risk(curve, at), _describe_point(curve, at)) for at in marked)
    risk, upper = 1 - curve.accuracy, 1 - curve.low
    # the interval of few documents reaches up to 1, and would leave no room for the curve
    highest = max(float(risk.max()), float(upper[curve.coverage >= MARKED_COVERAGES[0]].max()))
    axis = common_axis([ConfidenceInterval(0.0, 0.0, highest)])
    line = Line(
        "",
        curve.coverage.tolist(),
        risk.tolist(),
        lower=(1 - curve.high).tolist(),
        upper=upper.clip(max=axis.high).tolist(),
        markers=markers,
    )
    return LineChart(
        description=f"Risk-coverage curve. {'. '.join(marker.title for marker in markers)}.",
        x_axis=Axis(0.0, 1.0),
        y_axis=axis,
        x_label="coverage",
        y_label="risk",
        lines=(line,),
        width=WIDTH,
        height=HEIGHT,
        table=_risk_table(curve, marked),
    )


def _first_at(curve: RiskCoverageCurve, coverage: float) -> int:
    """The first point that covers at least this share of the documents."""
    return min(int(np.searchsorted(curve.coverage, coverage - 1e-12)), len(curve.coverage) - 1)


def _risk(curve: RiskCoverageCurve, at: int) -> float:
    return float(1 - curve.accuracy[at])


def _describe_point(curve: RiskCoverageCurve, at: int) -> str:
    return (
        f"{format_percent(_risk(curve, at))} of the most confident {format_percent(curve.coverage[at])} are wrong; "
        f"their confidence is at least {format_metric(curve.confidence[at])}"
    )


def _risk_table(curve: RiskCoverageCurve, marked: Sequence[int]) -> ChartTable:
    return ChartTable(
        "Share of wrong predictions among the most confident ones",
        ("coverage", "risk", "95 % confidence interval", "lowest confidence"),
        tuple(
            (
                format_percent(curve.coverage[at]),
                format_metric(_risk(curve, at)),
                f"{format_metric(1 - curve.high[at])}–{format_metric(1 - curve.low[at])}",
                format_metric(curve.confidence[at]),
            )
            for at in marked
        ),
    )
