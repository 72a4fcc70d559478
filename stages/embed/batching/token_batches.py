"""Splits windows into batches: little padding, few batches, none above the token budget."""

from collections.abc import Iterator

import numpy as np

from stages.embed.windows.window_arrays import Integers

# the fixed cost of a batch as a share of the budget: measured with a small encoder on a CPU, and with a full-size one
# on a GPU, for which the CPU takes 12 ms to launch the work of a batch
CPU_BATCH_COST = 1 / 64
GPU_BATCH_COST = 1 / 8


def split_into_batches(positions: Integers, budget: int, cost: float = CPU_BATCH_COST) -> Iterator[Integers]:
    """Split windows into batches, longest first, each of at most `budget` positions with padding.

    A window that is longer than the budget is a batch of its own; a window without positions is in no batch.

    Args:
        positions: int64 (windows,), positions that the encoder reads of each window.
        budget: most positions per batch, padding included.
        cost: fixed cost per batch as a share of the budget.

    Returns:
        The rows of each batch, int64.
    """
    order = np.argsort(-positions, kind="stable")
    order = order[positions[order] > 0]
    for start, stop in split_into_bands(positions[order], budget, cost):
        most = max(budget // int(positions[order[start]]), 1)
        for first in range(start, stop, most):
            yield order[first : min(first + most, stop)]


def split_into_bands(lengths: Integers, budget: int, cost: float = CPU_BATCH_COST) -> list[tuple[int, int]]:
    """Split decreasing `lengths` into bands such that batches padded to the longest of their band cost least in total.

    A batch costs its positions and the fixed `cost`. This is the best of all splits between unequal lengths, found by
    dynamic programming from the shortest length on: when a length is reached, the cheapest split of all shorter ones is
    known.
    """
    longest, first = np.unique(-lengths, return_index=True)
    starts = np.append(first, len(lengths))
    cheapest = np.zeros(len(starts))
    stops = np.zeros(len(first), np.int64)
    for band in range(len(first) - 1, -1, -1):
        windows, length = starts[band + 1 :] - starts[band], -longest[band]
        batch_size = max(budget // length, 1)
        costs = windows * length - (-windows // batch_size) * (budget * cost) + cheapest[band + 1 :]
        best = int(costs.argmin())
        cheapest[band], stops[band] = costs[best], band + 1 + best
    return _bands_of_best_split(stops, starts)


def _bands_of_best_split(stops: Integers, starts: Integers) -> list[tuple[int, int]]:
    bands, band = [], 0
    while band < len(stops):
        bands.append((int(starts[band]), int(starts[stops[band]])))
        band = int(stops[band])
    return bands
