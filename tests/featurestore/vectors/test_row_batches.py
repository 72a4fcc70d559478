"""An epoch's batches: each document once, little padding, and the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.errors import CallError, UnknownName
from featurestore import Bags, Ragged
from featurestore.vectors.row_batches import shuffled_batches

LENGTHS = st.lists(st.integers(0, 500), max_size=300)


def batches(length: NDArray[np.int64], size: int, seed: int = 0) -> list[NDArray[np.int64]]:
    return list(shuffled_batches(length, size, np.random.default_rng(seed)))


@given(LENGTHS, st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_an_epoch_has_each_document_once_in_batches_of_at_most_the_size(
    lengths: list[int], size: int, seed: int
) -> None:
    epoch = batches(np.array(lengths, dtype=np.int64), size, seed)
    assert sorted(row for rows in epoch for row in rows.tolist()) == list(range(len(lengths)))
    assert len(epoch) == -(-len(lengths) // size)
    assert all(rows.dtype == np.int64 and 0 < len(rows) <= size for rows in epoch)


def test_padding_of_batches_of_alike_length_is_small() -> None:
    length = np.random.default_rng(0).lognormal(2, 0.8, 10_000).astype(np.int64) + 1
    ways = batches(length, 32), list(np.arange(9_984).reshape(-1, 32))
    cost = [sum(len(rows) * int(length[rows].max()) for rows in way) for way in ways]
    assert cost[0] / int(length.sum()) < 1.2
    assert cost[1] / int(length.sum()) > 3


def test_batches_do_not_come_in_the_order_of_their_lengths() -> None:
    length = np.arange(32 * 20)
    longest = [int(length[rows].max()) for rows in batches(length, 20)]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


def test_documents_meet_others_in_the_next_epoch() -> None:
    rng, length = np.random.default_rng(0), np.full(64, 5)
    epochs = [{frozenset(rows.tolist()) for rows in shuffled_batches(length, 8, rng)} for _ in range(2)]
    assert not epochs[0] & epochs[1]


def test_documents_of_other_lengths_meet_others_in_the_next_epoch_too() -> None:
    rng, length = np.random.default_rng(0), np.arange(8 * 32 * 4)
    epochs = [{frozenset(rows.tolist()) for rows in shuffled_batches(length, 8, rng)} for _ in range(2)]
    assert not epochs[0] & epochs[1]


def test_an_epoch_draws_as_much_however_far_it_is_read() -> None:
    left, read = np.random.default_rng(0), np.random.default_rng(0)
    shuffled_batches(np.arange(50), 8, left)
    list(shuffled_batches(np.arange(50), 8, read))
    assert left.integers(2**60) == read.integers(2**60)


def test_a_batch_of_no_documents_is_refused() -> None:
    with pytest.raises(CallError, match=r"^A batch must have at least 1 document, got 0\.$"):
        shuffled_batches(np.arange(3), 0, np.random.default_rng(0))


def bags_of(lengths: list[int]) -> Bags:
    """With two items a document in `cls`, and as many segments as `lengths` says."""
    offsets = np.cumsum([0, *lengths])
    segments = Ragged.from_flat(np.zeros((offsets[-1], 3), np.float16), offsets)
    return Bags({"segments": segments, "cls": Ragged.from_flat(np.zeros((len(lengths), 3)), range(len(lengths) + 1))})


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_batches_of_bags_cover_each_document_once(lengths: list[int], size: int) -> None:
    rows = list(bags_of(lengths).batches(size, by="segments", rng=0))
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(lengths)))


def test_bags_are_batched_by_the_lengths_of_the_view_that_is_named() -> None:
    bags = bags_of([9, 1] * 32)
    for rows in bags.batches(8, by="segments", rng=0):
        assert len({int(length) for length in bags.view("segments").length[rows]}) == 1
    assert any(len({row % 2 for row in rows.tolist()}) == 2 for rows in bags.batches(8, by="cls", rng=0))


def test_a_seed_gives_the_same_batches_and_a_generator_continues() -> None:
    bags, rng = bags_of([3] * 40), np.random.default_rng(7)
    first, again = ([rows.tolist() for rows in bags.batches(8, by="cls", rng=7)] for _ in range(2))
    epochs = [[rows.tolist() for rows in bags.batches(8, by="cls", rng=rng)] for _ in range(2)]
    assert first == again == epochs[0] != epochs[1]


def test_batches_by_a_view_that_is_not_there_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"^These features have no 'segment'\. Did you mean 'segments'\?$"):
        bags_of([1]).batches(8, by="segment", rng=0)
