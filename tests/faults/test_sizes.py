"""Stores of nothing, of empty documents and of more shards than a process may have files open."""

import os
from pathlib import Path

import numpy as np
import pytest

from featurestore import FeatureStore, text_key
from tests.faults.processes import ended, script
from tests.faults.whole import faults_in
from tests.featurestore.made import ALL_KEPT, RECIPE, content


@pytest.mark.parametrize(("shards", "files"), [(150, 100), pytest.param(5000, 256, marks=pytest.mark.long)])
def test_a_store_of_more_shards_than_files_may_be_open_is_read_verified_and_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int, files: int
) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # 150 of them take seconds
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    for number in range(shards):
        store.commit(content([f"text {number}"], seed=number))
    keys = [text_key(f"text {number}") for number in reversed(range(shards))]
    body = (
        "from featurestore import plan_compaction, run_compaction\n"
        "store = FeatureStore.open(Path(sys.argv[1]))\n"
        "shards = int(sys.argv[2])\n"
        "bags = store.bags([text_key(f'text {number}') for number in reversed(range(shards))])\n"
        "print(len(store.shards()), float(bags[[shards - 1, 0, 75]].pooled().sum()), float(bags.pooled().sum()))\n"
        "print(store.verify())\n"
        "run_compaction(plan_compaction(store), store)\n"
        "print(len(store.shards()), store.documents, store.verify())\n"
    )
    bags = store.bags(keys)
    sums = f"{shards} {bags[[shards - 1, 0, 75]].pooled().sum()} {bags.pooled().sum()}"
    limited = script(
        body, store.folder, shards, limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    )
    assert ended(limited) == (0, f"{sums}\n[]\n1 {shards} []\n")


def test_a_store_without_a_shard_is_whole_and_holds_nothing(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    assert (store.documents, list(store.keys), store.shards(), store.verify()) == (0, [], [], [])
    assert store.missing_keys([text_key("one")]) == [text_key("one")]
    assert store.info()["bytes"] == 0


def test_a_shard_without_a_document_is_whole_and_holds_nothing(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "store", ALL_KEPT)
    store.commit(content([], ALL_KEPT))
    assert (store.documents, len(store.shards()), store.verify()) == (0, 1, [])
    store.commit(content(["one"], ALL_KEPT))
    assert store.documents == 1 and faults_in(store) == []


def test_documents_whose_arrays_are_all_empty_are_read_as_nothing(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "store", ALL_KEPT)
    store.commit(content(["", " "], ALL_KEPT, most=0))
    store.commit(content(["one"], ALL_KEPT, seed=3))
    assert store.documents == 3 and store.verify() == []
    bags = store.bags([text_key(text) for text in ("", "one", " ")])
    for view in bags.views.values():
        values, offsets = view.gather()
        assert offsets[1] == 0 and offsets[2] == offsets[3] == len(values)
    np.testing.assert_array_equal(bags.pooled()[[0, 2]], 0)
