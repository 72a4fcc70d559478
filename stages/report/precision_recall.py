"""Precision-recall curves: of each label, and of all labels together (micro-averaged).

The points are those of scikit-learn's `precision_recall_curve`, drawn as steps: a straight line between two of them
would promise precision that no threshold gives (Davis and Goadrich 2006). The area under the steps is the average
precision.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.report.formatting import format_metric, isolate_direction
from stages.report.line_chart import Axis, Line, LineChart, Marker
from stages.report.run_view import RunView
from stages.report.thresholds import Thresholds

__all__ = [
    "MAX_PAGE_POINTS",
    "MAX_TOTAL_POINTS",
    "PrecisionRecall",
    "PrecisionRecallCurve",
    "curve_per_label",
    "label_matrix",
    "lowest_curves",
    "precision_recall",
    "precision_recall_curve",
    "replace_nonfinite",
    "thin_indices",
]

MAX_POINTS = 200  # per curve
MAX_TOTAL_POINTS = 12_000  # of all labels of a run: keeps a page of hundreds of labels small
MAX_PAGE_POINTS = 36_000  # of all runs of a page
MIN_POINTS = 24
MAX_CURVES = 200  # besides those that are named: more cannot be told apart
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 4")  # of the lowest curves, for readers who cannot tell their colors apart


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """The curve of one label.

    Attributes:
        label: the label; "" for all labels together.
        documents: number of documents that have the label.
        average_precision: area under the curve.
        recall: float64 (points,), falling from 1 to 0.
        precision: float64 (points,), at these recalls.
        points: the decisions at the thresholds of these points.
    """

    label: str
    documents: int
    average_precision: float
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    points: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True)
class PrecisionRecall:
    """All curves of a run.

    Attributes:
        micro: the curve of all labels together; None if no document has a label.
        lowest: the curves with the lowest average precision, the lowest first.
        others: the curves of the other labels; of many, those with the most documents.
        hidden: number of labels whose curves are not drawn.
        precision: micro-averaged precision of the run's decisions.
        recall: micro-averaged recall of the run's decisions.
    """

    micro: PrecisionRecallCurve | None
    lowest: tuple[PrecisionRecallCurve, ...]
    others: tuple[PrecisionRecallCurve, ...]
    precision: float
    recall: float
    hidden: int = 0

    @property
    def all_curves(self) -> tuple[PrecisionRecallCurve, ...]:
        """The curves that are drawn: of all labels together, then the lowest, then the others."""
        return (*((self.micro,) if self.micro else ()), *self.lowest, *self.others)

    @property
    def chart(self) -> LineChart:
        """The curves and the operating point of the run's decisions as a chart."""
        unit = Axis(0.0, 1.0)
        return LineChart(
            description=self._description,
            x_axis=unit,
            y_axis=unit,
            x_label="recall",
            y_label="precision",
            lines=self._lines,
            width=400,
            height=400,
        )

    @property
    def _description(self) -> str:
        micro = self.micro and f" All labels together: average precision {format_metric(self.micro.average_precision)}."
        lowest = ", ".join(
            f"{isolate_direction(curve.label)} {format_metric(curve.average_precision)}" for curve in self.lowest
        )
        return f"Precision-recall curves.{micro or ''} Lowest: {lowest}."

    @property
    def _lines(self) -> tuple[Line, ...]:
        decided = f"precision {format_metric(self.precision)}, recall {format_metric(self.recall)}"
        marker = Marker(self.recall, self.precision, f"the decisions of the run: {decided}", hollow=True, radius=5)
        micro = (_line(self.micro, color=1, width=3, markers=(marker,)),) if self.micro else ()
        lowest = (
            _line(curve, color=number, width=1.8, dash=dash)
            for number, (curve, dash) in enumerate(zip(self.lowest, DASHES, strict=False), start=2)
        )
        return (*micro, *lowest, *(_line(curve, color=0, width=1) for curve in self.others))


def _line(
    curve: PrecisionRecallCurve, *, color: int, width: float, dash: str = "", markers: tuple[Marker, ...] = ()
) -> Line:
    return Line(
        name="",
        x=curve.recall.tolist(),
        y=curve.precision.tolist(),
        color=color,
        markers=markers,
        dash=dash,
        stepped=True,
        width=width,
        title=f"{curve.label or 'all labels together'}: {format_metric(curve.average_precision)}",
    )


