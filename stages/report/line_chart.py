"""A line chart as a value: axes, lines, bands, markers and bars in the units of the data.

`line_chart.svg` draws it as SVG, alone or inside a page; `plots.py` draws it with matplotlib.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log, log10

from heads.evaluation.metrics import ConfidenceInterval

__all__ = [
    "COLORS",
    "Axis",
    "Bar",
    "ChartTable",
    "CountAxis",
    "Line",
    "LineChart",
    "LogAxis",
    "Marker",
    "common_axis",
    "line_path",
    "step_path",
]

COLORS = ("#0b62a8", "#d55e00", "#b0488a", "#00805c", "#a87900", "#4a4f9c")  # the same as in style.css
MUTED = "#8a929b"
MAX_LOG_TICKS = 9
MAX_COUNT_TICKS = 8


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`, which are tenths."""

    low: float
    high: float

    def fraction(self, value: float) -> float:
        """The position of the value: 0 at the low end, 1 at the high end."""
        return (value - self.low) / (self.high - self.low)

    def percent(self, value: float) -> float:
        """The position of the value as a percentage of the axis."""
        return round(100 * self.fraction(value), 2)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Tenths from end to end, thinned out on a long axis; the high end is always a tick."""
        first, last = round(10 * self.low), round(10 * self.high)
        step = 1 if last - first <= 3 else max(2, ceil((last - first) / 5))
        return tuple(tenth / 10 for tenth in range(last, first - 1, -step))[::-1]


@dataclass(frozen=True)
class LogAxis(Axis):
    """A logarithmic axis between two positive numbers.

    min_power: the smallest power of ten that a tick may be; 0 for whole numbers.
    """

    min_power: int = 0

    def fraction(self, value: float) -> float:
        """The position of the value: equal factors are equal distances."""
        return log(value / self.low) / log(self.high / self.low)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Numbers that begin with 1, 2 or 5, or only with 1 if these are too many; the ends if too few."""
        powers = range(max(self.min_power, floor(log10(self.low))), ceil(log10(self.high)) + 1)
        for digits in ((1, 2, 5), (1,)):
            numbers = [digit * 10**power if power >= 0 else digit / 10**-power for power in powers for digit in digits]
            ticks = tuple(number for number in numbers if self.low <= number <= self.high)
            if len(ticks) <= MAX_LOG_TICKS:
                break
        return ticks if len(ticks) > 1 else (round(self.low), round(self.high))


@dataclass(frozen=True)
class CountAxis(Axis):
    """An axis of whole numbers, which lie half a unit away from its ends."""

    @property
    def ticks(self) -> tuple[float, ...]:
        """Whole numbers from the first one on, thinned out on a long axis."""
        first, last = ceil(self.low), floor(self.high)
        return tuple(range(first, last + 1, ceil((last - first + 1) / MAX_COUNT_TICKS)))


def common_axis(intervals: Sequence[ConfidenceInterval]) -> Axis:
    """The shortest axis of whole tenths that holds every interval and its value; it is never empty."""
    values = [value for interval in intervals for value in (interval.low, interval.value, interval.high)] or [0.0, 1.0]
    low = min(floor(10 * min(values) + 1e-9), 9)
    high = ceil(10 * max(values) - 1e-9)
    return Axis(low / 10, max(high, low + 1) / 10)


@dataclass(frozen=True)
class Marker:
    """A point of a line that is drawn as a circle. title: the tooltip. label: a text next to it; "" for none."""

    x: float
    y: float
    title: str
    hollow: bool = False
    radius: float = 3
    label: str = ""


