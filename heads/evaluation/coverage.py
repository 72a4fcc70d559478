"""hF1 against coverage: how good predictions are if only the most confident ones are used (selective prediction).

El-Yaniv and Wiener 2010, On the foundations of noise-free selective classification (JMLR 11), for the accuracy of flat
labels. The confidence in a predicted node is its probability, the sum over the labels at and below it. The confidence
in several labels is the F1 that their probabilities promise: 2 * sum over predicted labels of p / (number of predicted
labels + sum over all labels of p).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from heads.evaluation.confusion_counts import check_labels
from heads.evaluation.document_measures import measure_documents

__all__ = ["CoverageCurve", "coverage_curve", "node_confidence"]

FloatArray = NDArray[np.float64]
MAX_POINTS = 200


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """Points from few documents to all, float64 (points,) each.

    coverage: the share of documents that are covered, those with the highest confidence.
    hf1: hF1 (micro) of these documents.
    confidence: the lowest confidence among them, which is the threshold to use.
    area: the mean of hF1 over all coverages, from one document to all.
    """

    coverage: FloatArray
    hf1: FloatArray
    confidence: FloatArray
    area: float

    def hf1_at(self, coverage: float) -> float:
        """hF1 of the most confident documents: of at least this share of them, as few as the curve has a point for."""
        return float(self.hf1[min(int(np.searchsorted(self.coverage, coverage)), len(self.hf1) - 1)])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        arrays = {"coverage": self.coverage, "hf1": self.hf1, "confidence": self.confidence}
        return {**{name: values.tolist() for name, values in arrays.items()}, "area": self.area}


def coverage_curve(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    probabilities: NDArray[Any],
    hierarchy: Hierarchy,
    max_points: int = MAX_POINTS,
) -> CoverageCurve:
    """Compute hF1 of the most confident documents, for each number of them.

    Documents with equal confidence are covered together.

    Args:
        truth: int codes (documents,), or bool (documents, labels).
        predicted: the same, or codes of nodes; of at least one document.
        probabilities: (documents, labels).
        hierarchy: of the labels.
        max_points: the curve is thinned to this number of points, spread evenly over coverage.

    Returns:
        The curve.

    Raises:
        ValueError: the arrays do not match, or a code is not a node.
    """
    check_labels(truth, predicted, hierarchy.labels, hierarchy)
    measures = measure_documents(truth, predicted, hierarchy)
    confidence = node_confidence(predicted, probabilities, hierarchy)
    order = np.argsort(-confidence, kind="stable")
    confidence, documents = confidence[order], np.arange(1, len(order) + 1)
    ends = np.flatnonzero(np.append(confidence[1:] < confidence[:-1], True))  # the last of equally confident documents
    shared, sizes = (
        np.cumsum(values[order])[ends]
        for values in (measures["shared_nodes"], measures["predicted_nodes"] + measures["true_nodes"])
    )
    coverage, hf1 = documents[ends] / len(order), 2 * shared / np.maximum(sizes, 1)
    area = float(hf1 @ np.diff(coverage, prepend=0.0))
    kept = np.unique(np.searchsorted(coverage, np.linspace(coverage[0], 1, max_points)).clip(max=len(ends) - 1))
    return CoverageCurve(coverage[kept], hf1[kept], confidence[ends[kept]], area)


def node_confidence(predicted: NDArray[Any], probabilities: NDArray[Any], hierarchy: Hierarchy) -> FloatArray:
    """The confidence in each prediction, float64 (documents,).

    Args:
        predicted: int codes of nodes (documents,), or bool (documents, labels).
        probabilities: (documents, labels).
        hierarchy: of the labels.

    Returns:
        Numbers from 0 to 1.
    """
    exact = np.nan_to_num(probabilities.astype(np.float64), nan=0.0)
    if predicted.ndim == 2:
        promised = np.where(predicted, exact, 0.0).sum(axis=1)
        sizes = np.count_nonzero(predicted, axis=1) + exact.sum(axis=1)
        return np.asarray(2 * promised / np.where(sizes > 0, sizes, 1))
    below = hierarchy.closure[: hierarchy.labels].T.tocsr()
    confidence = np.zeros(len(predicted))  # of a document without a predicted node
    for node in np.unique(predicted[predicted >= 0]).tolist():
        rows = np.flatnonzero(predicted == node)
        labels = below.indices[below.indptr[node] : below.indptr[node + 1]]
        confidence[rows] = exact[np.ix_(rows, labels)].sum(axis=1)
    return confidence
