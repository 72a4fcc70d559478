"""Learning curves as a picture: figure against documents, which are on a logarithmic scale, a line with a band a head.

The picture stands alone as SVG, coloured by attributes that any program reads, and in a page, where the style wins.
"""

from dataclasses import dataclass
from math import ceil, floor, log, log10
from pathlib import Path
from typing import Self

from data.atomic_write import write_atomically
from heads.evaluation.metrics import ConfidenceInterval
from stages.curve.points import METRICS, LearningCurves, SizeSummary, Spread
from stages.report.axis import Axis, common_axis
from stages.report.formatting import replace_unprintable
from stages.report.rendering import read_asset, template_environment

__all__ = ["Line", "Picture", "learning_page", "learning_picture", "log_ticks", "write_picture"]

HERE = Path(__file__).parent
COLOURS = ("#0b62a8", "#d55e00", "#b0488a", "#00805c", "#a87900", "#4a4f9c")  # as in style.css
WIDTH, HEIGHT = 520, 360  # of the field between the axes
MOST_TICKS = 9


@dataclass(frozen=True)
class Dot:
    """One level, in the field's units from its upper left corner; low and high are a standard deviation away."""

    x: float
    y: float
    low: float
    high: float
    level: SizeSummary
    spread: Spread


@dataclass(frozen=True)
class Line:
    """One head: dots from left to right, and the colour that a later head may share, then dashed."""

    name: str
    place: int
    dots: tuple[Dot, ...]

    @property
    def number(self) -> int:
        """Which of the colours, from 1 on."""
        return self.place % len(COLOURS) + 1

    @property
    def colour(self) -> str:
        """The colour where no style says otherwise."""
        return COLOURS[self.number - 1]

    @property
    def dashed(self) -> bool:
        """Whether an earlier line has the same colour."""
        return self.place >= len(COLOURS)

    @property
    def path(self) -> str:
        """The line, as an SVG path."""
        return "M" + "L".join(f"{dot.x:g} {dot.y:g}" for dot in self.dots)

    @property
    def band(self) -> str:
        """The band around it, as a closed SVG path."""
        upper = [f"{dot.x:g} {dot.high:g}" for dot in self.dots]
        lower = [f"{dot.x:g} {dot.low:g}" for dot in reversed(self.dots)]
        return "M" + "L".join([*upper, *lower]) + "Z"


@dataclass(frozen=True)
class Picture:
    """What is drawn. across, up: a tick's place and what is written there. lines: the highest last dot first."""

    metric: str
    width: int
    height: int
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]

    @classmethod
    def of(cls, curves: LearningCurves, metric: str) -> Self:
        """The picture of one of METRICS."""
        levels = curves.summaries
        spreads: list[Spread] = [getattr(level, metric) for level in levels]
        scale = common_axis([_interval(spread) for spread in spreads])
        low, high = min(level.documents for level in levels), max(level.documents for level in levels)
        if low == high:  # a curve of one size stands in the middle
            low, high = low / 2, high * 2
        heads = list(dict.fromkeys(level.head for level in levels))
        dots = [_dot(level, spread, (low, high), scale) for level, spread in zip(levels, spreads, strict=True)]
        lines = (Line(head, at, tuple(dot for dot in dots if dot.level.head == head)) for at, head in enumerate(heads))
        return cls(
            metric=METRICS[metric],
            width=WIDTH,
            height=HEIGHT,
            across=tuple((_across(tick, (low, high)), f"{tick:,}") for tick in log_ticks(low, high)),
            up=tuple((_down(tick, scale), f"{tick:g}") for tick in scale.ticks),
            lines=tuple(sorted(lines, key=lambda line: -line.dots[-1].spread.mean)),
        )


def log_ticks(low: float, high: float) -> tuple[int, ...]:
    """Whole numbers from `low` to `high` that begin with 1, 2 or 5, or with 1 where that gives too many.

    Where it gives fewer than two, the ends.
    """
    powers = range(max(0, floor(log10(low))), ceil(log10(high)) + 1)
    for digits in ((1, 2, 5), (1,)):
        ticks = tuple(digit * 10**power for power in powers for digit in digits if low <= digit * 10**power <= high)
        if len(ticks) <= MOST_TICKS:
            break
    return ticks if len(ticks) > 1 else (round(low), round(high))


def _interval(spread: Spread) -> ConfidenceInterval:
    deviation = spread.deviation or 0.0
    # a kappa below 0, worse than chance, is drawn at 0
    mean, low = max(0.0, spread.mean), max(0.0, spread.mean - deviation)
    return ConfidenceInterval(mean, low, min(1.0, max(mean, spread.mean + deviation)))


def _dot(level: SizeSummary, spread: Spread, ends: tuple[float, float], scale: Axis) -> Dot:
    held = _interval(spread)
    y, lower, upper = (_down(one, scale) for one in (held.value, held.low, held.high))
    return Dot(_across(level.documents, ends), y, lower, upper, level, spread)


def _across(documents: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return round(WIDTH * log(documents / low) / log(high / low), 1)


def _down(value: float, scale: Axis) -> float:
    return round(HEIGHT * (1 - scale.percent(value) / 100), 1)


def learning_picture(curves: LearningCurves, metric: str) -> str:
    """The picture of one of METRICS as an SVG file of its own."""
    return _filled("chart.svg", curves, metric)


def learning_page(curves: LearningCurves, metric: str) -> str:
    """One self-contained HTML page: the picture of one of METRICS, and the table of all."""
    return _filled("chart.html", curves, metric)


def _filled(template: str, curves: LearningCurves, metric: str) -> str:
    found = template_environment(HERE).get_template(template)
    picture = Picture.of(curves, metric)
    return replace_unprintable(found.render(picture=picture, curves=curves, style=read_asset("style.css")))


def write_picture(curves: LearningCurves, metric: str, path: Path, *, alone: bool) -> None:
    """Write the picture of one of METRICS as SVG, or with the table as a page; a file of that name is replaced whole.

    Raises StorageFailed when it cannot be written.
    """
    write_atomically(path, (learning_picture if alone else learning_page)(curves, metric).encode())