@dataclass(frozen=True, eq=False)
class Line:
    """A line of a chart.

    Attributes:
        name: its name in the legend; "" if it has no entry.
        x: positions in data units.
        y: values in data units.
        color: number of its color, 1 to len(COLORS); 0 for a thin gray line.
        lower: lower edge of its band, one value per position; empty without a band.
        upper: upper edge of its band.
        markers: circles on the line.
        dash: SVG dash pattern; "" for a solid line.
        stepped: whether it keeps each value until the next position, and ends at the last position.
        width: stroke width.
        title: the tooltip of the line.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int = 1
    lower: Sequence[float] = ()
    upper: Sequence[float] = ()
    markers: tuple[Marker, ...] = ()
    dash: str = ""
    stepped: bool = False
    width: float = 2
    title: str = ""

    @property
    def hex_color(self) -> str:
        """The color if no stylesheet applies."""
        return COLORS[self.color - 1] if self.color else MUTED


@dataclass(frozen=True)
class Bar:
    """A horizontal bar below the chart. share: its length, in [0, 1]."""

    name: str
    share: float


@dataclass(frozen=True)
class ChartTable:
    """The values of a chart as a table, for those who cannot see it or want to know a value.

    Attributes:
        caption: what the rows are.
        columns: names of the columns; all but the first hold numbers.
        rows: the cells as text, one row per point.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class LineChart:
    """Lines over two axes.

    Attributes:
        description: the chart in words, for those who cannot see it.
        x_axis: the horizontal axis.
        y_axis: the vertical axis.
        x_label: name of the horizontal axis.
        y_label: name of the vertical axis.
        lines: the lines in the order of the legend; the first one is drawn on top.
        width: width of the plot area, in SVG units.
        height: height of the plot area, in SVG units.
        bars: bars below the chart.
        bars_title: heading of the bars.
        table: the values, which a page shows below the chart on request; None if the page has them elsewhere.
    """

    description: str
    x_axis: Axis
    y_axis: Axis
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    width: int = 520
    height: int = 360
    bars: tuple[Bar, ...] = ()
    bars_title: str = ""
    table: ChartTable | None = None

    @property
    def legend(self) -> tuple[Line, ...]:
        """The lines that have a name; a single line needs no legend."""
        named = tuple(line for line in self.lines if line.name)
        return named if len(named) > 1 else ()

    def x(self, value: float) -> float:
        """The horizontal position of a value, in SVG units from the left edge of the plot area."""
        return round(self.width * self.x_axis.fraction(value), 1)

    def y(self, value: float) -> float:
        """The vertical position of a value, in SVG units from the top edge of the plot area."""
        return round(self.height * (1 - self.y_axis.fraction(value)), 1)

    def path(self, line: Line) -> str:
        """The line as an SVG path."""
        xs, ys = [self.x(value) for value in line.x], [self.y(value) for value in line.y]
        if not line.color and line.stepped:  # thin gray lines are many, and need no tenths of a unit
            xs, ys = [round(x) for x in xs], [round(y) for y in ys]
        return step_path(xs, ys) if line.stepped else line_path(xs, ys)

    def band(self, line: Line) -> str:
        """The band around the line as a closed SVG path."""
        xs = [self.x(value) for value in line.x]
        upper, lower = [self.y(value) for value in line.upper], [self.y(value) for value in line.lower]
        return line_path([*xs, *xs[::-1]], [*upper, *lower[::-1]]) + "Z"


def line_path(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Straight lines between the points as an SVG path."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in zip(xs, ys, strict=True))


def step_path(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Steps as an SVG path: each y is kept until the next x, and the path ends at the last x.

    Of points with the same x, only the last one is drawn: the next step starts there.
    """
    points = [(x, y) for x, y, after in zip(xs, ys, [*xs[1:], None], strict=True) if x != after]
    (x, y), *others = points
    steps = "".join(f"H{x:g}V{y:g}" for x, y in others[:-1])
    return f"M{x:g} {y:g}{steps}" + (f"H{others[-1][0]:g}" if others else "")


def format_tick(tick: float) -> str:
    """The text of a tick: 0.8, 1, 5,000."""
    return f"{tick:,}" if isinstance(tick, int) else f"{tick:g}"
