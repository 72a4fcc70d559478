"""The figures of one fit, what they come to over seeds, and how they are kept."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from data.atomic_write import make_folder, write_atomically
from stages.fitting import runs

__all__ = ["METRICS", "LearningCurves", "Point", "SizeSummary", "Spread", "load_point", "save_point"]

# the last one is of labels that have an order
METRICS = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "accuracy": "accuracy",
    "quadratic_kappa": "quadratic kappa",
}


@dataclass(frozen=True)
class Point:
    """One fit and its figures on the documents kept aside.

    size: documents asked for. documents: fitted on, more where a group did not fit. labels: that these documents have.
    """

    head: str
    size: int
    seed: int
    documents: int
    labels: int
    macro_f1: float
    micro_f1: float
    accuracy: float
    seconds: float
    quadratic_kappa: float | None = None


@dataclass(frozen=True)
class Spread:
    """The mean over seeds, and the standard deviation of one; None for a single seed."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)

    def __str__(self) -> str:
        """0.812 ± 0.010, or 0.812."""
        return f"{self.mean:.3f}" + ("" if self.deviation is None else f" ± {self.deviation:.3f}")


@dataclass(frozen=True)
class SizeSummary:
    """A head at one size. documents, labels and seconds are means over the seeds."""

    head: str
    size: int
    documents: float
    labels: float
    macro_f1: Spread
    micro_f1: Spread
    accuracy: Spread
    seconds: float
    quadratic_kappa: Spread | None = None


@dataclass(frozen=True)
class LearningCurves:
    """Every fit, and what a reader must know of them. labels: of the training split."""

    store: str
    corpus: str
    labels: int
    seeds: int
    train_documents: int  # documents that there are to fit on
    validation_documents: int  # documents that were scored
    points: tuple[Point, ...]
    notes: tuple[str, ...]

    @property
    def metrics(self) -> dict[str, str]:
        """Those of METRICS that the points have."""
        return {name: said for name, said in METRICS.items() if getattr(self.points[0], name) is not None}

    @property
    def summaries(self) -> tuple[SizeSummary, ...]:
        """The points by head and size, in the order of the plan's heads and from small to large."""
        places = dict.fromkeys((point.head, point.size) for point in self.points)
        heads = list(dict.fromkeys(point.head for point in self.points))
        ordered = sorted(places, key=lambda place: (heads.index(place[0]), place[1]))
        of_each = ([point for point in self.points if (point.head, point.size) == at] for at in ordered)
        return tuple(_level(points, self.metrics) for points in of_each)

    def to_json(self) -> dict[str, Any]:
        """The same as plain values, with the levels."""
        return {**asdict(self), "summaries": [asdict(summary) for summary in self.summaries]}


def _level(points: Sequence[Point], named: Iterable[str]) -> SizeSummary:
    def mean(name: str) -> float:
        return float(np.mean([getattr(point, name) for point in points]))

    metrics = {name: Spread.of([getattr(point, name) for point in points]) for name in named}
    return SizeSummary(
        points[0].head, points[0].size, mean("documents"), mean("labels"), seconds=mean("seconds"), **metrics
    )


def load_point(path: Path) -> Point | None:
    """The point that `keep` wrote there; None where there is none, or where it was cut short or changed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Point(**content["point"]) if content["hash"] == runs.short_hash(content["point"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_point(path: Path, point: Point) -> Point:
    """Write the point, whole or not at all, and return it. Raises StorageFailed."""
    make_folder(path.parent)
    content = {"point": asdict(point), "hash": runs.short_hash(asdict(point))}
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    return point
