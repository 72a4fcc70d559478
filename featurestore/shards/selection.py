"""Chosen documents of a store, dataset by dataset, as shards keep them: what tables and exported files are made of."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featurestore.shards.keys import KeyIndex
from featurestore.shards.layout import FORMAT, OFFSETS, expected_fields, offsets_name
from featurestore.shards.shard import Shard
from featurestore.vectors.ragged import ItemArray, Ragged, as_array
from featurestore.vectors.recipe import Recipe

OFFSET_NAMES = frozenset(OFFSETS.values())


@dataclass(frozen=True, eq=False)
class Selection:
    """Document i is row[i] of shards[part[i]]; nothing is read before it is asked for.

    shards: one at least. part: int32 (documents,). row: int64 (documents,).
    """

    recipe: Recipe
    shards: tuple[Shard, ...]
    shard_index: NDArray[np.int32]
    row: NDArray[np.int64]

    @classmethod
    def of_keys(cls, recipe: Recipe, shards: Sequence[Shard], known: KeyIndex, keys: Sequence[str]) -> Self:
        """The documents of `keys`, all of which are `known`, in that order."""
        return cls(recipe, tuple(shards) or (_nothing(recipe),), *known.locate(keys))._narrowed()

    @classmethod
    def of_all(cls, recipe: Recipe, shards: Sequence[Shard], known: KeyIndex) -> Self:
        """Every document once, shard by shard, in their order."""
        rows = known.rows_by_shard() or [np.zeros(0, np.int64)]
        part = np.repeat(np.arange(len(rows), dtype=np.int32), [len(each) for each in rows])
        return cls(recipe, tuple(shards) or (_nothing(recipe),), part, np.concatenate(rows))

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(self.recipe, self.shards, self.shard_index[rows], self.row[rows])._narrowed()

    def _narrowed(self) -> Self:
        """The same documents and only the shards that they are in; the first shard, for its shapes, without any."""
        used, part = np.unique(self.shard_index, return_inverse=True)
        shards = tuple(self.shards[which] for which in used) or self.shards[:1]
        return type(self)(self.recipe, shards, part.astype(np.int32), self.row)

    @property
    def recipe_json(self) -> str:
        """What these features are: the JSON that recipe.json holds."""
        return json.dumps(
            {"format": FORMAT, "fingerprint": self.recipe.fingerprint, "recipe": self.recipe.to_json()}, indent=1
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets of layout.py, but for the metadata."""
        return tuple(expected_fields(self.recipe))

    @cached_property
    def is_whole_shard(self) -> bool:
        """Whether these are all documents of one shard in its order, which no array has to be copied for."""
        return (
            len(self.shards) == 1
            and len(self) == len(self.shards[0])
            and bool((self.row == np.arange(len(self))).all())
        )

    def hex_keys(self) -> list[str]:
        """Each document's key, 64 hex digits."""
        return [key.tobytes().hex() for key in self.values("documents/key")]

    def bfloat16(self, name: str) -> bool:
        """Whether a dataset's uint16 items are the upper halves of float32 numbers."""
        return self.recipe.dtype == "bfloat16" and self.item_type(name)[0] == np.uint16

    def item_type(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Number type and shape of one item of a dataset."""
        part = self.shards[0].arrays[name]
        return part.dtype, part.shape[1:]

    def lengths(self, name: str) -> NDArray[np.int64]:
        """How many items of a dataset each document has: int64 (documents,). Not of offsets."""
        return self._place(name)[1]

    def values(self, name: str) -> NDArray[Any]:
        """A dataset's items in the type kept, one document after the other; a read-only view where `whole`.

        Offsets are those of these documents: one longer, starting at 0. Raises StoreDamaged.
        """
        if self.is_whole_shard:
            return as_array(self.shards[0].arrays[name])
        if name in OFFSET_NAMES:
            offsets = np.zeros(len(self) + 1, dtype=np.int64)
            np.cumsum(self._bounds(name)[1], out=offsets[1:])
            return offsets
        parts = self._parts(name)
        return Ragged(parts, self.shard_index, *self._place(name)).gather(parts[0].dtype)[0]

    def blocks(self, most: int) -> Iterator[Self]:
        """The documents in turn, about `most` bytes of items at a time; no documents are one block."""
        return self._where_changed((np.cumsum(self._sizes) - self._sizes) // most)

    def by_shard(self) -> Iterator[Self]:
        """The documents in turn, those that stand together in one shard at a time."""
        return self._where_changed(self.shard_index)

    @property
    def nbytes(self) -> int:
        """Bytes of all items."""
        return int(self._sizes.sum())

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        """Bytes of each document's items."""
        sizes = np.zeros(len(self), dtype=np.int64)
        for name in set(self.names) - OFFSET_NAMES:
            dtype, shape = self.item_type(name)
            sizes += self.lengths(name) * (dtype.itemsize * math.prod(shape))
        return sizes

    def _where_changed(self, number: NDArray[Any]) -> Iterator[Self]:
        ends = [*(np.flatnonzero(np.diff(number)) + 1).tolist(), len(self)]
        return (self[start:end] for start, end in pairwise([0, *ends]))

    def _parts(self, name: str) -> tuple[ItemArray, ...]:
        return tuple(shard.arrays[name] for shard in self.shards)

    def _place(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each document's items begin in its shard's dataset, and how many they are."""
        if name.startswith("documents/"):
            return self.row, np.ones_like(self.row)
        return self._bounds(offsets_name(name))

    def _bounds(self, cut: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Start and length of what an array of offsets cuts: two numbers of it a document."""
        two = Ragged(self._parts(cut), self.shard_index, self.row, np.full(len(self), 2))
        start, stop = two.gather(np.int64)[0].reshape(-1, 2).T
        return start, stop - start


def _nothing(recipe: Recipe) -> Shard:
    """A shard without documents, whose vectors have no numbers: what an empty store is read as."""
    parts = {
        name: np.zeros(1, field.dtype) if name in OFFSET_NAMES else np.empty((0, *field.tail), field.dtype)
        for name, field in expected_fields(recipe).items()
    }
    return Shard("", 0, recipe, parts)
