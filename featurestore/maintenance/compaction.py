"""Shards made anew from shards that are there: merged where they are small, without documents that nobody names.

A new shard is committed before those that it replaces are removed, the last by name first. So at each instant every
document is in a shard, and the one that readers take, the first by name, is removed last: a kill leaves some documents
twice, with the same vectors, and the next rewriting drops the second ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import remove_file
from data.errors import BadData
from featurestore.shards.keys import KeyIndex, pack_keys
from featurestore.shards.shard_content import concatenate_content, select_content
from featurestore.vectors.ragged import as_array

if TYPE_CHECKING:
    from featurestore.shards.shard import Shard
    from featurestore.store.store import FeatureStore

# three times as much memory is taken while one is made
TARGET_BYTES = 128 * 2**20
Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class KeptRows:
    """One shard and the rows of it that stay: int64 (rows,)."""

    shard: "Shard"
    rows: NDArray[np.int64]

    def keys(self) -> list[str]:
        """The keys of these rows."""
        return [key.tobytes().hex() for key in as_array(self.shard.arrays["documents/key"])[self.rows]]

    @property
    def bytes(self) -> float:
        """What these rows take of the shard's file, about."""
        return self.shard.size * len(self.rows) / max(len(self.shard), 1)


@dataclass(frozen=True)
class CompactionPlan:
    """What a rewriting does. groups: shards that become one; the others stay as they are.

    doubled: documents that two shards hold, which one of them loses. vanished: documents that no corpus names.
    """

    groups: tuple[tuple[KeptRows, ...], ...]
    shards: int
    documents: int
    duplicates: int
    unreferenced: int

    @property
    def shards_after(self) -> int:
        """How many shards there will be."""
        made = sum(any(len(kept.rows) for kept in group) for group in self.groups)
        return self.shards - sum(map(len, self.groups)) + made

    def to_json(self) -> dict[str, int]:
        """What is removed and what becomes of the shards, as plain values."""
        names = ("documents", "duplicates", "unreferenced", "shards", "shards_after", "freed_bytes")
        return {name: getattr(self, name) for name in names}

    @property
    def freed_bytes(self) -> int:
        """Bytes that documents which are not carried over take now, about."""
        return round(sum(kept.shard.size - kept.bytes for group in self.groups for kept in group))


def plan_compaction(store: "FeatureStore", target: int = TARGET_BYTES) -> CompactionPlan:
    """Shards of less than half of `target` bytes become shards of about as many, and each document is kept once."""
    kept, doubled = _first_copies(store)
    changed = [each for each in kept if each.shard.size < target // 2 or len(each.rows) < len(each.shard)]
    return _plan(store, changed, target, doubled=doubled, vanished=0)


def plan_pruning(store: "FeatureStore", target: int = TARGET_BYTES) -> CompactionPlan:
    """Documents that none of the store's corpora names are left out, and second copies with them.

    Raises BadData for a store without a corpus, of which everything would go; StoreDamaged for one that cannot be read.
    """
    names = store.corpora()
    if not names:
        raise BadData(f"{store.name} has no corpus: nothing says which documents are wanted. Nothing was removed.")
    wanted = KeyIndex([pack_keys(list(store.corpus(name).keys)) for name in names])
    kept, doubled = _first_copies(store)
    named = [KeptRows(each.shard, each.rows[wanted.contains(each.keys())]) for each in kept]
    vanished = sum(len(each.rows) for each in kept) - sum(len(each.rows) for each in named)
    changed = [each for each in named if len(each.rows) < len(each.shard)]
    return _plan(store, changed, target, doubled=doubled, vanished=vanished)


def run_compaction(plan: CompactionPlan, store: "FeatureStore", progress: Progress | None = None) -> None:
    """Commit the new shards and remove the old ones, a group at a time. Raises StoreDamaged, StorageFailed.

    progress: told bytes done and bytes in all, after each group.
    """
    total, done = sum(kept.shard.size for group in plan.groups for kept in group), 0
    for group in plan.groups:
        contents = [select_content(kept.shard, kept.rows) for kept in group if len(kept.rows)]
        made = store.commit(concatenate_content(contents)).name if contents else None
        for kept in sorted(group, key=lambda kept: kept.shard.name, reverse=True):
            if kept.shard.name != made:
                remove_file(store.folder / "shards" / kept.shard.name)
            done += kept.shard.size
        if progress is not None:
            progress(done, total)
    store.refresh()


def _first_copies(store: "FeatureStore") -> tuple[list[KeptRows], int]:
    """Of each shard, by name, the rows that readers take; and how many rows are second copies."""
    shards = store.shards()
    kept = [KeptRows(shard, rows) for shard, rows in zip(shards, store.keys.rows_by_shard(), strict=True)]
    return kept, sum(map(len, shards)) - store.documents


def _plan(
    store: "FeatureStore", changed: Sequence[KeptRows], target: int, *, doubled: int, vanished: int
) -> CompactionPlan:
    groups: list[list[KeptRows]] = []
    room = 0.0
    for kept in changed:
        if kept.bytes > room or not groups:
            groups.append([])
            room = float(target)
        groups[-1].append(kept)
        room -= kept.bytes
    alone = [len(group) == 1 and len(group[0].rows) == len(group[0].shard) for group in groups]
    worth = tuple(tuple(group) for group, same in zip(groups, alone, strict=True) if not same)
    return CompactionPlan(worth, len(store.shards()), store.documents, doubled, vanished)
