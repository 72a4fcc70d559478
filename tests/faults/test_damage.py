"""A shard that is not what its name says is found by verify and by readers, and never read as features."""

import os
from pathlib import Path

import numpy as np
import pytest

from data.errors import StoreDamaged
from featurestore import FeatureStore, text_key
from featurestore.shards import mapped
from tests.faults.whole import KEYS, TEXTS, assert_whole
from tests.featurestore.made import ALL_KEPT, content


def damaged(tmp_path: Path) -> tuple[FeatureStore, Path, bytes]:
    store = FeatureStore.create(tmp_path / "small", ALL_KEPT)
    path = store.folder / "shards" / store.commit(content(["one", "two"], ALL_KEPT, dim=2))
    return store, path, path.read_bytes()


def assert_found(store: FeatureStore, path: Path) -> None:
    """Both by verify and by a reader, and in a sentence."""
    (wrong,) = FeatureStore.open(store.folder).verify()
    assert path.name in wrong and "Run `embedonce store repair`, then `embedonce embed` again" in wrong
    with pytest.raises(StoreDamaged, match="its bytes do not match its name"):
        FeatureStore.open(store.folder).bags([text_key("one")])


def chosen(length: int, most: int | None) -> list[int]:
    """Places in a file of that length: the first, the last and `most` between them, or all of them."""
    if most is None:
        return list(range(length))
    return sorted({0, 1, length - 1, *np.random.default_rng(0).integers(length, size=most).tolist()})


@pytest.mark.parametrize("most", [200, pytest.param(None, marks=pytest.mark.long)])
def test_one_flipped_byte_anywhere_is_found_and_never_read_as_a_feature(tmp_path: Path, most: int | None) -> None:
    store, path, data = damaged(tmp_path)
    for place in chosen(len(data), most):
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :])
        assert_found(store, path)
    path.write_bytes(data)
    assert FeatureStore.open(store.folder).verify() == []


@pytest.mark.parametrize("most", [40, pytest.param(None, marks=pytest.mark.long)])
def test_a_shard_truncated_at_any_length_is_found(tmp_path: Path, most: int | None) -> None:
    store, path, data = damaged(tmp_path)
    for length in chosen(len(data), most):
        path.write_bytes(data[:length])
        assert_found(store, path)


def test_a_shard_with_something_behind_its_end_is_found(tmp_path: Path) -> None:
    store, path, data = damaged(tmp_path)
    path.write_bytes(data + b"\0")
    assert_found(store, path)


def test_a_damaged_shard_is_made_good_by_committing_its_documents_again(store: FeatureStore) -> None:
    (path,) = (store.folder / "shards").iterdir()
    path.write_bytes(b"")
    store.commit(content(TEXTS))
    assert_whole(store.folder)


def test_a_shard_that_changes_under_a_reader_is_not_read(store: FeatureStore) -> None:
    bags = store.bags(KEYS)
    (path,) = (store.folder / "shards").iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)
    # a map that was opened before would go on showing the old file
    mapped._open_map.cache_clear()
    with pytest.raises(StoreDamaged, match="was changed while it was used"):
        bags.view("cls").gather()
    path.unlink()
    with pytest.raises(StoreDamaged, match="can no longer be read: No such file or directory"):
        bags.view("cls").gather()


def test_a_pipe_in_a_shards_place_is_not_waited_for(store: FeatureStore) -> None:
    os.mkfifo(store.folder / "shards" / f"{'0' * 64}.h5")
    with pytest.raises(StoreDamaged, match="cannot be read: not a regular file"):
        _ = FeatureStore.open(store.folder).documents
