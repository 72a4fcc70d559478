"""Damaged shards are put aside, so that what is left is read and the next `embed` encodes their documents again."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.atomic_write import move
from featurestore.shards.keys import Keys
from featurestore.shards.verified_cache import Verified
from featurestore.store.inspection import Bad, Missing, Progress, checked, without_features

if TYPE_CHECKING:
    from featurestore.store.store import FeatureStore

QUARANTINE = "quarantine"
# a writer at work holds its temporary file for seconds
DEAD_AFTER_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Repair:
    """What was done. moved: what stands in quarantine/ now, by its old path. missing: what the next `embed` fills.

    left_behind: files of dead writers that were removed.
    """

    moved: tuple[Bad, ...]
    missing: tuple[Missing, ...]
    left_behind: int

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "moved": [{"shard": each.path.name, "fault": each.fault} for each in self.moved],
            "missing": {each.corpus: list(each.ids) for each in self.missing},
            "left_behind": self.left_behind,
        }


def repair(store: "FeatureStore", progress: Progress | None = None) -> Repair:
    """Hash and parse every shard, and move those that are not whole to quarantine/. Raises StorageFailed."""
    bad, shards = checked(store.folder, store.recipe, Verified(store.folder), progress)
    for each in bad:
        move(each.path, store.folder / QUARANTINE)
    store.refresh()
    there = Keys(shard.keys for shard in shards)
    missing = without_features(store.folder / "corpora", there)
    return Repair(tuple(bad), tuple(missing), _sweep(store.folder))


def _sweep(folder: Path) -> int:
    """Remove the temporary files of writers that died long ago."""
    swept = 0
    for path in folder.rglob(".tmp-*"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > DEAD_AFTER_SECONDS:
                path.unlink()
                swept += 1
    return swept
