"""One fit of a curve, and how long the fits that are left take."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from heads.core.head import Head
from heads.core.hyperparameters import to_json
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.probability_table import rank_scores
from stages.curve.points import METRICS, CurvePoint
from stages.fitting import runs
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.task import Task

__all__ = ["CurveProgress", "CurveProgressCallback", "Fit", "Pace"]

FORMAT = 3


@dataclass(frozen=True)
class CurveProgress:
    """What is fitted next. `done` of `total` counts documents of all fits; seconds_left is None while unknown."""

    head: str
    size: int
    seed: int
    done: int
    total: int
    seconds_left: float | None


CurveProgressCallback = Callable[[CurveProgress], None]


@dataclass(frozen=True, eq=False)
class Fit:
    """One head to be fitted on `rows` of the training documents, and what its decisions are for.

    weight: of all training documents, or None.
    """

    head: Head
    size: int
    seed: int
    rows: NDArray[np.int64]
    weight: NDArray[np.float64] | None
    decision: DecisionOptions = field(default_factory=DecisionOptions)

    def identity(self, shared: dict[str, Any], validation: NDArray[np.int64]) -> str:
        """Eight hex digits that differ if the metrics could differ."""
        return runs.short_hash(
            {"format": FORMAT, "head": self.head.name, "hyperparameters": to_json(self.head)["nested"]}
            | {"train": self.rows.tolist(), "validation": validation.tolist()}
            | ({} if self.weight is None else {"weights": self.weight[self.rows].tolist()})
            | shared
        )

    def run(self, task: Task, validation: NDArray[np.int64]) -> CurvePoint:
        """Fit the head and score the validation split with the default decision rule.

        Labels that the head has never seen have scores of -inf and so are missed.
        """
        start = time.perf_counter()
        head = task.fit(clone(self.head), self.rows, self.weight)
        seconds = time.perf_counter() - start
        target = task.target[validation]
        scores = task.scores(head, validation)
        predicted = self.decision.decide(scores, target).out_of_fold
        counts = ConfusionCounts.from_predictions(target.y, predicted, len(task.labels), target.hierarchy)
        known = {*counts.metrics} - (set() if target.is_ordinal else {"quadratic_kappa"})
        values = {name: float(getattr(counts, name)) for name in METRICS if name in known}
        values |= rank_scores(target.y, scores)
        return CurvePoint(
            head=self.head.name,
            size=self.size,
            seed=self.seed,
            documents=len(self.rows),
            labels=int(np.count_nonzero(task.target[self.rows].counts)),
            seconds=round(seconds, 3),
            metrics=values,
        )


class Pace:
    """How much of the work is done, in documents, and how long the rest takes.

    A fit has a fixed cost in addition to that of its documents, so each head's seconds are predicted by a line through
    its fits so far. With fits of one size only, the line says nothing about other sizes.
    """

    def __init__(self, fits: Sequence[Fit]) -> None:
        self._left = [(fit.head.name, fit.size) for fit in fits]
        self._done, self._total = 0, sum(len(fit.rows) for fit in fits)
        self._times: dict[str, list[tuple[int, float]]] = {fit.head.name: [] for fit in fits}

    def progress(self, fit: Fit) -> CurveProgress:
        """How far the work is before `fit`."""
        return CurveProgress(fit.head.name, fit.size, fit.seed, self._done, self._total, self._seconds_left())

    def record(self, fit: Fit, seconds: float) -> None:
        """Count a fit that is done."""
        self._left.pop(0)
        self._done += len(fit.rows)
        self._times[fit.head.name].append((fit.size, seconds))

    def _seconds_left(self) -> float | None:
        left = 0.0
        for head, times in self._times.items():
            sizes = [size for name, size in self._left if name == head]
            known = {size for size, _ in times}
            if len(known) < 2 and not known.issuperset(sizes):
                return None
            left += sum(_predict_seconds(times, sizes))
        return left


def _predict_seconds(times: Sequence[tuple[int, float]], sizes: Sequence[int]) -> list[float]:
    """Seconds at `sizes` by a line through (size, seconds) whose offset and slope are not negative."""
    from scipy.optimize import nnls

    def design(documents: Sequence[int]) -> NDArray[np.float64]:
        return np.array([(1.0, count) for count in documents]).reshape(-1, 2)

    line = nnls(design([size for size, _ in times]), np.array([seconds for _, seconds in times]))[0]
    return [float(seconds) for seconds in design(sizes) @ line]
