"""What each stored array costs: bytes per document, and the time to read an epoch, compared with an epoch of `lstm`."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.measuring import Topic, at_most, drop_page_cache, median_seconds
from benchmarks.synthetic_stores import (
    DIM,
    RECIPE,
    Counts,
    create_store,
    random_keys,
    random_vectors,
    shard_content,
)
from featurestore import Bags, FeatureStore, Ragged, Recipe

BATCH = 64
LAYERS = 13
DOCUMENTS, DOCUMENTS_WITH_LAYERS = 2_048, 512  # all layers of all tokens take 10 kB per token
LABELS = 52
FITTED = {
    "chunks": 2_048,
    "segments": 2_048,
    "tokens": 64,
}  # documents of an lstm epoch: tokens take 0.1 s per document
DATASETS = {"chunk": "chunks/cls", "segment": "segments/vector", "token": "tokens/vector"}

Over = Literal["chunks", "segments", "tokens"]
Lengths = dict[str, Counts]


@dataclass(frozen=True)
class Variant:
    """A set of stored arrays and how they are read.

    over: the hyperparameter of `lstm`. vectors: the mean number of stored vectors per document.
    """

    name: str
    bags: Bags
    view: str
    over: Over
    vectors: float

    def read_epoch(self) -> None:
        """Read all documents in batches of similar length."""
        for rows in self.bags.batches(BATCH, by=self.view, rng=0):
            self.bags[rows].view(self.view).gather(np.float16)


def measure_costs(folder: Path, store_folder: Path | None) -> Topic:
    """The table of all variants, for random vectors and the document lengths of `store_folder`, or synthetic ones."""
    lengths = _lengths_of(store_folder) if store_folder else _synthetic_lengths()
    header = ["kept", "bytes per document", "× cls", "ms to read", "cold", "ms of lstm", "reading / lstm", "cold"]
    rows, claims, lstm_seconds = [header], [], dict[str, float]()
    for variant in _variants(folder, lengths):
        if variant.over not in lstm_seconds:
            lstm_seconds[variant.over] = _lstm_epoch_seconds(variant)
        warm, cold, lstm = *_reading_seconds(variant, folder), lstm_seconds[variant.over]
        sizes = [f"{2 * DIM * variant.vectors:,.0f}", f"{variant.vectors / float(lengths['chunk'].mean()):,.1f}"]
        milliseconds = [f"{seconds * 1e3:,.1f}" for seconds in (warm, cold, lstm)]
        rows.append([variant.name, *sizes, *milliseconds, f"{warm / lstm:.2%}", f"{cold / lstm:.2%}"])
        claims += [
            at_most(f"{variant.name}: an epoch's reading from {source}, share of an epoch of lstm", seconds / lstm, 1)
            for source, seconds in (("memory", warm), ("disk", cold))
        ]
    tokens = float(lengths["token"].mean())
    return Topic(f"What is kept: a thousand documents of {tokens:,.0f} tokens, one epoch each", rows, claims)


def _lengths_of(store_folder: Path) -> Lengths:
    """The number of chunks, segments and tokens of each document of a store."""
    shards = FeatureStore.open(store_folder).shards()
    return {
        name: np.concatenate([np.diff(np.asarray(shard.arrays[f"documents/{name}_offsets"])) for shard in shards])
        for name in DATASETS
    }


def _synthetic_lengths() -> Lengths:
    """Lengths as in Reuters-52: half of the documents have fewer than 85 tokens, one in ten more than 280."""
    token = np.random.default_rng(0).lognormal(np.log(85), 0.93, 9_000).clip(1, 1_100).astype(np.int64)
    return {"chunk": -(-token // RECIPE.window), "segment": -(-token // RECIPE.segment), "token": token}


def _variants(folder: Path, lengths: Lengths) -> Iterator[Variant]:
    mean = {name: float(counts.mean()) for name, counts in lengths.items()}
    recipe = replace(RECIPE, keep=("cls", "segments", "tokens"))
    bags = _create_shard(folder / "one", lengths, DOCUMENTS, recipe).shards()[0].bags()
    yield Variant("cls, mean or max", bags.select_views("cls"), "cls", "chunks", mean["chunk"])
    yield Variant("segments of 32", bags.select_views("segments"), "segments", "segments", mean["segment"])
    yield Variant("tokens, one layer", bags.select_views("tokens"), "tokens", "tokens", mean["token"])
    recipe = replace(RECIPE, keep=("tokens",), layers=tuple(range(-LAYERS, 0)))
    (shard,) = _create_shard(folder / "all", lengths, DOCUMENTS_WITH_LAYERS, recipe).shards()
    last_layer = shard.bags(layer=-1).select_views("tokens")
    # a copy of the offsets, because their map would stay open and keep its pages in memory
    all_layers = Ragged.from_flat(shard.arrays["tokens/vector"], np.array(shard.arrays["documents/token_offsets"]))
    for name, bags in {"one read": last_layer, "all read": Bags({"tokens": all_layers})}.items():
        yield Variant(f"tokens, {LAYERS} layers, {name}", bags, "tokens", "tokens", LAYERS * mean["token"])


def _create_shard(folder: Path, lengths: Lengths, documents: int, recipe: Recipe) -> FeatureStore:
    """A store of one shard with `documents` of the documents, spread evenly over all lengths."""
    rng = np.random.default_rng(0)
    by_length = np.argsort(lengths["token"])
    rows = rng.permutation(by_length[np.linspace(0, len(by_length) - 1, documents).astype(int)])
    counts = {name: each[rows] for name, each in lengths.items() if name != "segment" or "segments" in recipe.keep}
    shape = (DIM,) if len(recipe.layers) == 1 else (len(recipe.layers), DIM)
    vectors = {
        DATASETS[name]: random_vectors(rng, int(each.sum()), *shape)
        for name, each in counts.items()
        if name != "chunk" or "cls" in recipe.keep
    }
    return create_store(folder, [shard_content(random_keys(rng, documents), counts, vectors)], recipe)


def _reading_seconds(variant: Variant, folder: Path) -> tuple[float, float]:
    """Seconds per thousand documents, from memory and from disk."""
    variant.read_epoch()
    warm = median_seconds({"": variant.read_epoch}, 5)
    cold = median_seconds({"": variant.read_epoch}, 3, lambda: drop_page_cache(folder))
    return warm[""] * 1000 / len(variant.bags), cold[""] * 1000 / len(variant.bags)


def _lstm_epoch_seconds(variant: Variant) -> float:
    """Seconds per thousand documents of an epoch of `lstm`, which has the vectors in memory before its first epoch."""
    from heads.classifiers.lstm import LSTMHead
    from heads.training.config import Optimization, Stopping, Training

    stamps: list[float] = []
    head = LSTMHead(
        over=variant.over,
        training=Training(optimization=Optimization(epochs=2, min_steps=1), stopping=Stopping(validation_fraction=0)),
    )
    head.on_epoch = lambda _: stamps.append(time.perf_counter())
    bags = variant.bags[: FITTED[variant.over]]
    head.fit(bags, np.arange(len(bags)) % LABELS)
    return (stamps[1] - stamps[0]) * 1000 / len(bags)
