"""Batches of documents of alike length in random order: the one way in which an epoch is cut."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError

# a pool of this many batches is sorted by length: enough that padding is a few per cent, and still a good shuffle
POOL = 32


def shuffled_batches(length: NDArray[np.int64], size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Rows in batches, int64 of at most `size` each: every row once.

    Shuffle, sort by length within pools of some batches, shuffle the batches: documents meet others in each epoch, and
    padding stays small. What `rng` has drawn when this returns is all that it draws, however far the batches are read.

    Raises CallError for a size below 1.
    """
    if size < 1:
        raise CallError(f"A batch has 1 document at least, {size} were asked.")
    order = rng.permutation(len(length))
    pool = np.arange(len(order)) // (size * POOL)
    order = order[np.lexsort((length[order], pool))]
    return (order[start : start + size] for start in rng.permutation(np.arange(0, len(order), size)).tolist())
