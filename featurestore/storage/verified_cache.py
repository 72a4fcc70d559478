"""A cache of shards whose hash was checked: by path, size and modification time, in the user's cache folder."""

import hashlib
import json
import os
import time

from data.atomic_write import cache_folder, write_cache
from featurestore.storage.location import Location

# a file system may store times in units of two seconds: a change within one would not change a file's time
_TIME_RESOLUTION_NS = 2_000_000_000


class VerifiedShards:
    """The shards of one store whose bytes match their names; `save` writes the cache for later processes."""

    def __init__(self, store: Location) -> None:
        name = hashlib.sha256(os.fsencode(str(store.resolve()))).hexdigest()
        self._file = cache_folder() / "verified" / f"{name}.json"
        self._entries = self._read()
        self._saved = dict(self._entries)

    def is_verified(self, name: str, stat: os.stat_result) -> bool:
        """Whether shard `name` was checked with its present size and time."""
        return self._entries.get(name) == _entry(stat)

    def was_parsed(self, name: str) -> bool:
        """Whether bytes with the hash `name` were once parsed as a shard, whatever the file contains now."""
        return name in self._entries

    def add(self, name: str, stat: os.stat_result) -> None:
        """Record that the hash was checked; without the time of a file so new that a change may keep its time."""
        is_settled = time.time_ns() - stat.st_mtime_ns > _TIME_RESOLUTION_NS
        self._entries[name] = _entry(stat) if is_settled else [stat.st_size, 0]

    def forget(self, name: str) -> None:
        """Forget a shard, so that it is checked again."""
        self._entries.pop(name, None)

    def save(self) -> None:
        """Write changes; if the cache cannot be written, shards are hashed again next time."""
        if self._entries == self._saved:
            return
        if write_cache(self._file, json.dumps(self._entries).encode()):
            self._saved = dict(self._entries)

    def _read(self) -> dict[str, list[int]]:
        try:
            entries = json.loads(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError, RecursionError):
            return {}
        return entries if isinstance(entries, dict) else {}


def _entry(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns]
