"""What a store holds, and whether it is whole."""

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
from featurestore.store import corpora
from featurestore.vectors.ragged import as_array
from featurestore.vectors.recipe import Recipe

Progress = Callable[[float, float], None]


def count_contents(shards: Sequence[Shard], documents: int) -> dict[str, Any]:
    """Counts, bytes on disk, and what each kept array costs of them, as plain values; `documents` are distinct texts.

    dropped_share: tokens that are in no chunk, of all that the documents had.
    """
    sizes: dict[str, int] = {}
    for shard in shards:
        for name, part in shard.arrays.items():
            sizes[name] = sizes.get(name, 0) + part.dtype.itemsize * int(np.prod(part.shape, dtype=object))
    tokens = _items(shards, "tokens/id")
    dropped = sum(int(as_array(shard.arrays["documents/dropped_tokens"]).sum()) for shard in shards)
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
    return sum(shard.arrays[name].shape[0] for shard in shards if name in shard.arrays)


@dataclass(frozen=True)
class DamagedShard:
    """Something in shards/ that is not read, and why."""

    path: Path
    problem: str


def find_problems(
    folder: Path, recipe: Recipe, verified: VerifiedShards, progress: Progress | None = None
) -> list[str]:
    """A sentence for each thing that is wrong: shards are hashed, offsets checked, corpora held against keys."""
    bad, shards = check_shards(folder, recipe, verified, progress)
    there = KeyIndex(shard.keys for shard in shards)
    return [each.problem for each in bad] + [
        missing.message for missing in find_missing_features(folder / "corpora", there)
    ]


def check_shards(
    folder: Path, recipe: Recipe, verified: VerifiedShards, progress: Progress | None = None
) -> tuple[list[DamagedShard], list[Shard]]:
    """What in shards/ is not a shard of `recipe`, and the shards that are, by name. Hashed now, whatever is remembered.

    progress: told bytes done and bytes in all.
    """
    paths = [path for path in sorted((folder / "shards").glob("*")) if not path.name.startswith(".")]
    odd = [path for path in paths if not is_shard(path.name)]
    wrong = {
        path: f"{path} is not a shard, and is not read. Move it elsewhere, or run `embedonce store repair`."
        for path in odd
    }
    named = [path for path in paths if is_shard(path.name)]
    wrong |= _not_their_names(named, progress)
    new = [path for path in named if path not in wrong and not verified.was_parsed(path.name)]
    wrong |= {path: fault for path, fault in zip(new, find_faults(new, recipe), strict=True) if fault is not None}
    shards: list[Shard] = []
    for path in named:
        verified.forget(path.name)
        if path not in wrong:
            try:
                found = path.lstat()
                shards.append(Shard.open(path, recipe, lambda _: True))
                verified.add(path.name, found)
            except FileNotFoundError:  # compacted away meanwhile
                continue
            except EmbedOnceError as error:
                wrong[path] = str(error)
    verified.save()
    return [DamagedShard(path, wrong[path]) for path in paths if path in wrong and os.path.lexists(path)], shards


def _not_their_names(paths: Sequence[Path], progress: Progress | None) -> dict[Path, str]:
    """Those whose bytes are not what their name is the hash of, or that cannot be read, with a sentence."""
    wrong, done, total = {}, 0, sum(map(_size, paths))
    for path in paths:
        try:
            check_shard_hash(path)
        except FileNotFoundError:
            continue
        except EmbedOnceError as error:
            wrong[path] = str(error)
        done += _size(path)
        if progress is not None:
            progress(done, total)
    return wrong


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def is_shard(name: str) -> bool:
    """Whether a file of that name is a shard: 64 hex digits and .h5."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - a name, not a path
    return ending == ".h5" and len(stem) == 64 and set(stem) <= set("0123456789abcdef")


@dataclass(frozen=True)
class MissingFeatures:
    """A corpus that lacks features, or cannot be read. ids: its documents without features, in their order."""

    corpus: str
    ids: tuple[str, ...]
    message: str


def find_missing_features(folder: Path, there: KeyIndex) -> list[MissingFeatures]:
    """The corpora in `folder` of which something is missing."""
    found = []
    for name in corpora.list_names(folder):
        try:
            table = corpora.load(name, folder)
        except EmbedOnceError as error:
            found.append(MissingFeatures(name, (), str(error)))
            continue
        rows = np.flatnonzero(~there.contains(table.keys)).tolist()
        if rows:
            sentence = (
                f"{name}: {len(rows):,} of {len(table.keys):,} documents have no features. "
                f"Embed {table.source} again, as you did before, to encode them."
            )
            found.append(MissingFeatures(name, tuple(table.ids[row] for row in rows), sentence))
    return found
