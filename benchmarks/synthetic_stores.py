"""Stores of random vectors, in documents as long as they are asked for."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore import FeatureStore, Recipe, ShardContent
from tests.featurestore.made import RECIPE as MADE_UP

DIM = 384
VECTORS = 400_000
_OLD = 1_000_000_000.0  # a time at which no shard is too new for its hash to be remembered
RECIPE = replace(MADE_UP, keep=("cls",))

Vectors = NDArray[np.float16]
Counts = NDArray[np.int64]


def random_vectors(rng: np.random.Generator, *shape: int) -> Vectors:
    """Numbers between 0.125 and 1."""
    return rng.integers(0x3000, 0x3C00, size=shape, dtype=np.uint16).view(np.float16)


def random_keys(rng: np.random.Generator, count: int) -> list[str]:
    """Such as hashes of texts would be."""
    digits = rng.bytes(32 * count).hex()
    return [digits[64 * row : 64 * row + 64] for row in range(count)]


def ends(counts: Counts) -> Counts:
    """int64 (documents + 1,): where each document begins, and the end."""
    return np.concatenate([[0], counts.cumsum()])


def content(keys: Sequence[str], counts: Mapping[str, Counts], kept: Mapping[str, Vectors]) -> ShardContent:
    """A shard of the vectors in `kept`; counts: of each document's "chunk", "token" and, if kept, "segment"."""
    arrays: dict[str, NDArray[Any]] = {f"documents/{name}_offsets": ends(each) for name, each in counts.items()}
    arrays |= {
        "documents/dropped_tokens": np.zeros(len(keys), dtype=np.int64),
        "chunks/span": np.zeros((counts["chunk"].sum(), 2), dtype=np.int64),
        "tokens/id": np.zeros(counts["token"].sum(), dtype=np.int32),
    }
    return ShardContent(keys, arrays | dict(kept))


def committed(folder: Path, contents: Iterable[ShardContent], recipe: Recipe = RECIPE) -> FeatureStore:
    """A store of these shards, which have been verified."""
    store = FeatureStore.create(folder, recipe)
    for each in contents:
        os.utime(store.commit(each), (_OLD, _OLD))
    store.refresh()
    return store


@dataclass(frozen=True)
class Chunks:
    """Documents of 1 to 8 chunk vectors. offsets: where each begins in `flat`, and the end."""

    keys: Sequence[str]
    offsets: Counts
    flat: Vectors

    @classmethod
    def made(cls, vectors: int = VECTORS) -> "Chunks":
        """So many documents that they have so many vectors."""
        rng = np.random.default_rng(0)
        offsets = ends(rng.integers(1, 9, vectors))
        offsets = np.append(offsets[: np.searchsorted(offsets, vectors)], vectors)
        return cls(random_keys(rng, len(offsets) - 1), offsets, random_vectors(rng, vectors, DIM))

    def __len__(self) -> int:
        return len(self.keys)

    def shards(self, count: int) -> Iterator[ShardContent]:
        """The documents, in order, in so many shards of one size."""
        for first, end in pairwise(np.linspace(0, len(self), count + 1).astype(int).tolist()):
            offsets = self.offsets[first : end + 1]
            counts = {"chunk": np.diff(offsets), "token": np.zeros(end - first, dtype=np.int64)}
            yield content(self.keys[first:end], counts, {"chunks/cls": self.flat[offsets[0] : offsets[-1]]})
