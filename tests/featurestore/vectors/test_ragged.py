"""Ragged rows against a list of arrays: whatever the parts, types and lengths."""

import pickle
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.errors import BadData
from featurestore import Ragged
from featurestore.vectors import ragged
from tests.featurestore.made import as_float32


@dataclass(frozen=True)
class Pair:
    """Rows as they were put in, in the kept type, and the Ragged that must equal them."""

    kept: list[NDArray[Any]]
    ragged: Ragged

    @property
    def rows(self) -> list[NDArray[Any]]:
        return [each if self.ragged.dtype.kind == "i" else as_float32(each) for each in self.kept]

    def joined(self) -> NDArray[Any]:
        return np.concatenate([*self.rows, np.zeros((0, *self.ragged.item_shape), self.rows[0].dtype)])


@st.composite
def pairs(draw: st.DrawFn, dtype: str | None = None, dim: int | None = None) -> Pair:
    """Up to 5 parts of up to 6 rows of up to 4 items, in any order; some parts are one layer of several."""
    dtype = dtype or draw(st.sampled_from(["float16", "float32", "bfloat16", "int32"]))
    dim = dim or draw(st.integers(1, 5))
    item = () if dtype == "int32" else (dim,)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parts, kept = [], []
    for lengths in draw(st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=5)):
        layered = draw(st.booleans()) and dtype != "int32"
        shape = (sum(lengths), *((2,) if layered else ()), *item)
        values = rng.integers(-99, 99, shape).astype(np.uint16 if dtype == "bfloat16" else dtype)
        values = values[:, 1] if layered else values
        offsets = np.r_[0, np.cumsum(lengths)].astype(np.int64)
        parts.append(Ragged.from_flat(values, offsets, bfloat16=dtype == "bfloat16"))
        kept += np.split(values, offsets[1:-1]) if lengths else []
    order = rng.permutation(len(kept)) if draw(st.booleans()) else np.arange(len(kept))
    if not kept:
        kept, order = [np.zeros((0, *item), parts[0].arrays[0].dtype)], np.zeros(0, int)
        return Pair(kept, Ragged.concatenate([*parts, Ragged.from_rows(kept) if dtype != "bfloat16" else parts[0]]))
    return Pair([kept[row] for row in order], Ragged.concatenate(parts)[order])


def same(ragged: Ragged, rows: list[NDArray[Any]]) -> None:
    assert len(ragged) == len(rows)
    values, offsets = ragged.gather()
    assert offsets.dtype == np.int64 and np.diff(offsets).tolist() == list(map(len, rows))
    for row, (start, stop) in enumerate(pairwise(offsets)):
        np.testing.assert_array_equal(values[start:stop], rows[row])
        np.testing.assert_array_equal(ragged.row(row), rows[row])


@settings(deadline=None)
@given(pairs())
def test_gather_gives_the_rows_one_after_the_other(pair: Pair) -> None:
    if len(pair.ragged) == len(pair.kept):
        same(pair.ragged, pair.rows)
        assert pair.ragged.gather()[0].dtype == (np.int32 if pair.ragged.dtype.kind == "i" else np.float32)


@settings(deadline=None)
@given(pairs(), st.integers(1, 40), st.integers(1, 40))
def test_rows_are_the_same_whatever_is_copied_or_put_in_order_at_a_time(pair: Pair, piece: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ragged, "_PIECE", piece)
        patched.setattr(ragged, "_BLOCK", block)
        same(pair.ragged, pair.rows[: len(pair.ragged)])


@settings(deadline=None)
@given(pairs(), st.data())
def test_any_index_takes_the_rows_that_a_list_would_give(pair: Pair, data: st.DataObject) -> None:
    rows = pair.rows[: len(pair.ragged)]
    numbers = data.draw(st.lists(st.integers(-len(rows), len(rows) - 1), max_size=12)) if rows else []
    same(pair.ragged[numbers], [rows[row] for row in numbers])
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), dtype=bool)
    same(pair.ragged[mask], [row for row, taken in zip(rows, mask, strict=True) if taken])
    cut = data.draw(st.slices(len(rows)))
    same(pair.ragged[cut], rows[cut])


