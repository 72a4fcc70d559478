"""Recipes and shards made up for tests, and what must be read back of them."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore import FeatureStore, Recipe, ShardContent, text_key

RECIPE = Recipe(
    encoder="made-up",
    weights="a" * 64,
    config="b" * 64,
    tokenizer="c" * 64,
    window=254,
    stride=0,
    special_tokens=True,
    long="windows",
    max_windows=None,
    prefix="",
    layers=(-1,),
    keep=("cls", "mean", "max", "segments"),
    segment=32,
    dtype="float16",
    precision="float32",
    backend="torch",
)
ALL_KEPT = replace(RECIPE, keep=("cls", "mean", "max", "segments", "tokens"))
KEPT = {"float16": np.float16, "float32": np.float32, "bfloat16": np.uint16}
NAMED = {
    "cls": "chunks/cls",
    "mean": "chunks/mean",
    "max": "chunks/max",
    "segments": "segments/vector",
    "tokens": "tokens/vector",
}
CUT_BY = {"chunks": "chunk", "segments": "segment", "tokens": "token"}
FOLDER_OF = {view: name.split("/")[0] for view, name in NAMED.items()} | {"token_ids": "tokens"}


def random_kept(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> NDArray[Any]:
    """Finite numbers in the type kept, every one with an exact float32."""
    values = rng.integers(-100, 100, size=shape).astype(np.float32) / 4
    return (values.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else values.astype(KEPT[dtype])


def content(
    texts: Sequence[str], recipe: Recipe = RECIPE, *, seed: int = 0, dim: int = 4, most: int = 3
) -> ShardContent:
    """A shard of `texts` with 0 to `most` chunks, segments and tokens each."""
    rng = np.random.default_rng(seed)
    item = (dim,) if len(recipe.layers) == 1 else (len(recipe.layers), dim)
    offsets = {part: np.r_[0, rng.integers(0, most + 1, len(texts)).cumsum()].astype(np.int64) for part in CUT_BY}
    count = {part: int(each[-1]) for part, each in offsets.items()}
    arrays: dict[str, NDArray[Any]] = {
        "documents/dropped_tokens": rng.integers(0, 5, len(texts)),
        "chunks/span": rng.integers(0, 9, (count["chunks"], 2)),
        "tokens/id": rng.integers(0, 9, count["tokens"], dtype=np.int32),
    }
    arrays |= {NAMED[view]: random_kept(rng, (count[FOLDER_OF[view]], *item), recipe.dtype) for view in recipe.keep}
    kept = {name.split("/")[0] for name in arrays}
    arrays |= {f"documents/{CUT_BY[part]}_offsets": offsets[part] for part in CUT_BY if part in kept}
    return ShardContent([text_key(text) for text in texts], arrays)


def rows_of(content: ShardContent, view: str, *, layer: int | None = None) -> list[NDArray[Any]]:
    """Each document's items as they were put in."""
    name = NAMED.get(view, "tokens/id")
    values = content.arrays[name] if layer is None else content.arrays[name][:, layer]
    if not content.keys:
        return []
    return np.split(values, content.arrays[f"documents/{CUT_BY[FOLDER_OF[view]]}_offsets"][1:-1])


def as_float32(kept: NDArray[Any]) -> NDArray[np.float32]:
    """Kept numbers worked out another way than the library's: a bfloat16 is the two upper bytes of a float32."""
    if kept.dtype != np.uint16:
        return kept.astype(np.float32)
    low_and_high = np.stack([np.zeros_like(kept), kept], axis=-1)
    return np.ascontiguousarray(low_and_high).view("<f4")[..., 0]


def older(store: FeatureStore) -> None:
    """Give all shards a time at which none is too new to be remembered."""
    for path in (store.folder / "shards").iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
