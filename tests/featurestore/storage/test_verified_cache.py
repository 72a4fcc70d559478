"""Shards that were hashed before: remembered by size and time, and never longer than that is safe."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from data.errors import StoreDamaged
from featurestore import FeatureStore
from featurestore.storage.verified_cache import VerifiedShards
from tests.featurestore.made import RECIPE, content, older


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Twelve documents in three shards."""
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    for start in (0, 4, 8):
        store.commit(content([f"text {row}" for row in range(start, start + 4)], seed=start))
    return store


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The files that are hashed while the test runs."""
    seen: list[object] = []
    real = hashlib.file_digest

    def counted(file: Any, digest: str) -> Any:
        seen.append(file)
        return real(file, digest)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return seen


def test_a_shard_is_hashed_once_and_remembered_by_size_and_time(store: FeatureStore, hashed: list[object]) -> None:
    older(store)
    assert FeatureStore.open(store.folder).documents == 12 and len(hashed) == 3
    assert FeatureStore.open(store.folder).documents == 12 and len(hashed) == 3
    changed = next((store.folder / "shards").iterdir())
    os.utime(changed, (1_000_000_001, 1_000_000_001))
    assert FeatureStore.open(store.folder).documents == 12 and len(hashed) == 4


def test_a_shard_new_enough_to_change_within_its_time_is_not_remembered(
    store: FeatureStore, hashed: list[object]
) -> None:
    for count in (3, 6):
        assert FeatureStore.open(store.folder).documents == 12 and len(hashed) == count


def test_verify_hashes_again_what_is_remembered_and_then_forgets_it(store: FeatureStore) -> None:
    older(store)
    assert FeatureStore.open(store.folder).documents == 12
    path = next((store.folder / "shards").iterdir())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    older(store)
    (wrong,) = FeatureStore.open(store.folder).verify()
    assert path.name in wrong and "is damaged" in wrong
    with pytest.raises(StoreDamaged, match="is damaged"):
        _ = FeatureStore.open(store.folder).documents


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"x": 1}', b"\xff"])
def test_a_damaged_memory_of_hashes_is_as_none(store: FeatureStore, own_cache: Path, content: bytes) -> None:
    older(store)
    VerifiedShards(store.folder).save()
    assert FeatureStore.open(store.folder).documents == 12
    (memory,) = (own_cache / "verified").iterdir()
    memory.write_bytes(content)
    assert FeatureStore.open(store.folder).documents == 12
