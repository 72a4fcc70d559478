"""The text behind token ids: what chunks share once, and nothing side by side that was not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.errors import BadData, UnknownName
from featurestore import Bags, ChunkLayout, ContiguousTokens, Ragged, Shard, shard_bytes
from stages.embed.windows.window_arrays import expand_ranges
from stages.embed.windows.windowing import WindowBounds, Windowing
from tests.featurestore.made import RECIPE, content

WAYS = st.sampled_from(["windows", "head-tail", "middle", "sentences"])


@st.composite
def cuttings(draw: st.DrawFn) -> Windowing:
    way, window = draw(WAYS), draw(st.integers(2, 20))
    stride = draw(st.integers(0, window - 1)) if way == "windows" else 0
    most = draw(st.none() | st.integers(1, 4)) if way in ("windows", "sentences") else None
    return Windowing(window, stride, most, way)


def kept(places: WindowBounds) -> Ragged:
    """Of each document the numbers of its tokens, as its chunks have them one behind the other."""
    rows = np.split(expand_ranges(places.first, places.length).astype(np.int32), np.cumsum(_lengths(places))[:-1])
    return Ragged.from_rows(rows)


def _lengths(places: WindowBounds) -> NDArray[np.int64]:
    return np.add.reduceat(places.length, np.cumsum(places.counts) - places.counts)


@settings(deadline=None)
@given(cuttings(), st.lists(st.integers(0, 90), min_size=1, max_size=6))
def test_each_token_of_a_chunk_is_there_once_and_neighbours_were_neighbours(
    windowing: Windowing, lengths: list[int]
) -> None:
    tokens = np.array(lengths, dtype=np.int64)
    ends = [np.arange(0, length, 7) for length in lengths]
    places = windowing.bounds(tokens, ends=ends)
    layout = ChunkLayout(windowing.window, windowing.stride, windowing.strategy == "head-tail")
    found = ContiguousTokens.from_chunks(kept(places), layout)
    chunk = np.repeat(np.arange(len(tokens)), places.counts)
    for document in range(len(tokens)):
        own = chunk == document
        expected = np.unique(expand_ranges(places.first[own], places.length[own]))
        assert found.ids[found.document == document].tolist() == expected.tolist()
    beside = found.passage[1:] == found.passage[:-1]
    assert (np.diff(found.ids)[beside] == 1).all()
    assert (np.diff(found.document)[beside] == 0).all()
    # a text of which all is kept is one passage, unless it just fits a window of two halves
    whole = places.covered_tokens == tokens
    if not layout.has_gap:
        assert all(len(np.unique(found.passage[found.document == row])) <= 1 for row in np.flatnonzero(whole))


def test_without_a_chunk_layout_a_documents_ids_are_its_text() -> None:
    ids = Ragged.from_rows([np.array([5, 6, 5], np.int32), np.array([], np.int32), np.array([7], np.int32)])
    found = Bags({"token_ids": ids}).contiguous_tokens()
    assert found.ids.tolist() == [5, 6, 5, 7]
    assert found.passage.tolist() == found.document.tolist() == [0, 0, 0, 2]


def test_bags_of_a_store_know_their_chunk_layout_and_keep_it() -> None:
    recipe = replace(RECIPE, window=2, stride=1)
    bags = Shard.of_bytes(shard_bytes(content(["a", "b"], recipe), recipe), recipe).bags()
    layout = ChunkLayout(window=2, stride=1, has_gap=False)
    assert (
        bags.chunk_layout
        == bags[[1, 0]].chunk_layout
        == bags.select_views("token_ids").chunk_layout
        == Bags.concatenate([bags, bags]).chunk_layout
        == layout
    )
    assert ChunkLayout.from_recipe(replace(recipe, stride=0, long="head-tail")).has_gap


def test_documents_of_different_chunk_layouts_cannot_be_concatenated() -> None:
    ids = Ragged.from_rows([np.array([5], np.int32)])
    with pytest.raises(
        BadData, match=r"^Documents that were split into chunks in different ways cannot be concatenated\.$"
    ):
        Bags.concatenate([Bags({"token_ids": ids}), Bags({"token_ids": ids}, ChunkLayout(8, 2, has_gap=False))])


def test_without_token_ids_there_are_no_passages() -> None:
    with pytest.raises(UnknownName, match="token_ids"):
        Bags.from_array(np.eye(2)).contiguous_tokens()
