"""How confident a run is in each of its predictions, and whether that confidence can be trusted.

A reliability diagram compares confidence with the share of correct predictions (DeGroot and Fienberg 1983), in bins of
equally many predictions. A risk-coverage curve is the error rate of the most confident predictions, for each number of
them (El-Yaniv and Wiener 2010, JMLR 11).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.coverage import node_confidence
from heads.evaluation.metrics import ConfidenceInterval
from stages.report.formatting import format_count, format_metric, format_percent
from stages.report.line_chart import Axis, ChartTable, Line, LineChart, Marker, common_axis
from stages.report.run_view import RunView

__all__ = ["Reliability", "RiskCoverage", "prediction_confidence", "reliability", "risk_coverage"]

FloatArray = NDArray[np.float64]
BINS = 15
MAX_POINTS = 200
TABLE_COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
WIDTH, HEIGHT = 400, 260


def prediction_confidence(run: RunView) -> FloatArray:
    """The probability of each predicted label, float64 (documents,); of the most probable label without a prediction.

    A node of a taxonomy has the probabilities of the labels below it. A multi-label prediction has the F1 that its
    probabilities promise, as `node_confidence` computes it.
    """
    exact = np.nan_to_num(run.probabilities.astype(np.float64), nan=0.0, neginf=0.0)
    if run.is_multilabel:
        return _promised_f1(run.predicted, exact)
    confidence: FloatArray = exact.max(axis=1, initial=0.0)
    rows = np.flatnonzero((run.predicted >= 0) & (run.predicted < len(run.labels)))
    confidence[rows] = exact[rows, run.predicted[rows]]
    nodes = np.flatnonzero(run.predicted >= len(run.labels))
    if len(nodes) and run.hierarchy is not None:
        confidence[nodes] = node_confidence(run.predicted[nodes], exact[nodes], run.hierarchy)
    return confidence


def _promised_f1(predicted: NDArray[np.bool_], exact: FloatArray) -> FloatArray:
    sizes = np.count_nonzero(predicted, axis=1) + exact.sum(axis=1)
    return np.asarray(2 * np.where(predicted, exact, 0.0).sum(axis=1) / np.where(sizes > 0, sizes, 1))


@dataclass(frozen=True, eq=False)
class Reliability:
    """Bins of predictions, from the least to the most confident, each with as many predictions as the others.

    Attributes:
        confidence: float64 (bins,), mean probability.
        correct: float64 (bins,), share of correct predictions.
        predictions: int64 (bins,), how many there are.
        unit: what a prediction is: "prediction", or "pair of document and label" for multi-label.
    """

    confidence: FloatArray
    correct: FloatArray
    predictions: NDArray[np.int64]
    unit: str = "prediction"

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance between confidence and share, weighted by predictions."""
        return float(np.average(abs(self.confidence - self.correct), weights=self.predictions))

    @cached_property
    def chart(self) -> LineChart:
        """The share of correct predictions against their confidence, next to the diagonal of perfect calibration."""
        unit, xs, ys = Axis(0.0, 1.0), self.confidence.tolist(), self.correct.tolist()
        markers = tuple(
            Marker(x, y, f"confidence {format_metric(x)}: {format_percent(y)} of {count:,} are correct")
            for x, y, count in zip(xs, ys, self.predictions.tolist(), strict=True)
        )
        return LineChart(
            description=f"Reliability diagram. Expected calibration error {format_metric(self.error)}.",
            x_axis=unit,
            y_axis=unit,
            x_label="confidence",
            y_label="share that is correct",
            lines=(Line("", xs, ys, markers=markers), Line("", [0.0, 1.0], [0.0, 1.0], color=0, dash="4 4")),
            width=WIDTH,
            height=HEIGHT,
            table=self._table,
        )

    @property
    def _table(self) -> ChartTable:
        rows = zip(self.predictions.tolist(), self.confidence.tolist(), self.correct.tolist(), strict=True)
        cells = [
            (str(number), format_count(count), *map(format_metric, values))
            for number, (count, *values) in enumerate(rows, start=1)
        ]
        return ChartTable(
            "Bins of the reliability diagram, the least confident first",
            ("bin", f"{self.unit.split()[0]}s", "confidence", "correct"),
            tuple(cells),
        )


