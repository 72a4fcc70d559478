from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.embed.batching.token_batches import split_into_bands, split_into_batches

LENGTHS = st.lists(st.integers(0, 40), max_size=30)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 100))
def test_every_window_with_a_position_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    positions = np.array(lengths, dtype=np.int64)
    batches = [rows.tolist() for rows in split_into_batches(positions, budget)]
    assert sorted(row for rows in batches for row in rows) == [row for row, length in enumerate(lengths) if length]
    assert all(len(rows) == 1 or len(rows) * positions[rows].max() <= budget for rows in batches)
    longest = [positions[rows[0]] for rows in batches]
    assert longest == sorted(longest, reverse=True)


def cost(lengths: list[int], cuts: tuple[int, ...], budget: int) -> float:
    total = 0.0
    for start, stop in zip((0, *cuts), (*cuts, len(lengths)), strict=True):
        batch_size = max(budget // lengths[start], 1)
        total += (stop - start) * lengths[start] + -(-(stop - start) // batch_size) * budget / 64
    return total


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.integers(1, 200))
def test_no_other_cut_between_unequal_lengths_costs_less(lengths: list[int], budget: int) -> None:
    lengths = sorted(lengths, reverse=True)
    cuts = tuple(start for start, _ in split_into_bands(np.array(lengths), budget)[1:])
    places = [row for row in range(1, len(lengths)) if lengths[row] != lengths[row - 1]]
    splits = (split for count in range(len(places) + 1) for split in combinations(places, count))
    assert cost(lengths, cuts, budget) <= min(cost(lengths, split, budget) for split in splits) + 1e-9


def test_a_few_texts_of_unlike_lengths_are_not_padded_to_the_longest() -> None:
    positions = np.array([250, 20, 249, 21, 20, 250])
    assert [rows.tolist() for rows in split_into_batches(positions, 4096)] == [[0, 5, 2], [3, 1, 4]]


def test_many_windows_of_one_length_fill_their_batches() -> None:
    assert [len(rows) for rows in split_into_batches(np.full(100, 100), 1000)] == [10] * 10
