"""A sweep as a picture: the score of each trial with the best so far, and what each parameter weighed.

The picture stands alone as SVG, coloured by attributes that any program reads, and in a page, where the style wins.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from data.atomic_write import write_atomically
from heads.evaluation.metrics import ConfidenceInterval
from stages.curve import METRICS
from stages.report.axis import common_axis
from stages.report.formatting import replace_unprintable
from stages.report.rendering import read_asset, template_environment
from stages.sweep.result import SweepResult, SweepTrial

__all__ = ["SearchPicture", "search_page", "search_picture", "write_picture"]

HERE = Path(__file__).parent
WIDTH, HEIGHT = 520, 300  # of the field between the axes
ROW = 24  # the height of a parameter's bar
MOST_TICKS = 8


@dataclass(frozen=True)
class Dot:
    """A trial, in the field's units from its upper left corner; one that was given up lies on the lower edge."""

    x: float
    y: float
    trial: SweepTrial


@dataclass(frozen=True)
class SearchPicture:
    """What is drawn. across, up: a tick's place and what is written there. path: the best so far, as an SVG path.

    bars: a parameter, its share, and the length of its bar.
    """

    metric: str
    width: int
    height: int
    whole: int
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    dots: tuple[Dot, ...]
    path: str
    bars: tuple[tuple[str, float, float], ...]

    @classmethod
    def of(cls, outcome: SweepResult) -> Self:
        """The picture of one head's sweep."""
        scores = [each.score for each in outcome.trials if each.score is not None]
        scale = common_axis([ConfidenceInterval(score, score, score) for score in scores])
        count = len(outcome.trials)

        def across(number: int) -> float:
            return round(WIDTH * (number - 0.5) / count, 1)

        def down(score: float) -> float:
            return round(HEIGHT * (1 - scale.percent(score) / 100), 1)

        low = scale.low
        dots = [
            Dot(across(each.number), down(low if each.score is None else each.score), each) for each in outcome.trials
        ]
        steps = [f"{across(each.number):g} {down(each.score or 0):g}" for each in outcome.improvements]
        path = f"M{steps[0]}" + "".join(f"H{step.replace(' ', 'V')}" for step in steps[1:]) + f"H{WIDTH}"
        every = -(-count // MOST_TICKS)
        return cls(
            metric=METRICS[outcome.metric],
            width=WIDTH,
            height=HEIGHT,
            whole=HEIGHT + 80 + (ROW * len(outcome.importance) + 56 if outcome.importance else 0),
            across=tuple((across(number), str(number)) for number in range(1, count + 1, every)),
            up=tuple((down(tick), f"{tick:g}") for tick in scale.ticks),
            dots=tuple(dots),
            path=path,
            bars=tuple((name, share, round(0.6 * WIDTH * share, 1)) for name, share in outcome.importance.items()),
        )


def search_picture(outcome: SweepResult) -> str:
    """The picture as an SVG file of its own."""
    return _filled("chart.svg", outcome)


def search_page(outcome: SweepResult) -> str:
    """One self-contained HTML page: the picture, the trials that were better than all before, and every trial."""
    return _filled("chart.html", outcome)


def _filled(template: str, outcome: SweepResult) -> str:
    found = template_environment(HERE).get_template(template)
    picture = SearchPicture.of(outcome)
    return replace_unprintable(found.render(picture=picture, outcome=outcome, row=ROW, style=read_asset("style.css")))


def write_picture(outcome: SweepResult, path: Path, *, alone: bool) -> None:
    """Write the picture as SVG, or with the tables as a page; a file of that name is replaced whole.

    Raises StorageFailed when it cannot be written.
    """
    write_atomically(path, (search_picture if alone else search_page)(outcome).encode())
