"""A selection gives each dataset of its documents as it was kept, in any order and in blocks of any size."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore import FeatureStore, text_key
from featurestore.shards.selection import OFFSET_NAMES, Selection
from tests.featurestore.made import ALL_KEPT, NAMED, content, rows_of
from tests.featurestore.stores import drawn, each_number_type


def assert_holds(selection: Selection, store: FeatureStore) -> None:
    """That the views of Bags can be made of its datasets."""
    place = store.recipe.layers.index(layer := min(store.recipe.layers))
    bags = store.bags(selection.hex_keys(), layer=layer)
    for view in store.recipe.keep:
        values = selection.values(NAMED[view])
        values = values[:, place] if len(store.recipe.layers) > 1 else values
        kept, ragged = selection.item_type(NAMED[view])[0], bags.view(view)
        assert values.dtype == kept
        if selection.bfloat16(NAMED[view]):
            values = (values.astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_array_equal(values, ragged.gather()[0])
        np.testing.assert_array_equal(selection.lengths(NAMED[view]), ragged.length)
    values, offsets = bags.view("token_ids").gather()
    np.testing.assert_array_equal(selection.values("tokens/id"), values)
    np.testing.assert_array_equal(selection.values("documents/token_offsets"), offsets)


@each_number_type
@settings(deadline=None, max_examples=20)
@given(st.data())
def test_any_documents_are_selected_as_bags_have_them(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, data: st.DataObject
) -> None:
    store = drawn(data, dtype, tmp_path_factory)
    if not len(store.keys):
        assert len(store.select()) == 0
        return
    everything = store.select()
    assert sorted(everything.hex_keys()) == sorted(store.keys)
    assert_holds(everything, store)
    asked = data.draw(st.lists(st.sampled_from(sorted(store.keys)), max_size=9))
    assert store.select(asked).hex_keys() == asked
    assert_holds(store.select(asked), store)


@settings(deadline=None, max_examples=30)
@given(st.data(), st.integers(1, 400))
def test_blocks_and_shards_are_the_documents_in_turn(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, most: int
) -> None:
    everything = drawn(data, "float16", tmp_path_factory).select()
    for pieces in (list(everything.blocks(most)), list(everything.by_shard())):
        assert [key for piece in pieces for key in piece.hex_keys()] == everything.hex_keys()
        for name in set(everything.names) - OFFSET_NAMES:
            np.testing.assert_array_equal(
                np.concatenate([piece.values(name) for piece in pieces]), everything.values(name)
            )
    assert all(len(piece.shards) == 1 for piece in everything.by_shard())


def test_blocks_are_about_as_large_as_requested(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "store", ALL_KEPT)
    for seed in range(3):
        store.commit(content([f"{seed} {row}" for row in range(100)], ALL_KEPT, seed=seed))
    blocks = list(store.select().blocks(2000))
    sizes = [sum(block.values(name).nbytes for name in set(block.names) - OFFSET_NAMES) for block in blocks]
    largest = 40 + 3 * (3 * 8 + 16) + 3 * 8 + 3 * 12  # of one document: three chunks, segments and tokens
    assert max(sizes) < 2000 + largest and min(sizes[:-1]) > 2000 - largest


def test_a_whole_shard_is_mapped_and_a_part_is_copied(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "store", ALL_KEPT)
    store.commit(made := content(["one", "two", "three"], ALL_KEPT))
    whole = store.select()
    assert whole.is_whole_shard and not whole.values("chunks/cls").flags.owndata
    assert not whole[1:].is_whole_shard
    np.testing.assert_array_equal(whole[1:].values("chunks/cls"), np.concatenate(rows_of(made, "cls")[1:]))
    turned = store.select([text_key(text) for text in ("three", "two", "one")])
    assert not turned.is_whole_shard and turned.values("documents/chunk_offsets")[0] == 0
