"""What each kept array costs: bytes per document, and the time to read one epoch next to one epoch of the lstm head."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.measuring import Topic, at_most, drop_page_cache, median_seconds
from benchmarks.synthetic_stores import DIM, RECIPE, Counts, committed, content, random_keys, random_vectors
from featurestore import Bags, FeatureStore, Ragged, Recipe

BATCH = 64
LAYERS = 13
DOCUMENTS, FEWER = 2_048, 512  # FEWER where all layers of all tokens are kept, 10 kB a token
LABELS = 52
LEARNED = {"chunks": 2_048, "segments": 2_048, "tokens": 64}  # documents of an lstm epoch: tokens take 0.1 s each
DATASETS = {"chunk": "chunks/cls", "segment": "segments/vector", "token": "tokens/vector"}

Over = Literal["chunks", "segments", "tokens"]
Lengths = dict[str, Counts]


@dataclass(frozen=True)
class Kept:
    """A way to keep documents and to read them. over: what `lstm` takes its steps from. vectors: kept of a document."""

    name: str
    bags: Bags
    view: str
    over: Over
    vectors: float

    def read(self) -> None:
        """An epoch: all documents in batches of alike length."""
        for rows in self.bags.batches(BATCH, by=self.view, rng=0):
            self.bags[rows].view(self.view).gather(np.float16)


def costs(folder: Path, store_folder: Path | None) -> Topic:
    """Bytes of documents as long as those of `store_folder`; seconds a thousand of them, with random vectors."""
    lengths = _lengths_of(store_folder) if store_folder else _lengths_made()
    heads = ["kept", "bytes per document", "× cls", "ms to read", "cold", "ms of lstm", "reading / lstm", "cold"]
    rows, claims, epochs = [heads], [], dict[str, float]()
    for kept in _ways_to_keep(folder, lengths):
        if kept.over not in epochs:
            epochs[kept.over] = _epoch_of_lstm(kept)
        warm, cold, epoch = *_epochs_of_reading(kept, folder), epochs[kept.over]
        sizes = [f"{2 * DIM * kept.vectors:,.0f}", f"{kept.vectors / float(lengths['chunk'].mean()):,.1f}"]
        times = [f"{each * 1e3:,.1f}" for each in (warm, cold, epoch)]
        rows.append([kept.name, *sizes, *times, f"{warm / epoch:.2%}", f"{cold / epoch:.2%}"])
        claims += [
            at_most(f"{kept.name}: an epoch's reading from {place}, share of an epoch of lstm", each / epoch, 1)
            for place, each in (("memory", warm), ("disk", cold))
        ]
    tokens = float(lengths["token"].mean())
    return Topic(f"What is kept: a thousand documents of {tokens:,.0f} tokens, one epoch each", rows, claims)


def _lengths_of(store_folder: Path) -> Lengths:
    """Chunks, segments and tokens of each document of a store."""
    shards = FeatureStore.open(store_folder).shards()
    return {
        name: np.concatenate([np.diff(np.asarray(shard.arrays[f"documents/{name}_offsets"])) for shard in shards])
        for name in DATASETS
    }


def _lengths_made() -> Lengths:
    """As Reuters-52's: half of the documents have less than 85 tokens, one in ten more than 280."""
    token = np.random.default_rng(0).lognormal(np.log(85), 0.93, 9_000).clip(1, 1_100).astype(np.int64)
    return {"chunk": -(-token // RECIPE.window), "segment": -(-token // RECIPE.segment), "token": token}


def _ways_to_keep(folder: Path, lengths: Lengths) -> Iterator[Kept]:
    mean = {name: float(each.mean()) for name, each in lengths.items()}
    one = _made(folder / "one", lengths, DOCUMENTS, replace(RECIPE, keep=("cls", "segments", "tokens")))
    bags = one.shards()[0].bags()
    yield Kept("cls, mean or max", bags.select_views("cls"), "cls", "chunks", mean["chunk"])
    yield Kept("segments of 32", bags.select_views("segments"), "segments", "segments", mean["segment"])
    yield Kept("tokens, one layer", bags.select_views("tokens"), "tokens", "tokens", mean["token"])
    layers = tuple(range(-LAYERS, 0))
    (shard,) = _made(folder / "all", lengths, FEWER, replace(RECIPE, keep=("tokens",), layers=layers)).shards()
    single = shard.bags(layer=-1).select_views("tokens")
    # a copy of the offsets, for their map would stay open and keep its pages in memory
    every = Ragged.from_flat(shard.arrays["tokens/vector"], np.array(shard.arrays["documents/token_offsets"]))
    for name, bags in {"one read": single, "all read": Bags({"tokens": every})}.items():
        yield Kept(f"tokens, {LAYERS} layers, {name}", bags, "tokens", "tokens", LAYERS * mean["token"])


def _made(folder: Path, lengths: Lengths, documents: int, recipe: Recipe) -> FeatureStore:
    """One shard of so many of the documents, spread evenly over all lengths."""
    rng = np.random.default_rng(0)
    by_length = np.argsort(lengths["token"])
    rows = rng.permutation(by_length[np.linspace(0, len(by_length) - 1, documents).astype(int)])
    counts = {name: each[rows] for name, each in lengths.items() if name != "segment" or "segments" in recipe.keep}
    tail = (DIM,) if len(recipe.layers) == 1 else (len(recipe.layers), DIM)
    kept = {
        DATASETS[name]: random_vectors(rng, int(each.sum()), *tail)
        for name, each in counts.items()
        if name != "chunk" or "cls" in recipe.keep
    }
    return committed(folder, [content(random_keys(rng, documents), counts, kept)], recipe)


def _epochs_of_reading(kept: Kept, folder: Path) -> tuple[float, float]:
    """Seconds a thousand documents, from memory and from disk."""
    kept.read()
    warm, cold = median_seconds({"": kept.read}, 5), median_seconds({"": kept.read}, 3, lambda: drop_page_cache(folder))
    return warm[""] * 1000 / len(kept.bags), cold[""] * 1000 / len(kept.bags)


def _epoch_of_lstm(kept: Kept) -> float:
    """Seconds a thousand documents: the head's own loop, which has the vectors in memory before its first epoch."""
    from heads.classifiers.lstm import LSTMHead
    from heads.training.config import Optimization, Stopping, Training

    stamps: list[float] = []
    head = LSTMHead(
        over=kept.over,
        training=Training(optimization=Optimization(epochs=2, min_steps=1), stopping=Stopping(validation_fraction=0)),
    )
    head.on_epoch = lambda _: stamps.append(time.perf_counter())
    bags = kept.bags[: LEARNED[kept.over]]
    head.fit(bags, np.arange(len(bags)) % LABELS)
    return (stamps[1] - stamps[0]) * 1000 / len(bags)