def precision_recall(run: RunView, max_points: int = MAX_TOTAL_POINTS) -> PrecisionRecall:
    """All precision-recall curves of a run on its scored documents. max_points: of all labels, about."""
    truth, predicted = (label_matrix(codes, len(run.labels)) for codes in (run.truth, run.predicted))
    curves = curve_per_label(truth, run.probabilities, run.labels, max_points)
    lowest = lowest_curves(curves)
    names, hits = {curve.label for curve in lowest}, int((truth & predicted).sum())
    others = tuple(curve for curve in curves if curve.label not in names)
    if len(others) > MAX_CURVES:
        others = tuple(sorted(others, key=lambda curve: -curve.documents)[:MAX_CURVES])
    return PrecisionRecall(
        micro=precision_recall_curve("", truth.ravel(), run.probabilities.ravel()),
        lowest=lowest,
        others=others,
        precision=hits / max(1, int(predicted.sum())),
        recall=hits / max(1, int(truth.sum())),
        hidden=len(curves) - len(lowest) - len(others),
    )


def label_matrix(codes: NDArray[Any], labels: int) -> NDArray[np.bool_]:
    """bool (documents, labels) from codes (documents,); a bool matrix is returned as it is."""
    if codes.ndim == 2:
        return codes.astype(bool)
    return np.asarray(codes[:, None] == np.arange(labels), dtype=np.bool_)


def replace_nonfinite(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Finite scores in the same order: +inf is placed above all others, -inf and NaN (unknown) below them."""
    values = np.asarray(scores, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min() - 1, finite.max() + 1) if finite.size else (0.0, 1.0)
    return np.nan_to_num(values, nan=low, neginf=low, posinf=high)


def precision_recall_curve(
    label: str, truth: NDArray[np.bool_], scores: NDArray[Any], max_points: int = MAX_POINTS
) -> PrecisionRecallCurve | None:
    """The curve of one label.

    Args:
        label: the label.
        truth: bool (documents,), whether a document has the label.
        scores: float (documents,), the scores of the label.
        max_points: the curve is thinned to this number of points; its area is computed before.

    Returns:
        The curve, or None if no document has the label.
    """
    from sklearn.metrics import precision_recall_curve as all_points

    documents = int(truth.sum())
    if not documents:
        return None
    precision, recall, thresholds = all_points(truth, replace_nonfinite(scores), drop_intermediate=True)
    area = float(-np.diff(recall) @ precision[:-1])
    kept = thin_indices(recall, max_points)
    inner = kept[kept < len(thresholds)]  # the last point of a curve has no threshold
    points = Thresholds.of_curve(thresholds[inner], precision[inner], recall[inner], documents, scores)
    return PrecisionRecallCurve(label, documents, area, recall[kept], precision[kept], points)


def thin_indices(recall: NDArray[np.float64], max_points: int) -> NDArray[np.int64]:
    """At most `max_points` indices into a falling recall, evenly spread over recall, with both ends.

    Of points with the same recall, the last one is kept: the next step starts there.
    """
    if len(recall) <= max_points:
        return np.arange(len(recall))
    levels = np.linspace(recall[0], recall[-1], max_points)
    return np.unique(np.searchsorted(-recall, -levels, side="right") - 1)


def curve_per_label(
    truth: NDArray[np.bool_], scores: NDArray[Any], labels: Sequence[str], max_total: int = MAX_TOTAL_POINTS
) -> tuple[PrecisionRecallCurve, ...]:
    """One curve per label that a document has, in the order of `labels`.

    Args:
        truth: bool (documents, labels).
        scores: float (documents, labels).
        labels: names of the columns.
        max_total: about how many points all curves together have at most.

    Returns:
        The curves.
    """
    max_points = min(MAX_POINTS, max(MIN_POINTS, max_total // max(1, len(labels))))
    curves = (
        precision_recall_curve(label, truth[:, column], scores[:, column], max_points)
        for column, label in enumerate(labels)
    )
    return tuple(curve for curve in curves if curve is not None)


def lowest_curves(curves: Iterable[PrecisionRecallCurve], limit: int = 5) -> tuple[PrecisionRecallCurve, ...]:
    """The curves with the lowest average precision, the lowest first; of equal ones first that of more documents."""
    ranked = sorted(curves, key=lambda curve: (curve.average_precision, -curve.documents, curve.label))
    return tuple(ranked[:limit])
