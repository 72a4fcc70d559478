"""What a threshold on the probability of a label gives: the points that the page's slider goes through.

Each point is one of scikit-learn's `precision_recall_curve`, as whole numbers of documents, so that precision, recall
and F1 follow exactly. Its threshold is the shortest decimal that separates the same documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Thresholds", "shortest_thresholds"]

MOST_DIGITS = 12


@dataclass(frozen=True)
class Thresholds:
    """The decisions "probability >= threshold" at several thresholds, the lowest first.

    Attributes:
        thresholds: each one separates documents as no other one does.
        hits: number of correct decisions for the label at each threshold, at least 1.
        predicted: number of decisions for the label, correct or not.
    """

    thresholds: tuple[float, ...] = ()
    hits: tuple[int, ...] = ()
    predicted: tuple[int, ...] = ()

    @classmethod
    def of_curve(
        cls,
        thresholds: NDArray[Any],
        precision: NDArray[np.float64],
        recall: NDArray[np.float64],
        documents: int,
        scores: NDArray[Any],
    ) -> "Thresholds":
        """The points of a curve whose threshold is a score and which find a document.

        Args:
            thresholds: float (points,), rising.
            precision: float64 (points,), at these.
            recall: float64 (points,).
            documents: number of documents that have the label.
            scores: float (documents,), all of them; NaN and infinite ones are never at or above a threshold.

        Returns:
            The decisions.
        """
        finite = np.unique(scores[np.isfinite(scores)])
        if not len(finite):
            return cls()
        used = (recall > 0) & (thresholds >= finite[0]) & (thresholds <= finite[-1])
        hits = np.rint(recall[used] * documents).astype(int)
        predicted = np.rint(hits / precision[used]).astype(int)
        exact = shortest_thresholds(finite[np.searchsorted(finite, thresholds[used])], finite)
        return cls(tuple(exact), tuple(hits.tolist()), tuple(predicted.tolist()))


def shortest_thresholds(scores: NDArray[Any], distinct: NDArray[Any]) -> Sequence[float]:
    """For each score, the decimal with the fewest digits that is at most the score and above the next lower one.

    Args:
        scores: float (n,), some of `distinct`.
        distinct: float (m,), rising.

    Returns:
        The decimals; compared as float32 and as float64, they separate scores as `scores` themselves do.
    """
    below = np.concatenate([[-np.inf], distinct[:-1]])[np.searchsorted(distinct, scores)].astype(np.float64)
    exact = scores.astype(np.float64)
    chosen, open_ = exact.copy(), np.ones(len(exact), dtype=bool)
    for digits in range(1, MOST_DIGITS):
        decimals = np.floor(exact * 10**digits) / 10**digits
        single = decimals.astype(np.float32).astype(np.float64)
        fits = open_ & (decimals > below) & (decimals <= exact) & (single > below) & (single <= exact)
        chosen[fits] = decimals[fits]
        open_ &= ~fits
    return [float(value) for value in chosen]
