"""The content of a store, and checks of its shards and corpora."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, EmbedOnceError, StoreDamaged
from featurestore.shards.keys import KeyIndex
from featurestore.shards.shard import Shard, check_shard_hash
from featurestore.shards.subprocess_parser import ShardParser
from featurestore.storage.location import Location
from featurestore.storage.storage import Progress, Storage
from featurestore.storage.verified_cache import VerifiedShards
from featurestore.store import corpora, unencodable
from featurestore.vectors.ragged import as_array
from featurestore.vectors.recipe import Recipe


def count_contents(shards: Sequence[Shard], documents: int) -> dict[str, Any]:
    """Count the content of shards and the bytes of each kept array, as plain values; `documents` are distinct texts.

    dropped_share: the share of tokens that are in no chunk.
    """
    sizes: dict[str, int] = {}
    for shard in shards:
        for name, array in shard.arrays.items():
            sizes[name] = sizes.get(name, 0) + array.dtype.itemsize * int(np.prod(array.shape, dtype=object))
    tokens = _count_items(shards, "tokens/id")
    dropped = sum(int(as_array(shard.arrays["documents/dropped_tokens"]).sum()) for shard in shards)
    return {
        "documents": documents,
        "chunks": _count_items(shards, "chunks/span"),
        "segments": _count_items(shards, "segments/vector"),
        "tokens": tokens,
        "dropped_tokens": dropped,
        "dropped_share": dropped / max(tokens + dropped, 1),
        "shards": len(shards),
        "bytes": sum(shard.size for shard in shards),
        "arrays": dict(sorted(sizes.items(), key=lambda item: -item[1])),
    }


def _count_items(shards: Sequence[Shard], name: str) -> int:
    return sum(shard.arrays[name].shape[0] for shard in shards if name in shard.arrays)


@dataclass(frozen=True)
class DamagedShard:
    """A file in shards/ that is not read, and why."""

    path: Location
    problem: str


def find_problems(
    store: Storage, recipe: Recipe, verified: VerifiedShards, progress: Progress | None = None
) -> list[str]:
    """Check shards and the keys of corpora, and return one sentence per problem; arguments as in `check_shards`."""
    damaged, known = check_shards(store.subfolder("shards"), recipe, verified, progress)
    return [shard.problem for shard in damaged] + [corpus.message for corpus in find_missing_features(store, known)]


def check_shards(
    folder: Storage, recipe: Recipe, verified: VerifiedShards, progress: Progress | None = None
) -> tuple[list[DamagedShard], KeyIndex]:
    """Hash and check every file in shards/, whatever was verified before, also those that come while this runs.

    A shard that another process replaces meanwhile is no problem.

    Args:
        folder: The folder shards/ of a store.
        recipe: Its recipe.
        verified: The cache of verified shards, which is updated.
        progress: Called with the bytes done and the total bytes.

    Returns:
        The files that are not shards of `recipe`, by name, and the keys of the shards.
    """
    total, done, damaged, checked = 0, 0, list[DamagedShard](), set[str]()
    keys: list[NDArray[np.bytes_]] = []
    with ShardParser(recipe) as parser:
        while new := {name: state for name, state in folder.states().items() if name not in checked}:
            checked |= new.keys()
            total += sum(state.size for state in new.values())
            for name, state in new.items():
                try:
                    keys.append(_check_shard(folder, name, parser, recipe, verified))
                except FileNotFoundError:  # compacted away
                    pass
                except (StoreDamaged, BadData) as error:
                    if folder.state(name) is not None:  # not compacted away while it was read
                        damaged.append(DamagedShard(folder.location / name, str(error)))
                done += state.size
                if progress is not None:
                    progress(done, total)
    verified.save()
    return damaged, KeyIndex(keys)


def _check_shard(
    folder: Storage, name: str, parser: ShardParser, recipe: Recipe, verified: VerifiedShards
) -> NDArray[np.bytes_]:
    """Return the keys of a shard. Raises StoreDamaged or BadData if it is none; FileNotFoundError if it is gone."""
    location = folder.location / name
    if not is_shard(name):
        raise StoreDamaged(
            f"{location} is not a shard, and is not read. Move it elsewhere, or run `embedonce store repair`."
        )
    was_parsed = verified.was_parsed(name)
    verified.forget(name)
    with folder.fresh_copy(name) as path:
        try:
            check_shard_hash(path)
            fault = None if was_parsed else parser.find_fault(path)
            if fault is not None:
                raise StoreDamaged(fault)
            stat = path.lstat()
            keys = Shard.open(path, recipe, lambda _: True).keys
        except (StoreDamaged, BadData) as error:
            raise type(error)(str(error).replace(str(path), str(location))) from error  # a copy has another path
    verified.add(name, stat)
    return keys


def is_shard(name: str) -> bool:
    """Whether a file name is that of a shard: 64 hex digits and .h5."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - a name, not a path
    return ending == ".h5" and len(stem) == 64 and set(stem) <= set("0123456789abcdef")


@dataclass(frozen=True)
class MissingFeatures:
    """A corpus that lacks features, or cannot be read. ids: the documents without features, in their order."""

    corpus: str
    ids: tuple[str, ...]
    message: str


def find_missing_features(store: Storage, known: KeyIndex) -> list[MissingFeatures]:
    """List the corpora of a store with documents whose keys are not `known`, and those that cannot be read.

    Documents without finite vectors are not missing.
    """
    missing, failed = [], unencodable.load_keys(store.subfolder("unencodable"))
    folder = store.subfolder("corpora")
    for name in corpora.list_names(folder):
        try:
            table = corpora.load(name, folder)
        except EmbedOnceError as error:
            missing.append(MissingFeatures(name, (), str(error)))
            continue
        rows = [row for row in np.flatnonzero(~known.contains(table.keys)).tolist() if table.keys[row] not in failed]
        if rows:
            message = (
                f"{name}: {len(rows):,} of {len(table.keys):,} documents have no features. "
                f"Run the same `embedonce embed` of {table.source} again to encode them."
            )
            missing.append(MissingFeatures(name, tuple(table.ids[row] for row in rows), message))
    return missing
