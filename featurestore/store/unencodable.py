"""Texts without finite vectors: `embed` keeps their keys, so that heads leave these documents out.

unencodable/<sha256>.json   a list of keys, in a file named by its content; every process may add one
"""

import json
from collections.abc import Collection
from pathlib import Path

from data.atomic_write import make_folder, write_under_hash


def save_keys(keys: Collection[str], folder: Path) -> None:
    """Add keys. Raises StorageFailed."""
    make_folder(folder)
    write_under_hash(folder, json.dumps(sorted(keys)).encode(), ".json")


def load_keys(folder: Path) -> frozenset[str]:
    """Read all keys; a file that cannot be read counts as absent, because the next `embed` finds its texts again."""
    keys: set[str] = set()
    for path in folder.glob("[0-9a-f]*.json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            keys.update(map(str, content))
        except (OSError, ValueError, TypeError, RecursionError):
            continue
    return frozenset(keys)
