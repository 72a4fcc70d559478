"""The shards of a store: listed, opened when they are used, and indexed by the keys of their documents.

keys/<sha256>.keys   in a bucket: the keys of a shard, so that `embed` need not download it to know what it holds; 32
                     bytes of SHA-256, and then 32 bytes per document. Without such a file the shard is downloaded.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.shards.keys import KeyIndex, pack_keys
from featurestore.shards.layout import KEY_BYTES
from featurestore.shards.shard import Shard
from featurestore.shards.shard_bytes import shard_bytes
from featurestore.shards.shard_content import ShardContent
from featurestore.storage.storage import Progress, Storage, read
from featurestore.storage.verified_cache import VerifiedShards
from featurestore.store.inspection import is_shard
from featurestore.vectors.recipe import Recipe

_DIGEST_BYTES = 32
_READERS = 16  # of small files at once

Keys = NDArray[np.bytes_]


class ShardFolder:
    """The shards of one store. If two hold one key, the first by name counts. verified: those hashed before."""

    def __init__(self, store: Storage, recipe: Recipe) -> None:
        self.verified = VerifiedShards(store.location)
        self._files = store.subfolder("shards")
        self._key_files = None if store.is_local else store.subfolder("keys")
        self._recipe = recipe
        self._names: list[str] = []
        self._opened: dict[str, Shard] = {}
        self._known_keys: dict[str, Keys] = {}  # of shards that are not opened
        self._index = KeyIndex([], [])  # of the shards of these names
        self._commits, self._indexed = 0, -1  # how many this object made, and how many of them are indexed

    @property
    def index(self) -> KeyIndex:
        """The keys of all shards. Raises StoreDamaged if one is damaged."""
        return self._index if self._indexed == self._commits else self.refresh()

    def names(self) -> list[str]:
        """The names of the shards that any process has committed by now, sorted; none is opened."""
        return list(filter(is_shard, self._files.names()))

    def refresh(self) -> KeyIndex:
        """Index the shards that any process has committed since. Raises StoreDamaged if one is damaged."""
        commits, names = self._commits, self.names()  # a thread may commit meanwhile
        if names != self._names:
            self._known_keys |= self._read_keys(self._new(names))
            self._open(self._new(names))
            self._opened = {name: self._opened[name] for name in names if name in self._opened}
            self._known_keys = {name: self._known_keys[name] for name in names if name in self._known_keys}
            self._update_index(self._available(names))
        self._indexed = commits
        return self._index

    def shards(self, progress: Progress | None = None) -> list[Shard]:
        """Open every shard, sorted by name; `progress` as in `Storage.fetch`. Raises StoreDamaged."""
        _ = self.index
        if unopened := [name for name in self._names if name not in self._opened]:
            self._open(unopened, progress)
            known = {name: self._known_keys.pop(name) for name in unopened}
            if not all(name in self._opened and _are_equal(known[name], self._opened[name].keys) for name in unopened):
                self._make_index(self._available(self._names))  # one is gone, or its file of keys was wrong
        return [self._opened[name] for name in self._names]

    def commit(self, content: ShardContent) -> str:
        """Write one shard, and return its name. Raises StorageFailed."""
        name = self._files.write_under_hash(shard_bytes(content, self._recipe), ".h5")
        if self._key_files is not None:
            keys = pack_keys(content.keys)
            packed = keys.tobytes()
            self._key_files.write_if_absent(_key_file(name), hashlib.sha256(packed).digest() + packed)
            self._known_keys[name] = keys
        self._commits += 1
        return name

    def remove(self, name: str) -> None:
        """Remove a shard. Raises StorageFailed."""
        self._files.remove(name)
        if self._key_files is not None:
            self._key_files.remove(_key_file(name))

    def _new(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self._opened and name not in self._known_keys]

    def _available(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self._opened or name in self._known_keys]

    def _update_index(self, names: list[str]) -> None:
        known, listed = set(self._names), set(names)
        if not known <= listed:
            self._make_index(names)
        elif new := [name for name in names if name not in known]:
            self._index, self._names = self._index.extended({name: self._keys_of(name) for name in new}), names

    def _make_index(self, names: list[str]) -> None:
        self._index, self._names = KeyIndex(map(self._keys_of, names), names), names

    def _keys_of(self, name: str) -> Keys:
        shard = self._opened.get(name)
        return self._known_keys[name] if shard is None else shard.keys

    def _read_keys(self, names: Iterable[str]) -> dict[str, Keys]:
        if self._key_files is None:
            return {}
        with ThreadPoolExecutor(_READERS) as executor:
            found = executor.map(self._read_key_file, names)
            return {name: keys for name, keys in zip(names, found, strict=True) if keys is not None}

    def _read_key_file(self, name: str) -> Keys | None:
        assert self._key_files is not None
        try:
            data = read(self._key_files, _key_file(name))
        except FileNotFoundError:
            return None
        digest, keys = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        is_intact = hashlib.sha256(keys).digest() == digest and len(keys) % KEY_BYTES == 0
        return np.frombuffer(keys, f"S{KEY_BYTES}") if is_intact else None

    def _open(self, names: Sequence[str], progress: Progress | None = None, attempts: int = 3) -> None:
        for name, path in self._files.fetch(names, progress).items():
            try:
                stat = path.lstat()
                self._opened[name] = Shard.open(path, self._recipe, partial(self._is_hashed, name))
            except FileNotFoundError:  # compacted away since the folder was listed
                continue
            self.verified.add(name, stat)
        self.verified.save()
        lost = [name for name in names if name not in self._opened]
        if lost and not self._files.is_local and attempts > 1:  # another process may have removed it from the cache
            self._open(lost, progress, attempts - 1)

    def _is_hashed(self, name: str, stat: os.stat_result) -> bool:
        """Whether the hash of a file was checked: by the cache of a bucket, or before."""
        return not self._files.is_local or self.verified.is_verified(name, stat)


def _key_file(shard: str) -> str:
    return f"{Path(shard).stem}.keys"


def _are_equal(left: Keys, right: Keys) -> bool:
    return len(left) == len(right) and bool((left == right).all())
