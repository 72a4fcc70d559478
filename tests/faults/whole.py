"""What a store has to be after a fault: whole, and equal to one that nothing happened to."""

from pathlib import Path

import numpy as np

from featurestore import FeatureStore, text_key
from tests.featurestore.made import as_float32, content, rows_of

TEXTS = ["one", "two", "three", "four"]
KEYS = [text_key(text) for text in TEXTS]
# of float16: numbers stand at most so far apart, and float32 has other last bits in other batches
STEP, LAST_BITS = 2**-10, 1e-5


def assert_whole(folder: Path, documents: int = len(TEXTS)) -> None:
    """Nothing wrong, nothing half-written, and the first four documents as they were put in."""
    store = FeatureStore.open(folder)
    assert store.documents == documents and store.verify() == []
    assert list(folder.rglob(".tmp-*")) == []
    bags = store.bags(KEYS)
    for row, each in enumerate(rows_of(content(TEXTS), "mean")):
        np.testing.assert_array_equal(bags.view("mean").row(row), as_float32(each))


def faults_in(store: FeatureStore) -> list[str]:
    """What is wrong with it, but for documents that are not encoded yet.

    Shards are read first: verify would start a process for those that never were.
    """
    _ = store.documents
    return [wrong for wrong in store.verify() if "have no features" not in wrong]


def assert_equal(folder: Path, undisturbed: Path) -> None:
    """The same keys, and vectors that are apart by no more than float16 rounds."""
    found, expected = FeatureStore.open(folder), FeatureStore.open(undisturbed)
    keys = list(expected.keys)
    assert list(found.keys) == keys and faults_in(found) == []
    ours, theirs = found.bags(keys), expected.bags(keys)
    for name, ragged in theirs.views.items():
        (values, offsets), (wanted, cuts) = ours.view(name).gather(), ragged.gather()
        np.testing.assert_array_equal(offsets, cuts)
        np.testing.assert_allclose(values, wanted, rtol=STEP, atol=LAST_BITS)


def committed_windows(folder: Path) -> list[str]:
    """The token ids of each document of each shard, as `embedding` writes a window down.

    There may be no store yet; nothing else may be wrong with it but documents that are not encoded.
    """
    if not (folder / "recipe.json").exists():
        return []
    store = FeatureStore.open(folder)
    assert faults_in(store) == []
    views = [shard.bags().view("token_ids") for shard in store.shards()]
    return [" ".join(map(str, view.row(row))) for view in views for row in range(len(view))]