@settings(deadline=None)
@given(pairs())
def test_padded_rows_end_in_zeros(pair: Pair) -> None:
    rows = pair.rows[: len(pair.ragged)]
    values, lengths = pair.ragged.padded()
    assert lengths.tolist() == list(map(len, rows))
    assert values.shape == (len(rows), max(map(len, rows), default=0), *pair.ragged.item_shape)
    for row, each in enumerate(rows):
        np.testing.assert_array_equal(values[row, : len(each)], each)
        assert not values[row, len(each) :].any()


@settings(deadline=None)
@given(st.lists(pairs(dtype="float16", dim=3), min_size=1, max_size=4))
def test_concatenated_rows_are_in_order(multilabel: list[Pair]) -> None:
    rows = [row for pair in multilabel for row in pair.rows[: len(pair.ragged)]]
    same(Ragged.concatenate([pair.ragged for pair in multilabel]), rows)


@settings(deadline=None)
@given(pairs())
def test_a_pickled_ragged_has_the_same_rows(pair: Pair) -> None:
    same(pickle.loads(pickle.dumps(pair.ragged)), pair.rows[: len(pair.ragged)])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32])
def test_gathering_in_the_kept_type_changes_no_bit(dtype: type) -> None:
    values: NDArray[Any] = np.arange(24).reshape(8, 3).astype(dtype)
    ragged = Ragged.from_flat(values, [0, 3, 3, 8])
    gathered, _ = ragged[[2, 0]].gather(ragged.dtype)
    assert gathered.dtype == dtype and gathered.tobytes() == values[[3, 4, 5, 6, 7, 0, 1, 2]].tobytes()


def test_every_float16_becomes_its_float32() -> None:
    every: NDArray[np.float16] = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    ragged = Ragged.from_flat(every, [0, 1 << 16])
    np.testing.assert_array_equal(ragged.gather()[0], [float(each) for each in every])


def test_every_bfloat16_becomes_its_float32() -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    values, _ = Ragged.from_flat(every, [0, 1 << 16], bfloat16=True).gather()
    np.testing.assert_array_equal(values, as_float32(every))
    assert values[0x3F80] == 1.0 and values[0xC040] == -3.0  # sign 1, exponent 1, fraction 1.5


def test_gathered_values_are_a_copy_that_can_be_written_to() -> None:
    values = np.ones((4, 2), np.float32)
    values.flags.writeable = False
    for rows in (slice(None), [1, 0]):
        gathered, _ = Ragged.from_flat(values, [0, 1, 4])[rows].gather()
        gathered[:] = 0
    assert values.all()


def test_rows_in_another_order_between_the_first_and_the_last_are_gathered_in_it() -> None:
    ragged = Ragged.from_flat(np.arange(7), [0, 1, 3, 6, 7])
    assert ragged[[0, 2, 1, 3]].gather()[0].tolist() == [0, 3, 4, 5, 1, 2, 6]


def test_one_row_is_a_ragged_of_one_row() -> None:
    ragged = Ragged.from_flat(np.arange(6), [0, 2, 6])
    assert len(ragged[-1]) == 1 and ragged[np.int64(1)].row(0).tolist() == [2, 3, 4, 5]
    with pytest.raises(IndexError):
        ragged[2]


@pytest.mark.parametrize("offsets", [[], [1, 4], [0, 3], [0, 5], [0, 3, 2, 4], [0, -1, 4], [[0, 4]]])
def test_offsets_that_do_not_fit_the_items_are_refused(offsets: list[Any]) -> None:
    with pytest.raises(BadData, match=r"^Offsets must rise from 0 to 4, the number of items\.$"):
        Ragged.from_flat(np.zeros(4), offsets)


def test_rows_of_unlike_items_cannot_be_one() -> None:
    narrow, wide = (Ragged.from_flat(np.zeros((1, dim), np.float16), [0, 1]) for dim in (3, 4))
    with pytest.raises(
        BadData, match=r"^Rows of 3 float16 numbers and rows of 4 float16 numbers cannot be concatenated\.$"
    ):
        Ragged.concatenate([narrow, wide])


def test_an_array_that_several_share_is_listed_once() -> None:
    ragged = Ragged.from_flat(np.arange(4), [0, 2, 4])
    assert len(Ragged.concatenate([ragged[[1]], ragged, ragged[[0]]]).arrays) == 1
