"""Stores of made-up labeled documents of any number: words and vectors that tell the labels apart, with errors."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.synthetic_stores import DIM, create_store, random_keys, shard_content
from featurestore import CorpusTable, Recipe, ShardContent
from tests.featurestore.made import RECIPE as TEST_RECIPE

SHARD_DOCUMENTS = 20_000
WORDS = 20_000  # of the vocabulary; each label prefers some of them
SEPARATION = 2.6  # between the centers of labels, in deviations: `linear` has an accuracy of about 0.8 with 20 labels
SEGMENT_TOKENS = 32


@dataclass(frozen=True)
class Corpus:
    """Made-up documents. segments: of each document, 32 tokens and one vector each; 0 keeps no vectors of segments."""

    documents: int
    labels: int = 20
    segments: int = 0
    tokens: int = 24

    @property
    def recipe(self) -> Recipe:
        """The recipe of its store: three views of one chunk, and segments if there are some."""
        keep = ("cls", "mean", "max", "segments") if self.segments else ("cls", "mean", "max")
        return replace(TEST_RECIPE, keep=keep)

    def open(self, folder: Path) -> Path:
        """The path of its store in `folder`, which is made unless it exists."""
        name = f"{self.documents}-{self.labels}-{self.segments}"
        store = folder / name
        if not (store / "complete").exists():
            shutil.rmtree(store, ignore_errors=True)
            self._write(store)
            (store / "complete").touch()
        return store

    def _write(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        keys, codes = random_keys(rng, self.documents), self._draw_labels(rng)
        store = create_store(folder, self._shards(rng, keys, codes), self.recipe)
        splits = ["test" if row % 5 == 4 else "train" for row in range(self.documents)]
        store.save_corpus(
            CorpusTable(
                name="made",
                source="made.csv",
                kind="single",
                taxonomy=None,
                ids=[f"d{row}" for row in range(self.documents)],
                keys=keys,
                splits=splits,
                groups=[None] * self.documents,
                labels=[(f"label {code:02}",) for code in codes.tolist()],
                notes=(),
            )
        )

    def _draw_labels(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Labels whose frequencies fall with the root of their rank."""
        share = 1 / np.sqrt(np.arange(1, self.labels + 1))
        return rng.choice(self.labels, self.documents, p=share / share.sum())

    def _shards(self, rng: np.random.Generator, keys: list[str], codes: NDArray[np.int64]) -> Iterator[ShardContent]:
        centers = SEPARATION * rng.standard_normal((self.labels, DIM), np.float32) / np.sqrt(DIM)
        chunks = max(1, -(-self.segments // 8))
        for first, end in pairwise([*range(0, self.documents, SHARD_DOCUMENTS), self.documents]):
            part = codes[first:end]
            tokens = SEGMENT_TOKENS * self.segments or self.tokens
            counts = {name: np.full(len(part), count) for name, count in (("chunk", chunks), ("token", tokens))}
            views = ("chunks/cls", "chunks/mean", "chunks/max")
            vectors = {view: self._vectors(rng, centers, part.repeat(chunks)) for view in views}
            if self.segments:
                counts["segment"] = np.full(len(part), self.segments)
                vectors["segments/vector"] = self._vectors(rng, centers, part.repeat(self.segments))
            content = shard_content(keys[first:end], counts, vectors)
            content.arrays["tokens/id"][:] = self._words(rng, part.repeat(tokens))
            yield content

    def _vectors(
        self, rng: np.random.Generator, centers: NDArray[np.float32], codes: NDArray[np.int64]
    ) -> NDArray[np.float16]:
        noise = rng.standard_normal((len(codes), DIM), np.float32)
        return (centers[codes] + noise).astype(np.float16)

    def _words(self, rng: np.random.Generator, codes: NDArray[np.int64]) -> NDArray[np.int32]:
        """Frequent words of all labels; one in ten is a word that the label prefers."""
        common = np.minimum(rng.pareto(0.7, len(codes)) * 50, WORDS - 1).astype(np.int32)
        own = WORDS + 50 * codes + rng.integers(0, 50, len(codes))
        return np.where(rng.random(len(codes)) < 0.1, own, common).astype(np.int32)
