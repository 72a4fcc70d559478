"""Repair: damaged shards are moved to quarantine/, so that the next `embed` encodes their documents again."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.atomic_write import TEMPORARY_PREFIX, move_into
from featurestore.shards.keys import KeyIndex
from featurestore.shards.verified_cache import VerifiedShards
from featurestore.store.inspection import DamagedShard, MissingFeatures, Progress, check_shards, find_missing_features

if TYPE_CHECKING:
    from featurestore.store.store import FeatureStore

QUARANTINE = "quarantine"
# an active writer has its temporary file for seconds
DEAD_AFTER_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class RepairReport:
    """The result of a repair. quarantined: the moved shards, by their old paths.

    missing: corpora whose documents the next `embed` encodes. removed_temporary_files: of writers that died.
    """

    quarantined: tuple[DamagedShard, ...]
    missing: tuple[MissingFeatures, ...]
    removed_temporary_files: int

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "quarantined": [{"shard": shard.path.name, "problem": shard.problem} for shard in self.quarantined],
            "missing": {corpus.corpus: list(corpus.ids) for corpus in self.missing},
            "removed_temporary_files": self.removed_temporary_files,
        }


def repair_store(store: "FeatureStore", progress: Progress | None = None) -> RepairReport:
    """Hash and parse every shard, and move damaged ones to quarantine/. Raises StorageFailed."""
    damaged, shards = check_shards(store.folder, store.recipe, VerifiedShards(store.folder), progress)
    for shard in damaged:
        move_into(shard.path, store.folder / QUARANTINE)
    store.refresh()
    known = KeyIndex(shard.keys for shard in shards)
    missing = find_missing_features(store.folder, known)
    return RepairReport(tuple(damaged), tuple(missing), _remove_temporary_files(store.folder))


def _remove_temporary_files(folder: Path) -> int:
    """Remove the temporary files of writers that died, and return their number."""
    removed = 0
    for path in folder.rglob(f"{TEMPORARY_PREFIX}*"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > DEAD_AFTER_SECONDS:
                path.unlink()
                removed += 1
    return removed
