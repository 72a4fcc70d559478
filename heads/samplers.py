"""Which documents an epoch reads: all once, or drawn so that rare labels come more often.

A label's share of an epoch is n_c^q / sum of all n_j^q, and its documents share that equally (Kang et al. 2020, arXiv
1910.09217, eq. 1): with q = 1 each document comes as it is (`instance`), with 1/2 by the `square_root`, with 0 all
labels come as often (`balanced`, also called class-aware). `progressive` goes from the first to the last from epoch to
epoch (eq. 2).
"""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["SamplerName", "drawn"]

SamplerName: TypeAlias = Literal["instance", "square_root", "balanced", "progressive"]


def drawn(y: NDArray[np.int64], sampler: SamplerName, progress: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows that an epoch reads, int64 (documents,), as many as there are documents.

    y: int64 (documents,), each one's label. progress: 0 in the first epoch, 1 in the last. All rows once, in order, for
    `instance`; else drawn with replacement.
    """
    if sampler == "instance":
        return np.arange(len(y))
    counts = np.bincount(y)
    instance, balanced = counts / counts.sum(), (counts > 0) / (counts > 0).sum()
    if sampler == "square_root":
        share = np.sqrt(counts) / np.sqrt(counts).sum()
    else:
        share = balanced if sampler == "balanced" else (1 - progress) * instance + progress * balanced
    chance: NDArray[Any] = (share / np.maximum(counts, 1))[y]
    return rng.choice(len(y), size=len(y), p=chance / chance.sum())
