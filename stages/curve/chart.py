"""The chart of learning curves: a metric over the number of training documents, one line with a band per head."""

from pathlib import Path

from data.text_format import plural
from heads.evaluation.metrics import ConfidenceInterval
from stages.curve.points import METRICS, LearningCurves, SizeSummary, Spread
from stages.report.line_chart import COLORS, Line, LineChart, LogAxis, Marker, common_axis
from stages.report.plots import FileFormat, save_chart
from stages.report.rendering import render_template

__all__ = ["draw_chart", "render_page", "write_chart"]

FOLDER = Path(__file__).parent


def draw_chart(curves: LearningCurves, metric: str) -> LineChart:
    """The chart of one of METRICS, with the head of the best last point first in the legend."""
    summaries = curves.summaries
    heads = list(dict.fromkeys(summary.head for summary in summaries))
    lines = [
        _line(head, index, [summary for summary in summaries if summary.head == head], metric)
        for index, head in enumerate(heads)
    ]
    lines.sort(key=lambda line: -line.y[-1])
    documents = [summary.documents for summary in summaries]
    low, high = min(documents), max(documents)
    final = ", ".join(f"{line.name} {line.markers[-1].title.rpartition(': ')[2]}" for line in lines)
    return LineChart(
        description=f"{METRICS[metric]} over training documents. With the most documents: {final}.",
        # a curve of one size is drawn in the middle
        x_axis=LogAxis(low / 2, high * 2) if low == high else LogAxis(low, high),
        y_axis=common_axis([_interval(summary.metrics[metric]) for summary in summaries]),
        x_label="training documents",
        y_label=METRICS[metric],
        lines=tuple(lines),
    )


def _line(head: str, index: int, summaries: list[SizeSummary], metric: str) -> Line:
    spreads = [summary.metrics[metric] for summary in summaries]
    intervals = [_interval(spread) for spread in spreads]
    return Line(
        name=head,
        x=[summary.documents for summary in summaries],
        y=[interval.value for interval in intervals],
        color=index % len(COLORS) + 1,
        lower=[interval.low for interval in intervals],
        upper=[interval.high for interval in intervals],
        markers=tuple(
            Marker(
                summary.documents, interval.value, f"{head}, {plural(round(summary.documents), 'document')}: {spread}"
            )
            for summary, interval, spread in zip(summaries, intervals, spreads, strict=True)
        ),
        # more heads than colors: the next ones are dashed
        dash="6 4" if index >= len(COLORS) else "",
    )


def _interval(spread: Spread) -> ConfidenceInterval:
    """The mean and one standard deviation around it, within [0, 1]: a negative kappa is drawn at 0."""
    mean, deviation = max(0.0, spread.mean), spread.deviation or 0.0
    return ConfidenceInterval(mean, max(0.0, spread.mean - deviation), min(1.0, max(mean, spread.mean + deviation)))


def render_page(curves: LearningCurves, metric: str) -> str:
    """One self-contained HTML page: the chart of one of METRICS, and a table."""
    return render_template(
        FOLDER / "chart.html",
        title="Learning curves",
        chart=draw_chart(curves, metric),
        curves=curves,
        notes=curves.notes,
        metric=METRICS[metric],
        shown=curves.shown_metrics(metric),
    )


def write_chart(curves: LearningCurves, metric: str, path: Path, file_format: FileFormat) -> None:
    """Write the chart of one of METRICS to a file, as `save_chart` does."""
    save_chart(draw_chart(curves, metric), lambda: render_page(curves, metric), path, file_format)
