"""Cost and quality of runs: a chart whose line connects the runs that no cheaper run equals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from heads.evaluation.metrics import Metric
from stages.report.formatting import format_count, format_metric, format_milliseconds
from stages.report.line_chart import ChartTable, Line, LineChart, LogAxis, Marker, common_axis
from stages.report.run_view import Findings, RunView

__all__ = ["COSTS", "pareto_chart", "pareto_front"]

COSTS = {
    "predict": "prediction, ms per document",
    "fit": "fit, seconds",
    "size": "parameters",
}
SMALLEST = 1e-4  # what is cheaper is drawn as this cheap: a logarithm has no zero
MIN_POWER = -4
WIDTH, HEIGHT = 440, 300


@dataclass(frozen=True)
class _Point:
    run: RunView
    cost: float
    quality: float


def pareto_front(costs: Sequence[float], qualities: Sequence[float]) -> list[int]:
    """The positions of points that are better than every point which is as cheap or cheaper, the cheapest first.

    Args:
        costs: lower is better.
        qualities: higher is better.

    Returns:
        Positions; of equal points, the first.
    """
    front: list[int] = []
    for at in sorted(range(len(costs)), key=lambda at: (costs[at], -qualities[at])):
        if not front or qualities[at] > qualities[front[-1]]:
            front.append(at)
    return front


def pareto_chart(runs: Sequence[RunView], metric: Metric, findings: Findings) -> LineChart:
    """The metric of each run against its cost.

    Args:
        runs: the runs, at least one.
        metric: what ranks them.
        findings: the cost of each run, and the run to take, which has a ring.

    Returns:
        The chart. Runs on the line have their heads as labels.
    """
    cost, costs = findings.cost, findings.costs
    points = [_Point(run, max(SMALLEST, costs[run.name]), metric.value(run.out_of_fold).value) for run in runs]
    front = pareto_front([point.cost for point in points], [metric.sign * point.quality for point in points])
    x_axis = _cost_axis([point.cost for point in points])
    xs, ys = [points[at].cost for at in front], [points[at].quality for at in front]
    markers = tuple(_marker(points[at], metric, label=points[at].run.head) for at in front)
    others = tuple(_marker(point, metric) for at, point in enumerate(points) if at not in front)
    ring = tuple(
        Marker(point.cost, point.quality, f"the run to take: {point.run.name}", hollow=True, radius=8)
        for point in points
        if point.run.name == findings.chosen
    )
    best = ", ".join(f"{points[at].run.name} {format_metric(points[at].quality)}" for at in front)
    return LineChart(
        description=f"Cost and quality. Runs that no cheaper run equals, the cheapest first: {best}.",
        x_axis=x_axis,
        y_axis=common_axis([metric.value(run.out_of_fold) for run in runs]),
        x_label=COSTS[cost],
        y_label=metric.name,
        lines=(
            Line("", [*xs, x_axis.high], [*ys, ys[-1]], markers=(*ring, *markers), stepped=True),
            Line("", xs[:1], ys[:1], color=0, markers=others),
        ),
        width=WIDTH,
        height=HEIGHT,
        table=_table(points, front, metric, cost),
    )


def _marker(point: _Point, metric: Metric, label: str = "") -> Marker:
    return Marker(
        point.cost,
        point.quality,
        f"{point.run.name}: {metric.name} {format_metric(point.quality)}",
        label=label,
        radius=4,
    )


def _cost_axis(costs: Sequence[float]) -> LogAxis:
    """The shortest axis between numbers that begin with 1, 2 or 5 and hold every cost."""
    steps = [digit * 10.0**power for power, digit in product(range(MIN_POWER, 16), (1, 2, 5))]
    low = max(step for step in steps if step <= min(costs) * (1 + 1e-9))
    high = min(step for step in steps if step >= max(costs) and step > low)
    return LogAxis(low, high, min_power=MIN_POWER)


def _table(points: Sequence[_Point], front: Sequence[int], metric: Metric, cost: str) -> ChartTable:
    rows = tuple(
        (point.run.name, _format_cost(point.cost, cost), format_metric(point.quality), "yes" if at in front else "")
        for at, point in sorted(enumerate(points), key=lambda pair: pair[1].cost)
    )
    return ChartTable("Runs, the cheapest first", ("run", COSTS[cost], metric.name, "on the line"), rows)


def _format_cost(value: float, cost: str) -> str:
    return format_count(round(value)) if cost == "size" else format_milliseconds(value)
