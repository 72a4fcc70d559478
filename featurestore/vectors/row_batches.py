"""Random batches of documents of similar length, for one epoch of training."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError

# this many batches are sorted by length at a time: padding becomes a few percent, and the order stays random
SORTED_BATCHES = 32


def shuffled_batches(length: NDArray[np.int64], size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield every row once, in int64 batches of at most `size` rows of similar length.

    The rows are shuffled and sorted by length within groups of batches, then the batches are shuffled: each epoch has
    other batches, and padding stays small. `rng` draws everything before this returns, however many batches are read.

    Raises CallError for a size below 1.
    """
    if size < 1:
        raise CallError(f"A batch must have at least 1 document, got {size}.")
    order = rng.permutation(len(length))
    group = np.arange(len(order)) // (size * SORTED_BATCHES)
    order = order[np.lexsort((length[order], group))]
    return (order[start : start + size] for start in rng.permutation(np.arange(0, len(order), size)).tolist())
