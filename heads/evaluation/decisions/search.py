"""Every threshold at once: how F1 runs when predictions flip one after the other, and where to stop."""

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts

MIN_DOCUMENTS = 4  # documents; a label with fewer is not tuned, as any of them may be the odd one
PRIOR_DOCUMENTS = (1000, 300, 100, 30, 10, 3, 0)  # documents that the common value is worth, from rigid to free
INSET = 0.1  # in logits: how far behind the last flip a free end of the scale is taken


def f1_changes(
    labels: NDArray[np.int64], right: NDArray[np.bool_], before: ConfusionCounts, sign: int
) -> NDArray[np.float64]:
    """What each flip, in turn, changes in the sum of F1: float64 (flips,).

    labels: whose prediction a flip adds (sign 1) or takes away (-1), in the order of the flips. right: whether the
    document has that label. before: the counts when nothing has flipped.
    """
    order = np.argsort(labels, kind="stable")
    label, hit = labels[order], np.cumsum(right[order])
    first = np.searchsorted(label, label)
    rank = np.arange(1, len(label) + 1) - first
    hit = hit - np.where(first > 0, hit[first - 1], 0)
    hits = before.hits[label] + sign * hit
    size = before.support[label] + before.predicted[label] + sign * rank
    after = 2 * hits / np.maximum(size, 1)
    earlier = np.where(rank > 1, np.roll(after, 1), before.f1[label])
    changes = np.empty(len(label))
    changes[order] = after - earlier
    return changes


def best_threshold(at: NDArray[np.float64], gains: NDArray[np.float64], home: float) -> float:
    """The value that flips just those that raise the sum of F1 most.

    at: sorted; a value above at[i] flips i. gains: float64 (flips,), what each changes. Among equals the one nearest
    to `home` is taken, and `home` itself where it is one: what the data do not ask for is not done.
    """
    total = np.concatenate([[0.0], np.cumsum(gains)])
    low, high = np.concatenate([[-np.inf], at]), np.concatenate([at, [np.inf]])
    inset = np.minimum((high - low) / 4, INSET)
    place = np.clip(home, low + inset, high - inset)
    open_ = high - low > 1e-9  # equal documents flip together
    best = open_ & (total >= total[open_].max() - 1e-12)
    choices = place[best]
    return float(choices[np.argmin(np.abs(choices - home))])


def shrink_to_common(
    free: NDArray[np.float64], common: NDArray[np.float64], documents: NDArray[np.int64]
) -> list[tuple[float, ...]]:
    """`free` values pulled to the `common` ones by each prior in turn: the fewer documents, the more."""
    shares = [documents / np.maximum(documents + prior, 1) for prior in PRIOR_DOCUMENTS]
    return [tuple((common + share * (free - common)).tolist()) for share in shares]
