"""An exact search over all thresholds, as predictions flip one by one; and how values of rare labels are shrunk."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.score_matrix import row_blocks

MIN_DOCUMENTS = 4  # a label with fewer documents is not tuned: any of them may be an outlier
PRIOR_DOCUMENTS = (1000, 300, 100, 30, 10, 3, 0)  # weight of the common value, in documents, strongest shrinkage first
INSET = 0.1  # in logits: distance from the last flip if no further flip bounds the threshold


def best_threshold(flip_points: NDArray[np.float64], gains: NDArray[np.float64], default: float) -> float:
    """The value that flips exactly those predictions that raise a metric most.

    Args:
        flip_points: float64 (flips,), sorted; a value above flip_points[i] flips prediction i.
        gains: float64 (flips,), the change of the metric by each flip; -inf for a flip that must not happen.
        default: the value to prefer among ties: `default` itself if it is one of them, else the nearest.

    Returns:
        The best value.
    """
    total = np.concatenate([[0.0], np.cumsum(gains)])
    low, high = np.concatenate([[-np.inf], flip_points]), np.concatenate([flip_points, [np.inf]])
    separable = high - low > 1e-9  # equal documents flip together
    best = np.flatnonzero(separable & (total >= total[separable].max() - 1e-12))
    low, high = low[best], high[best]
    inset = np.minimum((high - low) / 4, INSET)
    choices = np.clip(default, low + inset, high - inset)
    return float(choices[np.argmin(np.abs(choices - default))])


def shrink_to_common(
    flexible: NDArray[np.float64], common: NDArray[np.float64], documents: NDArray[np.int64]
) -> list[tuple[float, ...]]:
    """Shrink per-label values to the common ones: the fewer documents a label has, the more.

    Args:
        flexible: float64 (labels,), each label's own value.
        common: float64 (labels,), the common values.
        documents: int64 (labels,), documents of each label.

    Returns:
        One tuple of values per entry of PRIOR_DOCUMENTS, strongest shrinkage first.
    """
    shares = [documents / np.maximum(documents + prior, 1) for prior in PRIOR_DOCUMENTS]
    return [tuple((common + share * (flexible - common)).tolist()) for share in shares]


def best_columns(
    scores: NDArray[np.floating[Any]], offsets: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The column of each row with the highest sum of score and offset, the first among ties, and that sum.

    Args:
        scores: (documents, labels).
        offsets: float64 (labels,).

    Returns:
        int64 (documents,) and float64 (documents,).
    """
    columns, highest = np.empty(len(scores), dtype=np.int64), np.empty(len(scores))
    for rows in row_blocks(scores.shape):
        adjusted = scores[rows] + offsets
        columns[rows] = adjusted.argmax(axis=1)
        highest[rows] = np.take_along_axis(adjusted, columns[rows, None], axis=1)[:, 0]
    return columns, highest


def sort_labels(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """A stable order of label codes below `count`; a stable sort of 16-bit numbers takes linear time."""
    return np.argsort(labels.astype(np.uint16) if count <= 2**16 else labels, kind="stable")


def cumulate(
    keys: NDArray[np.int64], changes: NDArray[Any], initial: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The counts of keys before each of many changes.

    Args:
        keys: int64 (changes,), whose count each change is of, sorted; equal keys in the order of the changes.
        changes: (changes,).
        initial: (keys,), the counts before all changes.

    Returns:
        The count of the key before each change, (changes,), and the first change of each key that occurs.
    """
    total = np.cumsum(changes) - changes
    starts = np.flatnonzero(np.concatenate([[len(keys) > 0], keys[1:] != keys[:-1]]))
    sizes = np.concatenate([starts[1:], [len(keys)]]) - starts
    return total + np.repeat(initial[keys[starts]] - total[starts], sizes), starts
