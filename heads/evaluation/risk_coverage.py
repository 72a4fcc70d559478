"""Accuracy against coverage: how good predictions are if only the most confident ones are made (selective prediction).

El-Yaniv and Wiener 2010, On the foundations of noise-free selective classification (JMLR 11). For labels of a
hierarchy, `coverage.py` has the same of hF1.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.bootstrap import RESAMPLES, ConfidenceInterval
from heads.evaluation.coverage import MAX_POINTS, node_confidence
from heads.evaluation.proportions import share_bounds

__all__ = ["RiskCoverageCurve", "prediction_confidence", "risk_coverage_curve"]


@dataclass(frozen=True, eq=False)
class RiskCoverageCurve:
    """Points from few documents to all, float64 (points,) each; the risk is 1 - accuracy.

    Attributes:
        coverage: the share of documents that are decided, those with the highest confidence.
        accuracy: of these documents.
        low: the lower bound of the accuracy, 95 %.
        high: the upper bound.
        confidence: the lowest confidence among them, which is the threshold to use.
        area: the mean of the accuracy over all coverages, from one document to all; 1 - `area` is the area under the
            curve of risk.
    """

    coverage: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    confidence: NDArray[np.float64]
    area: ConfidenceInterval

    def to_json(self) -> dict[str, Any]:
        """Plain values for `from_json`."""
        return {**{name: getattr(self, name).tolist() for name in _ARRAYS}, "area": asdict(self.area)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The curve that `to_json` returned."""
        return cls(**{name: np.array(content[name]) for name in _ARRAYS}, area=ConfidenceInterval(**content["area"]))


_ARRAYS = ("coverage", "accuracy", "low", "high", "confidence")


def risk_coverage_curve(
    correct: NDArray[np.bool_], confidence: NDArray[Any], *, max_points: int = MAX_POINTS, seed: int = 0
) -> RiskCoverageCurve:
    """Compute the accuracy of the most confident documents, for each number of them.

    Documents with equal confidence are decided together. The bounds of the accuracy at a confidence are Wilson's; those
    of the area come from a bootstrap over documents.

    Args:
        correct: whether each prediction is right, bool (documents,), of at least one document.
        confidence: (documents,), from `prediction_confidence`.
        max_points: the curve is thinned to this number of points, spread evenly over coverage.
        seed: of the bootstrap.

    Returns:
        The curve.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence, hits = confidence[order], np.cumsum(correct[order])
    # the last of equally confident documents
    ends = np.flatnonzero(np.append(sorted_confidence[1:] < sorted_confidence[:-1], True))
    coverage, accuracy = (ends + 1) / len(order), hits[ends] / (ends + 1)
    area = float(accuracy @ np.diff(coverage, prepend=0.0))
    kept = np.unique(np.searchsorted(coverage, np.linspace(coverage[0], 1, max_points)).clip(max=len(ends) - 1))
    low, high = share_bounds(hits[ends[kept]], ends[kept] + 1)
    interval = _area_interval(hits[ends[kept]], ends[kept] + 1, area, seed)
    points = coverage[kept], accuracy[kept], low, high, sorted_confidence[ends[kept]].astype(np.float64)
    return RiskCoverageCurve(*points, interval)


def _area_interval(hits: NDArray[Any], documents: NDArray[Any], area: float, seed: int) -> ConfidenceInterval:
    """The interval of the area, whose bounds differ from it as areas of the thinned curve do. Both are cumulative."""
    right = np.diff(hits, prepend=0)
    cells = np.stack([right, np.diff(documents, prepend=0) - right])  # (2, points)
    draws = np.random.default_rng(seed).multinomial(documents[-1], cells.ravel() / documents[-1], size=RESAMPLES)
    drawn = np.concatenate([cells[None], draws.reshape(-1, *cells.shape)])
    covered = drawn.sum(axis=1)
    accuracy = drawn[:, 0].cumsum(axis=1) / np.maximum(covered.cumsum(axis=1), 1)
    thinned, *resampled = (accuracy * covered).sum(axis=1) / documents[-1]
    return ConfidenceInterval.from_resamples(area, np.array(resampled) - thinned + area)


def prediction_confidence(
    predicted: NDArray[Any], probabilities: NDArray[Any], hierarchy: Hierarchy | None = None
) -> NDArray[np.float64]:
    """The probability of each prediction, float64 (documents,).

    Args:
        predicted: int codes of labels, or of nodes of the hierarchy (documents,).
        probabilities: calibrated, (documents, labels).
        hierarchy: of the labels; None if they have none.

    Returns:
        Numbers from 0 to 1.
    """
    if hierarchy is not None:
        return node_confidence(predicted, probabilities, hierarchy)
    return np.asarray(np.take_along_axis(probabilities, predicted[:, None], axis=1)[:, 0], dtype=np.float64)
