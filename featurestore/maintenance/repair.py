"""Damaged shards are put aside, so that what is left is read and the next `embed` encodes their documents again."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.atomic_write import move_into
from featurestore.shards.keys import KeyIndex
from featurestore.shards.verified_cache import VerifiedShards
from featurestore.store.inspection import DamagedShard, MissingFeatures, Progress, check_shards, find_missing_features

if TYPE_CHECKING:
    from featurestore.store.store import FeatureStore

QUARANTINE = "quarantine"
# a writer at work holds its temporary file for seconds
DEAD_AFTER_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class RepairReport:
    """What was done. moved: what stands in quarantine/ now, by its old path. missing: what the next `embed` fills.

    left_behind: files of dead writers that were removed.
    """

    quarantined: tuple[DamagedShard, ...]
    missing: tuple[MissingFeatures, ...]
    removed_temporary_files: int

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "quarantined": [{"shard": shard.path.name, "problem": shard.problem} for shard in self.quarantined],
            "missing": {corpus.corpus: list(corpus.ids) for corpus in self.missing},
            "removed_temporary_files": self.removed_temporary_files,
        }


def repair_store(store: "FeatureStore", progress: Progress | None = None) -> RepairReport:
    """Hash and parse every shard, and move those that are not whole to quarantine/. Raises StorageFailed."""
    bad, shards = check_shards(store.folder, store.recipe, VerifiedShards(store.folder), progress)
    for each in bad:
        move_into(each.path, store.folder / QUARANTINE)
    store.refresh()
    there = KeyIndex(shard.keys for shard in shards)
    missing = find_missing_features(store.folder / "corpora", there)
    return RepairReport(tuple(bad), tuple(missing), _sweep(store.folder))


def _sweep(folder: Path) -> int:
    """Remove the temporary files of writers that died long ago."""
    swept = 0
    for path in folder.rglob(".tmp-*"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > DEAD_AFTER_SECONDS:
                path.unlink()
                swept += 1
    return swept
