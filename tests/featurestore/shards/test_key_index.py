"""An index that grows shard by shard is the one that is made of all shards at once."""

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.shards.keys import KeyIndex, KeyList

NUMBERS = st.lists(st.integers(0, 20), max_size=8, unique=True)
SHARDS = st.dictionaries(st.text("abc", min_size=1, max_size=3), NUMBERS, max_size=8)


def keys_of(numbers: list[int]) -> KeyList:
    """Keys that differ only in their last bytes for some numbers, which the first bytes cannot tell apart."""
    return KeyList(np.array([bytes([number % 3] * 8) + bytes([255 - number] * 24) for number in numbers], "S32"))


@given(SHARDS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_an_index_that_grows_is_that_of_all_shards(shards: dict[str, list[int]], random: Random) -> None:
    names = sorted(shards)
    whole = KeyIndex((keys_of(shards[name]).array for name in names), names)
    order = list(names)
    random.shuffle(order)
    grown = KeyIndex((), ())
    for name in order:
        grown = grown.extended({name: keys_of(shards[name]).array})
    known = keys_of(sorted({number for numbers in shards.values() for number in numbers}))
    everything = keys_of(list(range(25)))
    first = {
        number: (place, row)
        for place, name in reversed(list(enumerate(names)))
        for row, number in enumerate(shards[name])
    }
    for index in (whole, grown):
        assert len(index) == len(known)
        assert sorted(index) == sorted(known)
        assert index.contains(everything).tolist() == [key in set(known) for key in everything]
        shard, row = index.locate(known)
        assert list(zip(shard.tolist(), row.tolist(), strict=True)) == [first[number] for number in sorted(first)]
        rows = index.rows_by_shard()
        assert [each.tolist() for each in rows] == [
            [row for row, number in enumerate(shards[name]) if first[number] == (place, row)]
            for place, name in enumerate(names)
        ]


def test_the_first_rows_of_keys_that_begin_alike_are_those_of_whole_keys() -> None:
    numbers = [3, 0, 3, 6, 0, 1]
    assert keys_of(numbers).first_rows().tolist() == [0, 1, 3, 5]


def test_a_long_run_is_not_merged_with_short_ones() -> None:
    index = KeyIndex([np.array([bytes([number]) * 32 for number in range(100)], "S32")], ["a"])
    grown = index.extended({"b": keys_of([200, 201]).array})
    assert [len(run.keys) for run in grown._runs] == [100, 2]
    assert grown._runs[0] is index._runs[0]