def reliability(run: RunView) -> Reliability | None:
    """Compare confidence with correctness, or with multi-label the probability of each label with its frequency.

    Predictions without a label are left out. None if nothing was predicted.
    """
    if run.is_multilabel:
        confidence, correct = np.nan_to_num(run.probabilities.astype(np.float64), nan=0.0).ravel(), run.truth.ravel()
    else:
        rows = np.flatnonzero(run.predicted >= 0)
        confidence, correct = prediction_confidence(run)[rows], run.correct[rows]
    if not len(confidence):
        return None
    order = np.argsort(confidence, kind="stable")
    bins = [rows for rows in np.array_split(order, BINS) if len(rows)]
    return Reliability(
        np.array([confidence[rows].mean() for rows in bins]),
        np.array([correct[rows].mean() for rows in bins]),
        np.array([len(rows) for rows in bins]),
        "pair of document and label" if run.is_multilabel else "prediction",
    )


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Points from few documents to all, float64 (points,) each.

    coverage: share of documents that are decided, those with the highest confidence.
    risk: share of these that are wrong.
    confidence: the lowest confidence among them, which is the threshold to use.
    area: mean of the risk over all coverages.
    """

    coverage: FloatArray
    risk: FloatArray
    confidence: FloatArray
    area: float

    @cached_property
    def chart(self) -> LineChart:
        """The risk against the coverage."""
        rows = [self._at(coverage) for coverage in TABLE_COVERAGES]
        markers = tuple(
            Marker(
                self.coverage[at],
                self.risk[at],
                f"{format_percent(self.risk[at])} of {format_percent(self.coverage[at])} of the documents are wrong; "
                f"their confidence is at least {format_metric(self.confidence[at])}",
            )
            for at in dict.fromkeys(rows)
        )
        return LineChart(
            description=f"Risk-coverage curve. {'. '.join(marker.title for marker in markers)}.",
            x_axis=Axis(0.0, 1.0),
            y_axis=common_axis([ConfidenceInterval(0.0, 0.0, float(self.risk.max()))]),
            x_label="coverage",
            y_label="risk",
            lines=(Line("", self.coverage.tolist(), self.risk.tolist(), markers=markers),),
            width=WIDTH,
            height=HEIGHT,
            table=self._table(rows),
        )

    def _at(self, coverage: float) -> int:
        """The first point that covers at least this share of the documents."""
        return min(int(np.searchsorted(self.coverage, coverage - 1e-12)), len(self.coverage) - 1)

    def _table(self, rows: list[int]) -> ChartTable:
        cells = [
            (format_percent(self.coverage[at]), format_metric(self.risk[at]), format_metric(self.confidence[at]))
            for at in dict.fromkeys(rows)
        ]
        columns = ("coverage", "risk", "lowest confidence")
        return ChartTable("Error rate of the most confident predictions", columns, tuple(cells))


def risk_coverage(run: RunView) -> RiskCoverage | None:
    """The error rate of the most confident predictions. Documents of equal confidence are covered together.

    Documents without a predicted label are not covered. None for multi-label, and if nothing was predicted.
    """
    if run.is_multilabel or not (run.predicted >= 0).any():
        return None
    rows = np.flatnonzero(run.predicted >= 0)
    confidence = prediction_confidence(run)[rows]
    order = np.argsort(-confidence, kind="stable")
    confidence, wrong = confidence[order], ~run.correct[rows][order]
    ends = np.flatnonzero(np.append(confidence[1:] < confidence[:-1], True))
    coverage = (ends + 1) / len(run.predicted)
    risk = np.cumsum(wrong)[ends] / (ends + 1)
    area = float(np.average(risk, weights=np.diff(coverage, prepend=0.0)))
    levels = np.linspace(coverage[0], coverage[-1], MAX_POINTS)
    kept = np.unique(np.searchsorted(coverage, levels).clip(max=len(ends) - 1))
    return RiskCoverage(coverage[kept], risk[kept], confidence[ends[kept]], area)
