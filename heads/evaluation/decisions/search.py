"""An exact search over all thresholds: how F1 changes as predictions flip one by one, and where it is highest."""

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts

MIN_DOCUMENTS = 4  # a label with fewer documents is not tuned: any of them may be an outlier
PRIOR_DOCUMENTS = (1000, 300, 100, 30, 10, 3, 0)  # weight of the common value, in documents, strongest shrinkage first
INSET = 0.1  # in logits: distance from the last flip if no further flip bounds the threshold


def f1_changes(
    labels: NDArray[np.int64], correct: NDArray[np.bool_], before: ConfusionCounts, sign: int
) -> NDArray[np.float64]:
    """The change of the sum of F1 over labels by each flip, if predictions flip one after the other.

    Args:
        labels: int64 (flips,), the label whose prediction each flip adds or removes, in the order of the flips.
        correct: bool (flips,), whether the document has that label.
        before: the counts before the first flip.
        sign: 1 if the flips add predictions, -1 if they remove them.

    Returns:
        float64 (flips,).
    """
    # a stable sort of 16-bit numbers takes linear time
    order = np.argsort(labels.astype(np.uint16) if len(before.support) <= 2**16 else labels, kind="stable")
    label, positives = labels[order], np.cumsum(correct[order])
    first = np.searchsorted(label, label)
    rank = np.arange(1, len(label) + 1) - first
    positives = positives - np.where(first > 0, positives[first - 1], 0)
    true_positives = before.true_positives[label] + sign * positives
    size = before.support[label] + before.predicted[label] + sign * rank
    f1 = 2 * true_positives / np.maximum(size, 1)
    previous_f1 = np.where(rank > 1, np.roll(f1, 1), before.f1[label])
    changes = np.empty(len(label))
    changes[order] = f1 - previous_f1
    return changes


def f1_changes_of_label(label: int, correct: NDArray[np.bool_], before: ConfusionCounts) -> NDArray[np.float64]:
    """`f1_changes` if all flips add predictions of one label.

    Args:
        label: the label.
        correct: bool (flips,), whether the document has it.
        before: the counts before the first flip.

    Returns:
        float64 (flips,).
    """
    true_positives = before.true_positives[label] + np.cumsum(correct)
    size = before.support[label] + before.predicted[label] + np.arange(1, len(correct) + 1)
    return np.diff(2 * true_positives / size, prepend=before.f1[label])


def best_threshold(flip_points: NDArray[np.float64], gains: NDArray[np.float64], default: float) -> float:
    """The value that flips exactly those predictions that raise the sum of F1 most.

    Args:
        flip_points: float64 (flips,), sorted; a value above flip_points[i] flips prediction i.
        gains: float64 (flips,), the change of the sum of F1 by each flip.
        default: the value to prefer among ties: `default` itself if it is one of them, else the nearest.

    Returns:
        The best value.
    """
    total = np.concatenate([[0.0], np.cumsum(gains)])
    low, high = np.concatenate([[-np.inf], flip_points]), np.concatenate([flip_points, [np.inf]])
    inset = np.minimum((high - low) / 4, INSET)
    values = np.clip(default, low + inset, high - inset)
    separable = high - low > 1e-9  # equal documents flip together
    best = separable & (total >= total[separable].max() - 1e-12)
    choices = values[best]
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
