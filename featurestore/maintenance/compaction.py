"""Compaction: small shards are merged, and documents that no corpus names are dropped.

A new shard is committed before those that it replaces are removed, and those are removed from the last by name to the
first, over all groups. So at each moment every document is in a shard, and the copy that readers take, in the first
shard by name, is removed last: a kill loses no document and changes no vector that readers get. It leaves duplicates,
which the next compaction drops. A shard that this one commits may be among those that it replaces, if an earlier
compaction was interrupted after it had committed the same: it stays.

Two at once could each remove the copy that the other one keeps. So the second one is refused, and so is one that was
planned while another one removed shards. A pruning ends at the next shard if a corpus is saved meanwhile, which may
need what would be removed; `embed` saves its corpus before it looks for what the store has.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, StorageFailed
from featurestore.shards.keys import KeyIndex, pack_keys
from featurestore.shards.shard_content import concatenate_content, select_content
from featurestore.storage.storage import FileState, Progress
from featurestore.store.store import RECIPE_FILE
from featurestore.vectors.ragged import as_array

if TYPE_CHECKING:
    from featurestore.shards.shard import Shard
    from featurestore.store.store import FeatureStore

# building a shard takes three times as much memory
TARGET_BYTES = 128 * 2**20


@dataclass(frozen=True)
class KeptRows:
    """A shard and the rows of it that are kept: int64 (rows,)."""

    shard: "Shard"
    rows: NDArray[np.int64]

    def keys(self) -> list[str]:
        """The keys of these rows."""
        return [key.tobytes().hex() for key in as_array(self.shard.arrays["documents/key"])[self.rows]]

    @property
    def bytes(self) -> float:
        """The approximate bytes of these rows in the shard's file."""
        return self.shard.size * len(self.rows) / max(len(self.shard), 1)


@dataclass(frozen=True)
class CompactionPlan:
    """What a compaction will do. groups: shards that become one, all sorted by name; all others stay unchanged.

    names: of all shards of the store. duplicates: second copies of documents, which are dropped. unreferenced:
    documents that no corpus names, which are dropped. corpora: the files of the corpora, None if all documents stay.
    """

    groups: tuple[tuple[KeptRows, ...], ...]
    names: frozenset[str]
    documents: int
    duplicates: int
    unreferenced: int
    corpora: Mapping[str, FileState] | None

    @property
    def shards(self) -> int:
        """The number of shards before the compaction."""
        return len(self.names)

    @property
    def shards_after(self) -> int:
        """The number of shards after the compaction."""
        new_shards = sum(any(len(kept.rows) for kept in group) for group in self.groups)
        return self.shards - sum(map(len, self.groups)) + new_shards

    def to_json(self) -> dict[str, int]:
        """Return the counts as JSON values."""
        names = ("documents", "duplicates", "unreferenced", "shards", "shards_after", "freed_bytes")
        return {name: getattr(self, name) for name in names}

    @property
    def freed_bytes(self) -> int:
        """The approximate bytes of the documents that are dropped."""
        return round(sum(kept.shard.size - kept.bytes for group in self.groups for kept in group))


