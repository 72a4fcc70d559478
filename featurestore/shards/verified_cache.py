"""Shards whose hash was checked before: remembered by path, size and time in the user's cache folder."""

import hashlib
import json
import os
import time
from pathlib import Path

from data.atomic_write import cache_folder, write_cache

# a file system may count time in steps of two seconds: a change within one would not show in a file's time
_SETTLED_NS = 2_000_000_000


class VerifiedShards:
    """The shards of one store that were found to be what their names say; `save` keeps it for the next process."""

    def __init__(self, store: Path) -> None:
        name = hashlib.sha256(os.fsencode(store.resolve())).hexdigest()
        self._file = cache_folder() / "verified" / f"{name}.json"
        self._marks = self._read()
        self._saved = dict(self._marks)

    def is_verified(self, name: str, found: os.stat_result) -> bool:
        """Whether shard `name`, which now is as `found`, was checked as it is."""
        return self._marks.get(name) == _mark(found)

    def was_parsed(self, name: str) -> bool:
        """Whether the bytes that `name` is the hash of were once read as a shard, whatever the file is now."""
        return name in self._marks

    def add(self, name: str, found: os.stat_result) -> None:
        """Remember that the hash was checked; of a file so new that it could change and keep its time, no time."""
        settled = time.time_ns() - found.st_mtime_ns > _SETTLED_NS
        self._marks[name] = _mark(found) if settled else [found.st_size, 0]

    def forget(self, name: str) -> None:
        """Check this shard again."""
        self._marks.pop(name, None)

    def save(self) -> None:
        """Write what changed; where the cache cannot be written, shards are hashed again next time."""
        if self._marks == self._saved:
            return
        if write_cache(self._file, json.dumps(self._marks).encode()):
            self._saved = dict(self._marks)

    def _read(self) -> dict[str, list[int]]:
        try:
            marks = json.loads(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError, RecursionError):
            return {}
        return marks if isinstance(marks, dict) else {}


def _mark(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns]
