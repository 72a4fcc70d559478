"""Long pieces of a file are read past its map, and are what the map shows."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import StoreDamaged
from featurestore import Bags, FeatureStore, Ragged, text_key
from featurestore.shards import mapped
from featurestore.vectors import ragged
from tests.featurestore.made import RECIPE, as_float32, content, older, rows_of

TEXTS = [f"text {number}" for number in range(6)]
KEYS = [text_key(text) for text in TEXTS]


@pytest.fixture
def bags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bags:
    """Of two shards, whose maps are closed; every piece is long."""
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    for start in (0, 3):
        store.commit(content(TEXTS[start : start + 3], seed=start))
    older(store)
    found = store.bags(KEYS)
    mapped._open_map.cache_clear()
    monkeypatch.setattr(ragged, "_PIECE", 1)
    return found


def path_of(bags: Bags) -> Path:
    part = bags.view("cls").arrays[0]
    assert isinstance(part, mapped.MappedArray)
    return part.file.path


def test_everything_is_read_in_any_order_and_no_map_is_opened(bags: Bags) -> None:
    made = [row for start in (0, 3) for row in rows_of(content(TEXTS[start : start + 3], seed=start), "mean")]
    order = [3, 4, 5, 0, 1, 2]
    for rows in (list(range(6)), order):
        values, _ = bags[rows].view("mean").gather()
        np.testing.assert_array_equal(values, as_float32(np.concatenate([made[row] for row in rows])))
    assert mapped._open_map.cache_info().currsize == 0


def test_one_layer_of_several_is_read_out_of_the_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(RECIPE, layers=(-2, -1))
    store = FeatureStore.create(tmp_path / "store", recipe)
    store.commit(content(TEXTS, recipe))
    monkeypatch.setattr(ragged, "_PIECE", 1)
    values, _ = store.bags(KEYS, layer=-2).view("cls").gather()
    np.testing.assert_array_equal(values, as_float32(np.concatenate(rows_of(content(TEXTS, recipe), "cls", layer=0))))


def test_all_layers_are_read_in_the_recipes_order(tmp_path: Path) -> None:
    recipe = replace(RECIPE, layers=(-3, -2, -1))
    store = FeatureStore.create(tmp_path / "store", recipe)
    store.commit(content(TEXTS, recipe))
    bags = store.bags(KEYS, layer=None)
    values, _ = bags.view("cls").gather()
    np.testing.assert_array_equal(values, as_float32(np.concatenate(rows_of(content(TEXTS, recipe), "cls"))))
    for place, layer in enumerate(recipe.layers):
        np.testing.assert_array_equal(values[:, place], store.bags(KEYS, layer=layer).view("cls").gather()[0])
    assert bags.view("token_ids").item_shape == ()


def test_all_layers_of_one_are_that_layer(bags: Bags) -> None:
    store = FeatureStore.open(path_of(bags).parent.parent)
    assert store.bags(KEYS, layer=None).view("cls").item_shape == bags.view("cls").item_shape == (4,)


def test_a_shard_that_was_changed_is_not_read(bags: Bags) -> None:
    path = path_of(bags)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StoreDamaged, match=r"was changed while it was used\. Run `embedonce store verify`\.$"):
        bags.view("cls").gather()


def test_the_same_shard_put_in_its_place_again_is_read(bags: Bags) -> None:
    path = path_of(bags)
    before = bags.view("cls").gather()[0]
    os.utime(path, (2_000_000_000, 2_000_000_000))
    np.testing.assert_array_equal(bags.view("cls").gather()[0], before)


def test_a_shard_that_is_gone_is_named(bags: Bags) -> None:
    path_of(bags).unlink()
    with pytest.raises(StoreDamaged, match=r"\.h5 can no longer be read: No such file or directory\.$"):
        bags.view("cls").gather()


def test_a_file_that_ends_too_early_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "short.h5"
    path.write_bytes(bytes(10))
    found = path.stat()
    file = mapped.MappedFile(path, found.st_size, found.st_mtime_ns)
    part = mapped.MappedArray(file, np.dtype(np.float16), (6,), offset=0)
    part.read(1, np.empty(4, np.float16))
    with pytest.raises(StoreDamaged, match="was changed while it was used"):
        part.read(0, np.empty(6, np.float16))


def test_an_array_is_read_from_any_item_on(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(8, 3)
    path = tmp_path / "whole.h5"
    path.write_bytes(b"head" + values.tobytes())
    found = path.stat()
    part = mapped.MappedArray(mapped.MappedFile(path, found.st_size, found.st_mtime_ns), values.dtype, (8, 3), 4)
    out = np.empty((5, 3), np.float32)
    part.read(2, out)
    np.testing.assert_array_equal(out, values[2:7])
    np.testing.assert_array_equal(Ragged.from_flat(part, [0, 2, 8]).row(1), values[2:])
