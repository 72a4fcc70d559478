"""A selection of documents, dataset by dataset as shards store them: the source of tables and exported files."""

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
from featurestore.shards.shard import Shard, document_ranges
from featurestore.vectors.ragged import ItemArray, Ragged, as_array, offsets_from_lengths
from featurestore.vectors.recipe import Recipe

OFFSET_NAMES = frozenset(OFFSETS.values())


@dataclass(frozen=True, eq=False)
class Selection:
    """Document i is row[i] of shards[shard_index[i]]; nothing is read before it is used.

    shards: at least one. shard_index: int32 (documents,). row: int64 (documents,).
    """

    recipe: Recipe
    shards: tuple[Shard, ...]
    shard_index: NDArray[np.int32]
    row: NDArray[np.int64]

    @classmethod
    def of_keys(cls, recipe: Recipe, shards: Sequence[Shard], known: KeyIndex, keys: Sequence[str]) -> Self:
        """Select the documents of `keys`, all of which are `known`, in that order."""
        return cls(recipe, tuple(shards) or (_empty_shard(recipe),), *known.locate(keys))._drop_unused_shards()

    @classmethod
    def of_all(cls, recipe: Recipe, shards: Sequence[Shard], known: KeyIndex) -> Self:
        """Select every document once, in the order of shards and rows."""
        rows = known.rows_by_shard() or [np.zeros(0, np.int64)]
        shard_index = np.repeat(np.arange(len(rows), dtype=np.int32), list(map(len, rows)))
        return cls(recipe, tuple(shards) or (_empty_shard(recipe),), shard_index, np.concatenate(rows))

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(self.recipe, self.shards, self.shard_index[rows], self.row[rows])._drop_unused_shards()

    def _drop_unused_shards(self) -> Self:
        """The same documents with only the shards that they use; if none is used, the first one for its shapes."""
        used, shard_index = np.unique(self.shard_index, return_inverse=True)
        shards = tuple(self.shards[index] for index in used) or self.shards[:1]
        return type(self)(self.recipe, shards, shard_index.astype(np.int32), self.row)

    @property
    def recipe_json(self) -> str:
        """The content of recipe.json."""
        return json.dumps(self.recipe.to_file(FORMAT), indent=1)

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets of layout.py without the metadata."""
        return tuple(expected_fields(self.recipe))

    @cached_property
    def is_whole_shard(self) -> bool:
        """Whether these are all documents of one shard in its order, so that no array has to be copied."""
        return (
            len(self.shards) == 1
            and len(self) == len(self.shards[0])
            and bool((self.row == np.arange(len(self))).all())
        )

    def hex_keys(self) -> list[str]:
        """The documents' keys, 64 hex digits each."""
        return [key.tobytes().hex() for key in self.values("documents/key")]

    def bfloat16(self, name: str) -> bool:
        """Whether the uint16 items of a dataset are bfloat16 numbers."""
        return self.recipe.dtype == "bfloat16" and self.item_type(name)[0] == np.uint16

    def item_type(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """The number type and shape of one item of a dataset."""
        array = self.shards[0].arrays[name]
        return array.dtype, array.shape[1:]

    def lengths(self, name: str) -> NDArray[np.int64]:
        """The number of items of each document in a dataset other than offsets: int64 (documents,)."""
        return self._item_ranges(name)[1]

    def values(self, name: str) -> NDArray[Any]:
        """Return a dataset's items in the stored type, document by document; a read-only view if `is_whole_shard`.

        Offsets refer to the selected documents, (documents + 1,) from 0. Raises StoreDamaged.
        """
        if self.is_whole_shard:
            return as_array(self.shards[0].arrays[name])
        if name in OFFSET_NAMES:
            return offsets_from_lengths(self._document_ranges(name)[1])
        arrays = self._arrays(name)
        return Ragged(arrays, self.shard_index, *self._item_ranges(name)).gather(arrays[0].dtype)[0]

    def blocks(self, most: int) -> Iterator[Self]:
        """Yield the documents in blocks of about `most` bytes of items; no documents are one block."""
        return self._split_at_changes((np.cumsum(self._sizes) - self._sizes) // most)

    def by_shard(self) -> Iterator[Self]:
        """Yield the documents in runs that are in one shard."""
        return self._split_at_changes(self.shard_index)

    @property
    def nbytes(self) -> int:
        """The bytes of all items."""
        return int(self._sizes.sum())

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        """The bytes of each document's items: int64 (documents,)."""
        sizes = np.zeros(len(self), dtype=np.int64)
        for name in set(self.names) - OFFSET_NAMES:
            dtype, shape = self.item_type(name)
            sizes += self.lengths(name) * (dtype.itemsize * math.prod(shape))
        return sizes

    def _split_at_changes(self, labels: NDArray[Any]) -> Iterator[Self]:
        ends = [*(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(self)]
        return (self[start:end] for start, end in pairwise([0, *ends]))

    def _arrays(self, name: str) -> tuple[ItemArray, ...]:
        return tuple(shard.arrays[name] for shard in self.shards)

    def _item_ranges(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Start and number of each document's items in its shard's dataset."""
        if name.startswith("documents/"):
            return self.row, np.ones_like(self.row)
        return self._document_ranges(offsets_name(name))

    def _document_ranges(self, offsets: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return document_ranges(self._arrays(offsets), self.shard_index, self.row)


def _empty_shard(recipe: Recipe) -> Shard:
    """A shard without documents, with vectors of length 0, which stands for an empty store."""
    arrays = {
        name: np.zeros(1, field.dtype) if name in OFFSET_NAMES else np.empty((0, *field.tail), field.dtype)
        for name, field in expected_fields(recipe).items()
    }
    return Shard("", 0, recipe, arrays)
