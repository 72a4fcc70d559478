"""Precision against recall, for all labels together and for each.

The steps are scikit-learn's `precision_recall_curve`, drawn as steps: a straight line between two of its points would
promise precision that no threshold gives (Davis and Goadrich 2006). The area under the steps is the average precision.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "curve", "label_curves", "membership", "path", "ranked", "thinned", "worst"]

MOST_POINTS = 200  # a curve
ALL_POINTS = 12_000  # all labels of a run together: what keeps a page of hundreds of labels small
FEWEST_POINTS = 24


@dataclass(frozen=True)
class Curve:
    """recall falls from 1 to 0 and precision belongs to it, both float64 (points,); `documents` have the label."""

    label: str
    documents: int
    average_precision: float
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


def membership(truth: NDArray[Any], labels: int) -> NDArray[np.bool_]:
    """bool (documents, labels) from codes (documents,); a bool matrix stays what it is."""
    if truth.ndim == 2:
        return truth.astype(bool)
    return np.asarray(truth[:, None] == np.arange(labels), dtype=np.bool_)


def ranked(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Finite scores in the same order: +inf just above all others, -inf and NaN (never seen) just below."""
    values = np.asarray(scores, dtype=np.float64)
    known = values[np.isfinite(values)]
    low, high = (known.min() - 1, known.max() + 1) if known.size else (0.0, 1.0)
    return np.nan_to_num(values, nan=low, neginf=low, posinf=high)


def curve(label: str, truth: NDArray[np.bool_], scores: NDArray[Any], most: int = MOST_POINTS) -> Curve | None:
    """The curve of one label from bool and scores (documents,), at most `most` points; None if no document has it."""
    from sklearn.metrics import precision_recall_curve

    documents = int(truth.sum())
    if not documents:
        return None
    precision, recall, _ = precision_recall_curve(truth, ranked(scores), drop_intermediate=True)
    area = float(-np.diff(recall) @ precision[:-1])
    kept = thinned(recall, most)
    return Curve(label, documents, area, recall[kept], precision[kept])


def thinned(recall: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """At most `most` indices into a falling recall, evenly spread over recall, with both ends; all if they are few.

    Of points with one recall the last is taken: it is the one that the next step starts from.
    """
    if len(recall) <= most:
        return np.arange(len(recall))
    levels = np.linspace(recall[0], recall[-1], most)
    return np.unique(np.searchsorted(-recall, -levels, side="right") - 1)


def label_curves(truth: NDArray[np.bool_], scores: NDArray[Any], labels: Sequence[str]) -> tuple[Curve, ...]:
    """A curve for each label that a document has, in the order of `labels`."""
    most = min(MOST_POINTS, max(FEWEST_POINTS, ALL_POINTS // max(1, len(labels))))
    every = (curve(label, truth[:, at], scores[:, at], most) for at, label in enumerate(labels))
    return tuple(one for one in every if one is not None)


def worst(curves: Iterable[Curve], most: int = 5) -> tuple[Curve, ...]:
    """The curves with the least area, the worst first; of equals the one with more documents."""
    return tuple(sorted(curves, key=lambda one: (one.average_precision, -one.documents, one.label))[:most])


def path(drawn: Curve, side: float) -> str:
    """The steps as an SVG path in a square of `side` units, from full recall at the right to none at the left.

    Each precision holds from its recall down to the next one; the curve ends where recall does. Points that fall on one
    tenth of a unit are drawn once.
    """
    across = np.rint(10 * side * drawn.recall).astype(int)
    down = np.rint(10 * side * (1 - drawn.precision)).astype(int)
    last = np.flatnonzero(np.diff(across, append=-1))  # of the points above one another, where the next step starts
    corners = [(across[at] / 10, down[at] / 10) for at in last if across[at]]
    steps = [f"M{corners[0][0]:g} {corners[0][1]:g}", *(f"H{x:g}V{y:g}" for x, y in corners[1:])]
    return "".join([*steps, "H0"])
