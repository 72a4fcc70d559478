"""Stores of random vectors, for documents of given lengths."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore import FeatureStore, Recipe, ShardContent
from tests.featurestore.made import RECIPE as TEST_RECIPE

DIM = 384
VECTORS = 400_000
_OLD_TIME = 1_000_000_000.0  # a modification time at which the hash of a shard is cached
RECIPE = replace(TEST_RECIPE, keep=("cls",))

Vectors = NDArray[np.float16]
Counts = NDArray[np.int64]


def random_vectors(rng: np.random.Generator, *shape: int) -> Vectors:
    """Values between 0.125 and 1."""
    return rng.integers(0x3000, 0x3C00, size=shape, dtype=np.uint16).view(np.float16)


def random_keys(rng: np.random.Generator, count: int) -> list[str]:
    """Keys that look like hashes of texts."""
    digits = rng.bytes(32 * count).hex()
    return [digits[64 * row : 64 * row + 64] for row in range(count)]


def offsets_of(counts: Counts) -> Counts:
    """The start of each document and the end of the last one, int64 (documents + 1,)."""
    return np.concatenate([[0], counts.cumsum()])


def shard_content(keys: Sequence[str], counts: Mapping[str, Counts], vectors: Mapping[str, Vectors]) -> ShardContent:
    """The content of one shard.

    Args:
        keys: of the documents.
        counts: name -> int64 (documents,), the number of each document's parts: "chunk", "token" and, if segments are
            stored, "segment".
        vectors: dataset -> float16 (parts, dim).
    """
    arrays: dict[str, NDArray[Any]] = {f"documents/{name}_offsets": offsets_of(each) for name, each in counts.items()}
    arrays |= {
        "documents/dropped_tokens": np.zeros(len(keys), dtype=np.int64),
        "chunks/span": np.zeros((counts["chunk"].sum(), 2), dtype=np.int64),
        "tokens/id": np.zeros(counts["token"].sum(), dtype=np.int32),
    }
    return ShardContent(keys, arrays | dict(vectors))


def create_store(folder: Path, contents: Iterable[ShardContent], recipe: Recipe = RECIPE) -> FeatureStore:
    """A store of these shards, which are old enough that verified hashes are cached."""
    store = FeatureStore.create(folder, recipe)
    for content in contents:
        os.utime(folder / "shards" / store.commit(content), (_OLD_TIME, _OLD_TIME))
    store.refresh()
    return store


@dataclass(frozen=True)
class ChunkVectors:
    """Documents of 1 to 8 chunk vectors. offsets: the start of each document in `flat`, and the end of the last one."""

    keys: Sequence[str]
    offsets: Counts
    flat: Vectors

    @classmethod
    def draw(cls, vectors: int = VECTORS) -> "ChunkVectors":
        """Random documents with `vectors` vectors in total."""
        rng = np.random.default_rng(0)
        offsets = offsets_of(rng.integers(1, 9, vectors))
        offsets = np.append(offsets[: np.searchsorted(offsets, vectors)], vectors)
        return cls(random_keys(rng, len(offsets) - 1), offsets, random_vectors(rng, vectors, DIM))

    def __len__(self) -> int:
        return len(self.keys)

    def shards(self, count: int) -> Iterator[ShardContent]:
        """The documents, in order, in `count` shards of equal size."""
        for first, end in pairwise(np.linspace(0, len(self), count + 1).astype(int).tolist()):
            offsets = self.offsets[first : end + 1]
            counts = {"chunk": np.diff(offsets), "token": np.zeros(end - first, dtype=np.int64)}
            yield shard_content(self.keys[first:end], counts, {"chunks/cls": self.flat[offsets[0] : offsets[-1]]})
