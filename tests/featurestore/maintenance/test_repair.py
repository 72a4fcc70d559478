"""Repair puts aside what is not whole, and says what the next embed has to fill."""

import os
import time
from pathlib import Path

import pytest

from featurestore import CorpusTable, FeatureStore, repair_store, text_key
from tests.featurestore.made import ALL_KEPT, RECIPE, content


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Four documents in two shards, and a corpus of them."""
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    store.commit(content(["one", "two"]))
    store.commit(content(["three", "four"], seed=1))
    texts = ["one", "two", "three", "four"]
    nothing, keys = [None] * 4, [text_key(text) for text in texts]
    store.save_corpus(CorpusTable("made", "", "single", None, texts, keys, nothing, nothing, [("a",)] * 4))
    return store


def shard_with(store: FeatureStore, text: str) -> Path:
    (name,) = [shard.name for shard in store.shards() if bytes.fromhex(text_key(text)) in shard.keys.tolist()]
    return store.folder / "shards" / name


def test_a_whole_store_is_left_as_it_is(store: FeatureStore) -> None:
    before = sorted(store.folder.rglob("*"))
    done = repair_store(store)
    assert (done.quarantined, done.missing, done.removed_temporary_files) == ((), (), 0)
    assert sorted(store.folder.rglob("*")) == before


def test_a_damaged_shard_is_quarantined_and_its_documents_are_named(store: FeatureStore) -> None:
    path = shard_with(store, "three")
    path.write_bytes(path.read_bytes()[:-1])
    done = repair_store(FeatureStore.open(store.folder))
    assert [each.path.name for each in done.quarantined] == [path.name]
    assert [(each.corpus, each.ids) for each in done.missing] == [("made", ("three", "four"))]
    assert (store.folder / "quarantine" / path.name).is_file() and not path.exists()
    again = FeatureStore.open(store.folder)
    assert again.missing_keys([text_key(text) for text in ("one", "three")]) == [text_key("three")]


def test_a_repaired_store_is_made_good_by_the_same_documents(store: FeatureStore) -> None:
    path = shard_with(store, "three")
    path.write_bytes(b"")
    repair_store(FeatureStore.open(store.folder))
    again = FeatureStore.open(store.folder)
    assert again.commit(content(["three", "four"], seed=1)) == path.name
    assert again.verify() == []


def test_a_shard_that_is_damaged_twice_is_quarantined_twice(store: FeatureStore) -> None:
    path = shard_with(store, "three")
    for _ in range(2):
        path.write_bytes(b"")
        repair_store(FeatureStore.open(store.folder))
        store.commit(content(["three", "four"], seed=1))
    assert len(list((store.folder / "quarantine").iterdir())) == 2


def test_a_shard_of_another_recipe_a_stray_file_and_a_link_are_quarantined(store: FeatureStore, tmp_path: Path) -> None:
    name = FeatureStore.create(tmp_path / "other", ALL_KEPT).commit(content(["one"], ALL_KEPT))
    other = tmp_path / "other" / "shards" / name
    shards = store.folder / "shards"
    (shards / other.name).write_bytes(other.read_bytes())
    (shards / "notes.txt").write_text("mine")
    (shards / f"{'0' * 64}.h5").symlink_to(other)
    done = repair_store(FeatureStore.open(store.folder))
    assert {each.path.name for each in done.quarantined} == {other.name, "notes.txt", f"{'0' * 64}.h5"}
    assert other.is_file() and FeatureStore.open(store.folder).verify() == []


def test_files_of_writers_that_died_long_ago_are_swept_and_those_at_work_left(store: FeatureStore) -> None:
    old, new = (store.folder / "shards" / f".tmp-{name}" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 10**6,) * 2)
    assert repair_store(store).removed_temporary_files == 1
    assert new.exists() and not old.exists()
