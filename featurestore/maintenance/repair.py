"""Repair: damaged shards are moved to quarantine/, so that the next `embed` encodes their documents again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featurestore.storage.storage import Progress
from featurestore.store.inspection import DamagedShard, MissingFeatures, check_shards, find_missing_features

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
    storage, shards = store.storage, store.storage.subfolder("shards")
    damaged, known = check_shards(shards, store.recipe, store.shard_folder.verified, progress)
    for shard in damaged:
        shards.move(shard.path.name, storage.subfolder(QUARANTINE))
    store.refresh()
    missing = find_missing_features(storage, known)
    return RepairReport(tuple(damaged), tuple(missing), storage.remove_temporary_files(DEAD_AFTER_SECONDS))
