"""Windows to batches: little padding, few batches, none above the budget."""

from collections.abc import Iterator

import numpy as np

from stages.embed.windows.window_arrays import Integers

# what a batch costs beside its positions, as a share of the budget: measured with a small encoder on a CPU, and with a
# full-size one on a card, which the processor takes 12 ms to give a batch's work to
CPU_BATCH_COST = 1 / 64
GPU_BATCH_COST = 1 / 8


def batches(positions: Integers, budget: int, cost: float = CPU_BATCH_COST) -> Iterator[Integers]:
    """Rows of windows, longest first, cut so that a batch padded to its longest has at most `budget` positions.

    positions: int64 (windows,), what the encoder has to read of each. A window longer than the budget is a batch of its
    own; one without any position is in none. cost: of a batch beside its positions, as a share of the budget.
    """
    order = np.argsort(-positions, kind="stable")
    order = order[positions[order] > 0]
    for start, stop in bands(positions[order], budget, cost):
        most = max(budget // int(positions[order[start]]), 1)
        for first in range(start, stop, most):
            yield order[first : min(first + most, stop)]


def bands(lengths: Integers, budget: int, cost: float = CPU_BATCH_COST) -> list[tuple[int, int]]:
    """Where to cut falling `lengths`, so that batches padded to the longest of their band cost least together.

    A batch costs its positions and `cost`. The best of all cuts between unequal lengths, found from the shortest
    on: the cheapest way to cut what follows a length is known when the length's turn comes.
    """
    longest, first = np.unique(-lengths, return_index=True)
    starts = np.append(first, len(lengths))
    cheapest = np.zeros(len(starts))
    stops = np.zeros(len(first), np.int64)
    for band in range(len(first) - 1, -1, -1):
        windows, length = starts[band + 1 :] - starts[band], -longest[band]
        each = max(budget // length, 1)
        costs = windows * length - (-windows // each) * (budget * cost) + cheapest[band + 1 :]
        best = int(costs.argmin())
        cheapest[band], stops[band] = costs[best], band + 1 + best
    return _followed(stops, starts)


def _followed(stops: Integers, starts: Integers) -> list[tuple[int, int]]:
    cuts, band = [], 0
    while band < len(stops):
        cuts.append((int(starts[band]), int(starts[stops[band]])))
        band = int(stops[band])
    return cuts
