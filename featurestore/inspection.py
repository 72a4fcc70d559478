"""What a store holds, and whether it is whole."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import EmbedOnceError
from featurestore import corpora
from featurestore.keys import Keys
from featurestore.ragged import array_of
from featurestore.recipe import Recipe
from featurestore.shard import Shard
from featurestore.verified import Verified


def contents(shards: Sequence[Shard], documents: int) -> dict[str, Any]:
    """Counts, bytes on disk, and what each kept array costs of them, as plain values; `documents` are distinct texts.

    dropped_share: tokens that max_windows or "head" cut off, of all that the documents had.
    """
    sizes: dict[str, int] = {}
    for shard in shards:
        for name, part in shard.parts.items():
            sizes[name] = sizes.get(name, 0) + part.dtype.itemsize * int(np.prod(part.shape, dtype=object))
    tokens = _items(shards, "tokens/id")
    dropped = sum(int(array_of(shard.parts["documents/dropped_tokens"]).sum()) for shard in shards)
    return {
        "documents": documents,
        "chunks": _items(shards, "chunks/span"),
        "segments": _items(shards, "segments/vector"),
        "tokens": tokens,
        "dropped_tokens": dropped,
        "dropped_share": dropped / max(tokens + dropped, 1),
        "shards": len(shards),
        "bytes": sum(shard.size for shard in shards),
        "arrays": dict(sorted(sizes.items(), key=lambda item: -item[1])),
    }


def _items(shards: Sequence[Shard], name: str) -> int:
    return sum(shard.parts[name].shape[0] for shard in shards if name in shard.parts)


def findings(folder: Path, recipe: Recipe, verified: Verified) -> list[str]:
    """A sentence for each thing that is wrong: shards are hashed, offsets checked, corpora held against keys."""
    wrong: list[str] = []
    shards: list[Shard] = []
    for path in sorted((folder / "shards").glob("*")):
        if path.name.startswith("."):
            continue
        if not is_shard(path.name):
            wrong.append(f"{path} is not a shard, and is not read. Move it elsewhere.")
            continue
        try:
            shards.append(checked(path, recipe, verified))
        except FileNotFoundError:  # compacted away meanwhile
            continue
        except EmbedOnceError as error:
            wrong.append(str(error))
    verified.save()
    return wrong + _without_features(folder / "corpora", Keys([shard.keys for shard in shards]))


def checked(path: Path, recipe: Recipe, verified: Verified) -> Shard:
    """The shard at `path`, hashed now whatever is remembered of it. Raises as `Shard.open` does."""
    verified.forget(path.name)
    before = path.lstat()
    shard = Shard.open(path, recipe)
    verified.add(path.name, before)
    return shard


def is_shard(name: str) -> bool:
    """Whether a file of that name is a shard: 64 hex digits and .h5."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - a name, not a path
    return ending == ".h5" and len(stem) == 64 and set(stem) <= set("0123456789abcdef")


def _without_features(folder: Path, there: Keys) -> list[str]:
    wrong = []
    for name in corpora.names(folder):
        try:
            keys = corpora.load(name, folder).keys
        except EmbedOnceError as error:
            wrong.append(str(error))
            continue
        missing = int((~there.there(keys)).sum())
        if missing:
            wrong.append(
                f"{name}: {missing:,} of {len(keys):,} documents have no features. "
                "Run `embedonce embed` again to encode them."
            )
    return wrong
