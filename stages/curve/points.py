"""The metrics of one fit, their means over seeds, and the file that keeps them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from data.atomic_write import make_folder, write_atomically
from heads.evaluation import metrics
from stages.fitting import runs

__all__ = ["METRICS", "CurvePoint", "LearningCurves", "SizeSummary", "Spread", "load_point", "save_point"]

# attribute -> name, of the metrics that are better if higher
METRICS = {metric.attribute: metric.name for metric in metrics.METRICS.values() if metric.sign > 0}
SHOWN = ("macro_f1", "micro_f1", "accuracy", "quadratic_kappa", "hf1")  # in a table, next to the one that was requested


@dataclass(frozen=True)
class CurvePoint:
    """One fit and its metrics on the validation split.

    size: the requested number of documents. documents: those that the head was fitted on, more if a group did not fit.
    labels: how many labels these documents have. metrics: by name, those of METRICS that the labels have.
    """

    head: str
    size: int
    seed: int
    documents: int
    labels: int
    seconds: float
    metrics: Mapping[str, float] = field(hash=False)

    def to_json(self) -> dict[str, Any]:
        """The point as plain values; a metric that the labels do not have is None."""
        return _to_json(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The point that `to_json` returned."""
        metrics = {name: content[name] for name in METRICS if content[name] is not None}
        return cls(**{name: value for name, value in content.items() if name not in METRICS}, metrics=metrics)


@dataclass(frozen=True)
class Spread:
    """The mean over seeds and the standard deviation, which is None for a single seed."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The spread of at least one value."""
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)

    def __str__(self) -> str:
        """0.812 ± 0.010, or 0.812."""
        return f"{self.mean:.3f}" + ("" if self.deviation is None else f" ± {self.deviation:.3f}")


@dataclass(frozen=True)
class SizeSummary:
    """One head at one size. documents, labels and seconds are means over the seeds."""

    head: str
    size: int
    documents: float
    labels: float
    seconds: float
    metrics: Mapping[str, Spread]

    def to_json(self) -> dict[str, Any]:
        """As `CurvePoint.to_json`."""
        return _to_json(self)


def _to_json(values: CurvePoint | SizeSummary) -> dict[str, Any]:
    content = asdict(values)
    metrics = content.pop("metrics")
    return content | {name: metrics.get(name) for name in METRICS}


@dataclass(frozen=True)
class LearningCurves:
    """All fits of a plan, and what a reader must know about them.

    labels: how many labels the training split has.
    train_documents, validation_documents: the documents that heads can be fitted on, and those that they are scored on.
    """

    store: str
    corpus: str
    labels: int
    seeds: int
    train_documents: int
    validation_documents: int
    points: tuple[CurvePoint, ...]
    notes: tuple[str, ...]

    @property
    def metrics(self) -> dict[str, str]:
        """Those of METRICS that the points have."""
        return {name: title for name, title in METRICS.items() if name in self.points[0].metrics}

    def shown_metrics(self, metric: str) -> dict[str, str]:
        """Those in a table: the usual ones, and the requested one. Micro-F1 is left out if it is the accuracy."""
        measured = [point.metrics for point in self.points]
        hidden = {"micro_f1"} if all(values["micro_f1"] == values["accuracy"] for values in measured) else set()
        shown = {*SHOWN, metric} - (hidden - {metric})
        return {name: title for name, title in self.metrics.items() if name in shown}

    @property
    def summaries(self) -> tuple[SizeSummary, ...]:
        """The points by head and size, in the order of the plan's heads and from small to large."""
        heads = list(dict.fromkeys(point.head for point in self.points))
        sizes = sorted({point.size for point in self.points})
        groups = ([p for p in self.points if (p.head, p.size) == (head, size)] for head in heads for size in sizes)
        return tuple(_summarize(points, self.metrics) for points in groups if points)

    def to_json(self) -> dict[str, Any]:
        """The curves as plain values, with the summaries."""
        points, summaries = ([each.to_json() for each in part] for part in (self.points, self.summaries))
        return {**asdict(self), "points": points, "summaries": summaries}


def _summarize(points: Sequence[CurvePoint], metrics: Iterable[str]) -> SizeSummary:
    def mean(name: str) -> float:
        return float(np.mean([getattr(point, name) for point in points]))

    return SizeSummary(
        head=points[0].head,
        size=points[0].size,
        documents=mean("documents"),
        labels=mean("labels"),
        seconds=mean("seconds"),
        metrics={name: Spread.of([point.metrics[name] for point in points]) for name in metrics},
    )


def load_point(path: Path) -> CurvePoint | None:
    """The point that `save_point` wrote; None if there is none, or if the file was cut short or changed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        point = content["point"]
        return CurvePoint.from_json(point) if content["hash"] == runs.short_hash(point) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_point(path: Path, point: CurvePoint) -> CurvePoint:
    """Write the point, whole or not at all, and return it. Raises StorageFailed."""
    make_folder(path.parent)
    content = {"point": point.to_json(), "hash": runs.short_hash(point.to_json())}
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    return point
