"""Which documents an epoch reads: all once, or drawn so that rare labels come more often.

    instance      every document once
    square_root   a label's share of an epoch is sqrt(n_c) / sum of all sqrt(n_j), and its documents share that equally
    balanced      all labels come as often, also called class-aware: Kang et al. 2020, arXiv 1910.09217, eq. 1 with
                  q = 0 (instance is q = 1, square_root q = 1/2)
    progressive   from instance in the first epoch to balanced in the last (eq. 2 there)
    weighted      by the weights that the loss would have multiplied with, which it then leaves out: the same expected
                  gradient, so that weighing and drawing can be held against each other

Where a document may have several labels, its chance is the sum of those of its labels, and having none is a label too.

Each document comes as often as its chance says, rounded up or down (systematic sampling: equal steps through the
summed chances of documents in random order). Drawing each by itself would add noise and leave out a third of those
whose chance is one.
"""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["SamplerName", "drawn"]

SamplerName: TypeAlias = Literal["instance", "square_root", "balanced", "progressive", "weighted"]


def drawn(
    y: NDArray[Any],
    sampler: SamplerName,
    progress: float,
    rng: np.random.Generator,
    weight: NDArray[Any] | None = None,
    *,
    rank: int = 0,
    ranks: int = 1,
) -> NDArray[np.int64]:
    """Rows that an epoch reads, int64, as many as there are documents; of `ranks` processes, the share of one.

    y: int64 (documents,), each one's label, or bool (documents, labels). progress: 0 in the first epoch, 1 in the last.
    weight: (documents,), for `weighted`. All rows in order for `instance`, else in random order.

    Processes that draw with the same seed draw the same rows, and the one of `rank` takes each `ranks`-th of them: no
    word passes between them, and together they read what one process would have.
    """
    if sampler == "instance" or not len(y):
        return np.arange(len(y))[rank::ranks]
    if sampler == "weighted":
        return _systematic(np.ones(len(y)) if weight is None else weight, rng)[rank::ranks]
    return _systematic(chances(y, sampler, progress), rng)[rank::ranks]


def chances(y: NDArray[Any], sampler: SamplerName, progress: float) -> NDArray[np.float64]:
    """How often each document comes beside the others, float64 (documents,), sum 1."""
    has = y if y.ndim == 2 else np.arange(int(y.max()) + 1) == y[:, None]
    has = np.column_stack([has, ~has.any(axis=1)])
    counts = has.sum(axis=0)
    if sampler == "progressive":
        return np.asarray((1 - progress) / len(has) + progress * _by_power(has, counts, 0.0))
    return _by_power(has, counts, 0.5 if sampler == "square_root" else 0.0)


def _by_power(has: NDArray[Any], counts: NDArray[Any], power: float) -> NDArray[np.float64]:
    share = np.where(counts > 0, np.maximum(counts, 1) ** (power - 1), 0.0)
    chance = has @ share
    return np.asarray(chance / chance.sum())


def _systematic(chance: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    order = rng.permutation(len(chance))
    ends = np.cumsum(chance[order], dtype=np.float64)
    points = (np.arange(len(chance)) + rng.random()) / len(chance) * ends[-1]
    # rounding may leave the last point at the very end
    places = np.minimum(np.searchsorted(ends, points, side="right"), len(chance) - 1)
    return np.asarray(rng.permutation(order[places]))
