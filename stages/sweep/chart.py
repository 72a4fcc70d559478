"""The chart of a sweep: the score of each trial, the best score so far, and the importance of each hyperparameter."""

from pathlib import Path

from data.text_format import plural
from heads.evaluation.metrics import ConfidenceInterval
from stages.curve import METRICS
from stages.report.formatting import format_metric, format_value
from stages.report.line_chart import Axis, Bar, CountAxis, Line, LineChart, Marker, common_axis
from stages.report.plots import FileFormat, save_chart
from stages.report.rendering import render_template
from stages.sweep.result import SweepResult, SweepTrial

__all__ = ["draw_chart", "render_page", "write_chart"]

FOLDER = Path(__file__).parent
HEIGHT = 300  # of the plot area, in SVG units


def draw_chart(result: SweepResult) -> LineChart:
    """The chart of one head's sweep; pruned trials are hollow markers on the lower edge."""
    scores = [trial.score for trial in result.trials if trial.score is not None]
    x_axis = CountAxis(0.5, len(result.trials) + 0.5)
    y_axis = common_axis([ConfidenceInterval(score, score, score) for score in scores])
    metric, best = METRICS[result.metric], result.best
    return LineChart(
        description=(
            f"{metric} of {plural(len(result.trials), 'trial')} of {result.head}. The best one is trial {best.number} "
            f"with {format_metric(max(scores))}."
        ),
        x_axis=x_axis,
        y_axis=y_axis,
        x_label="trial (hollow: pruned)" if result.pruned_count else "trial",
        y_label=metric,
        lines=(_best_so_far(result, x_axis, y_axis),),
        height=HEIGHT,
        bars=tuple(Bar(result.shown_name(name), share) for name, share in result.importance.items()),
        bars_title="Importance of the hyperparameters",
    )


def _best_so_far(result: SweepResult, x_axis: Axis, y_axis: Axis) -> Line:
    scores = [trial.score for trial in result.improvements if trial.score is not None]
    return Line(
        name="",
        x=[*(trial.number for trial in result.improvements), x_axis.high],
        y=[*scores, scores[-1]],
        markers=tuple(_marker(result, trial, y_axis) for trial in result.trials),
        stepped=True,
    )


def _marker(result: SweepResult, trial: SweepTrial, y_axis: Axis) -> Marker:
    values = ", ".join(f"{result.shown_name(name)} {format_value(value)}" for name, value in trial.values.items())
    if trial.score is None:
        return Marker(trial.number, y_axis.low, f"trial {trial.number}: pruned; {values}", hollow=True, radius=3.5)
    return Marker(
        trial.number, trial.score, f"trial {trial.number}: {format_metric(trial.score)}; {values}", radius=3.5
    )


def render_page(result: SweepResult) -> str:
    """One self-contained HTML page: the chart, and a table of all trials."""
    return render_template(
        FOLDER / "chart.html",
        title=f"Sweep of {result.head}",
        chart=draw_chart(result),
        result=result,
        notes=result.notes,
        metric=METRICS[result.metric],
    )


def write_chart(result: SweepResult, path: Path, file_format: FileFormat) -> None:
    """Write the chart to a file, as `save_chart` does."""
    save_chart(draw_chart(result), lambda: render_page(result), path, file_format)
