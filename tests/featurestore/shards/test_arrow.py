"""Arrow tables: the documents of Bags in columns of lists, mapped where nothing has to be converted."""

import pickle
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import BadData, ExtraMissing
from featurestore import FeatureStore, text_key
from featurestore.shards import arrow, mapped
from featurestore.vectors.ragged import as_array
from tests.featurestore.made import ALL_KEPT, RECIPE, content
from tests.featurestore.stores import drawn, each_number_type


def assert_columns(table: Any, store: FeatureStore) -> None:
    """That the table's columns are the views of its keys' Bags."""
    keys, layers = table["key"].to_pylist(), store.recipe.layers
    views = [*store.recipe.keep, "token_ids"]
    named = {(view, layer): f"{view}_layer_{layer}" for layer in layers for view in store.recipe.keep}
    if len(layers) == 1:
        named = {(view, layers[0]): view for view in views}
    assert set(table.column_names) == {"key", "token_ids", *named.values()}
    for (view, layer), name in named.items() if keys else ():
        ragged = store.bags(keys, layer=layer).view(view)
        for row, each in enumerate(table[name]):
            assert each.as_py() == ragged.row(row).tolist()


@each_number_type
@settings(deadline=None, max_examples=20)
@given(st.data())
def test_a_table_has_every_document_once_as_bags_have_it(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, data: st.DataObject
) -> None:
    store = drawn(data, dtype, tmp_path_factory)
    table = store.to_arrow()
    assert sorted(table["key"].to_pylist()) == sorted(store.keys)
    assert_columns(table, store)
    if store.shards():
        asked = [*store.keys][::-2]
        turned = store.to_arrow(asked)
        assert turned["key"].to_pylist() == asked
        assert_columns(turned, store)
    assert table.schema.metadata[b"recipe"].decode() in (store.folder / "recipe.json").read_text()


def addresses(table: Any, store: FeatureStore, column: str, dataset: str) -> list[tuple[int, int]]:
    """Of each shard, where the numbers of a column lie in memory, and where the shard's map has them."""
    chunks = table[column].chunks
    lists = [chunk.values.flatten() if column != "token_ids" else chunk.values for chunk in chunks]
    parts = [as_array(shard.arrays[dataset]) for shard in store.shards()]
    return [(one.buffers()[1].address, part.ctypes.data) for one, part in zip(lists, parts, strict=True)]


def two_shards(folder: Path) -> FeatureStore:
    store = FeatureStore.create(folder / "store", ALL_KEPT)
    store.commit(content(["one", "two"], ALL_KEPT))
    store.commit(content(["three", "four"], ALL_KEPT, seed=1))
    return store


def test_whole_shards_are_mapped_and_not_copied(tmp_path: Path) -> None:
    store = two_shards(tmp_path)
    table = store.to_arrow()
    for column, dataset in (("mean", "chunks/mean"), ("tokens", "tokens/vector"), ("token_ids", "tokens/id")):
        assert all(one == other for one, other in addresses(table, store, column, dataset))
    mapped._open_map.cache_clear()
    assert_columns(table, store)


def test_so_many_shards_that_their_maps_would_fill_the_limit_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = two_shards(tmp_path)
    monkeypatch.setattr(arrow, "MAX_MAPS", 2)
    table = store.to_arrow()
    assert all(one != other for one, other in addresses(table, store, "mean", "chunks/mean"))
    assert_columns(table, store)


def test_the_numbers_are_those_kept(tmp_path: Path) -> None:
    schema = two_shards(tmp_path).to_arrow().schema
    assert schema.field("cls").type == pa.large_list(pa.list_(pa.float16(), 4))
    assert schema.field("token_ids").type == pa.large_list(pa.int32())
    assert schema.field("key").type == pa.string()


def test_a_table_goes_where_its_store_does_not(tmp_path: Path) -> None:
    table = two_shards(tmp_path).to_arrow()
    assert pickle.loads(pickle.dumps(table)).equals(table)


def test_documents_without_features_are_counted(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"^store: 1 of 2 documents have no features\."):
        two_shards(tmp_path).to_arrow([text_key("one"), text_key("new")])


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExtraMissing) as missing:
        store.to_arrow()
    assert str(missing.value) == (
        'Arrow tables are made by pyarrow, which is missing: pip install "embedonce[parquet]".'
    )
