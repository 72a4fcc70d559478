"""The content of a store, and checks of its shards and corpora."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import EmbedOnceError
from featurestore.shards.keys import KeyIndex
from featurestore.shards.shard import Shard, check_shard_hash
from featurestore.shards.subprocess_parser import find_faults
from featurestore.shards.verified_cache import VerifiedShards
from featurestore.store import corpora, unencodable
from featurestore.vectors.ragged import as_array
from featurestore.vectors.recipe import Recipe

Progress = Callable[[float, float], None]


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

    path: Path
    problem: str


def find_problems(
    folder: Path, recipe: Recipe, verified: VerifiedShards, progress: Progress | None = None
) -> list[str]:
    """Check shards and the keys of corpora, and return one sentence per problem; arguments as in `check_shards`."""
    damaged, shards = check_shards(folder, recipe, verified, progress)
    known = KeyIndex(shard.keys for shard in shards)
    missing = find_missing_features(folder, known)
    return [shard.problem for shard in damaged] + [corpus.message for corpus in missing]


def check_shards(
    folder: Path, recipe: Recipe, verified: VerifiedShards, progress: Progress | None = None
) -> tuple[list[DamagedShard], list[Shard]]:
    """Hash and check every file in shards/, whatever was verified before.

    Args:
        folder: The store.
        recipe: Its recipe.
        verified: The cache of verified shards, which is updated.
        progress: Called with the bytes done and the total bytes.

    Returns:
        The files that are not shards of `recipe`, and the shards, both by name.
    """
    paths = [path for path in sorted((folder / "shards").glob("*")) if not path.name.startswith(".")]
    problems = {
        path: f"{path} is not a shard, and is not read. Move it elsewhere, or run `embedonce store repair`."
        for path in paths
        if not is_shard(path.name)
    }
    named = [path for path in paths if is_shard(path.name)]
    problems |= _find_wrong_hashes(named, progress)
    unparsed = [path for path in named if path not in problems and not verified.was_parsed(path.name)]
    faults = zip(unparsed, find_faults(unparsed, recipe), strict=True)
    problems |= {path: fault for path, fault in faults if fault is not None}
    shards: list[Shard] = []
    for path in named:
        verified.forget(path.name)
        if path not in problems:
            try:
                stat = path.lstat()
                shards.append(Shard.open(path, recipe, lambda _: True))
                verified.add(path.name, stat)
            except FileNotFoundError:  # another process compacted the store meanwhile
                continue
            except EmbedOnceError as error:
                problems[path] = str(error)
    verified.save()
    damaged = [DamagedShard(path, problems[path]) for path in paths if path in problems and os.path.lexists(path)]
    return damaged, shards


def _find_wrong_hashes(paths: Sequence[Path], progress: Progress | None) -> dict[Path, str]:
    """Return one sentence for each shard whose bytes do not match its name, or that cannot be read."""
    problems, done, total = {}, 0, sum(map(_file_size, paths))
    for path in paths:
        try:
            check_shard_hash(path)
        except FileNotFoundError:
            continue
        except EmbedOnceError as error:
            problems[path] = str(error)
        done += _file_size(path)
        if progress is not None:
            progress(done, total)
    return problems


def _file_size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


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


def find_missing_features(folder: Path, known: KeyIndex) -> list[MissingFeatures]:
    """List the corpora of a store with documents whose keys are not `known`, and those that cannot be read.

    Documents without finite vectors are not missing.
    """
    missing, failed = [], unencodable.load_keys(folder / "unencodable")
    for name in corpora.list_names(folder / "corpora"):
        try:
            table = corpora.load(name, folder / "corpora")
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
