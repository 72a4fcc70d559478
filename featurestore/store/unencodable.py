"""Texts without finite vectors: `embed` keeps their keys, so that heads leave these documents out.

unencodable/<sha256>.json   a list of keys, in a file named by its content; every process may add one
"""

import json
from collections.abc import Collection

from featurestore.storage.storage import Storage, read


def save_keys(keys: Collection[str], folder: Storage) -> None:
    """Add keys. Raises StorageFailed."""
    folder.write_under_hash(json.dumps(sorted(keys)).encode(), ".json")


def load_keys(folder: Storage) -> frozenset[str]:
    """Read all keys; a file that cannot be read counts as absent, because the next `embed` finds its texts again."""
    keys: set[str] = set()
    for name in folder.names():
        try:
            keys.update(map(str, json.loads(read(folder, name))) if name.endswith(".json") else ())
        except (OSError, ValueError, TypeError, RecursionError):
            continue
    return frozenset(keys)