def plan_compaction(store: "FeatureStore", target: int = TARGET_BYTES) -> CompactionPlan:
    """Plan to merge shards of less than half of `target` bytes into shards of about `target`, without duplicates."""
    kept, duplicates = _first_copies(store)
    changed = [rows for rows in kept if rows.shard.size < target // 2 or len(rows.rows) < len(rows.shard)]
    return _make_plan(store, changed, target, duplicates=duplicates, unreferenced=0, corpora=None)


def plan_pruning(store: "FeatureStore", target: int = TARGET_BYTES) -> CompactionPlan:
    """Plan to drop documents that no corpus of the store names, and duplicates.

    Raises BadData for a store without a corpus, as all documents would be dropped; StoreDamaged for a damaged corpus.
    """
    files, names = _corpus_files(store), store.corpora()
    if not names:
        raise BadData(f"{store.name} has no corpus: it is unknown which documents to keep. Nothing was removed.")
    wanted = KeyIndex([pack_keys(list(store.corpus(name).keys)) for name in names])
    kept, duplicates = _first_copies(store)
    named = [KeptRows(rows.shard, rows.rows[wanted.contains(rows.keys())]) for rows in kept]
    unreferenced = sum(len(rows.rows) for rows in kept) - sum(len(rows.rows) for rows in named)
    changed = [rows for rows in named if len(rows.rows) < len(rows.shard)]
    return _make_plan(store, changed, target, duplicates=duplicates, unreferenced=unreferenced, corpora=files)


def run_compaction(plan: CompactionPlan, store: "FeatureStore", progress: Progress | None = None) -> None:
    """Commit the new shards and remove the old ones, group by group from the last.

    Args:
        plan: What to do.
        store: The store.
        progress: Called after each group with the bytes done and the total bytes.

    Raises:
        StoreDamaged: A shard cannot be read.
        StorageFailed: Another process rewrites the store, or has removed shards or saved a corpus since the plan was
            made; or a disk or bucket refuses.
    """
    with store.storage.lock(RECIPE_FILE) as keep_lock:
        if not plan.names <= set(store.shard_names()):
            raise StorageFailed(
                f"Another process has removed shards of {store.location} meanwhile. Run the same command again."
            )
        _rewrite(plan, store, progress, keep_lock)
    store.refresh()


def _rewrite(
    plan: CompactionPlan, store: "FeatureStore", progress: Progress | None, keep_lock: Callable[[], None]
) -> None:
    total, done = sum(kept.shard.size for group in plan.groups for kept in group), 0
    committed = set[str]()
    for group in reversed(plan.groups):
        _check_corpora(plan, store)
        contents = [select_content(kept.shard, kept.rows) for kept in group if len(kept.rows)]
        if contents:
            committed.add(store.commit(concatenate_content(contents)))
        keep_lock()
        for kept in reversed(group):
            if kept.shard.name not in committed:
                _check_corpora(plan, store)
                store.shard_folder.remove(kept.shard.name)
            done += kept.shard.size
        if progress is not None:
            progress(done, total)


def _corpus_files(store: "FeatureStore") -> Mapping[str, FileState]:
    return store.storage.subfolder("corpora").states()


def _check_corpora(plan: CompactionPlan, store: "FeatureStore") -> None:
    """Raise StorageFailed if a pruning does not know a corpus."""
    if plan.corpora is not None and plan.corpora != _corpus_files(store):
        raise StorageFailed(
            f"A corpus of {store.location} was saved meanwhile, which may need what would be removed. Run the same "
            "command again."
        )


def _first_copies(store: "FeatureStore") -> tuple[list[KeptRows], int]:
    """Return the rows of each shard, by name, without duplicates, and the number of duplicates."""
    shards = store.shards()
    kept = [KeptRows(shard, rows) for shard, rows in zip(shards, store.keys.rows_by_shard(), strict=True)]
    return kept, sum(map(len, shards)) - store.documents


def _make_plan(
    store: "FeatureStore",
    changed: Sequence[KeptRows],
    target: int,
    *,
    duplicates: int,
    unreferenced: int,
    corpora: Mapping[str, FileState] | None,
) -> CompactionPlan:
    groups: list[list[KeptRows]] = []
    room = 0.0
    for kept in changed:
        if kept.bytes > room or not groups:
            groups.append([])
            room = float(target)
        groups[-1].append(kept)
        room -= kept.bytes
    unchanged = [len(group) == 1 and len(group[0].rows) == len(group[0].shard) for group in groups]
    changes = tuple(tuple(group) for group, same in zip(groups, unchanged, strict=True) if not same)
    names = frozenset(shard.name for shard in store.shards())
    return CompactionPlan(changes, names, store.documents, duplicates, unreferenced, corpora)
