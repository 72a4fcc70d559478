"""Confidence intervals of shares of documents, such as an accuracy or a coverage."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.bootstrap import NORMAL_QUANTILE, ConfidenceInterval

__all__ = ["share_bounds", "share_interval"]


def share_bounds(hits: NDArray[Any], totals: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lower and upper bounds of shares by Wilson's score interval, 95 %, float64 of the shape of `totals`.

    Wilson 1927, Probable inference (Journal of the American Statistical Association 22). Unlike resampling, it is not
    empty if all documents are hits: 10 of 10 may come from a share of 0.72. A share of no documents is 0 to 1.
    """
    z = NORMAL_QUANTILE
    total = np.maximum(totals, 1)
    share = hits / total
    center = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    low, high = np.clip(center - half, 0, share), np.clip(center + half, share, 1)
    return np.where(totals > 0, low, 0.0), np.where(totals > 0, high, 1.0)


def share_interval(hits: int, total: int) -> ConfidenceInterval:
    """The share of `total` documents that are hits, with its confidence interval; 0 of no documents."""
    low, high = share_bounds(np.array(hits), np.array(total))
    return ConfidenceInterval(hits / max(total, 1), float(low), float(high))
