from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.embed.batching.token_batches import bands, batches

LENGTHS = st.lists(st.integers(0, 40), max_size=30)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 100))
def test_every_window_with_a_position_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    positions = np.array(lengths, dtype=np.int64)
    found = [rows.tolist() for rows in batches(positions, budget)]
    assert sorted(row for rows in found for row in rows) == [row for row, length in enumerate(lengths) if length]
    assert all(len(rows) == 1 or len(rows) * positions[rows].max() <= budget for rows in found)
    longest = [positions[rows[0]] for rows in found]
    assert longest == sorted(longest, reverse=True)


def cost(lengths: list[int], cuts: tuple[int, ...], budget: int) -> float:
    total = 0.0
    for start, stop in zip((0, *cuts), (*cuts, len(lengths)), strict=True):
        each = max(budget // lengths[start], 1)
        total += (stop - start) * lengths[start] + -(-(stop - start) // each) * budget / 64
    return total


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.integers(1, 200))
def test_no_other_cut_between_unequal_lengths_costs_less(lengths: list[int], budget: int) -> None:
    lengths = sorted(lengths, reverse=True)
    cuts = tuple(start for start, _ in bands(np.array(lengths), budget)[1:])
    places = [row for row in range(1, len(lengths)) if lengths[row] != lengths[row - 1]]
    every = (some for count in range(len(places) + 1) for some in combinations(places, count))
    assert cost(lengths, cuts, budget) <= min(cost(lengths, some, budget) for some in every) + 1e-9


def test_a_few_texts_of_unlike_lengths_are_not_padded_to_the_longest() -> None:
    positions = np.array([250, 20, 249, 21, 20, 250])
    assert [rows.tolist() for rows in batches(positions, 4096)] == [[0, 5, 2], [3, 1, 4]]


def test_many_windows_of_one_length_fill_their_batches() -> None:
    assert [len(rows) for rows in batches(np.full(100, 100), 1000)] == [10] * 10
