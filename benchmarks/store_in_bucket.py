"""What a store in a bucket costs: `fit-head` from a warm cache, compared with the same store on the local disk."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Topic, at_least, median_seconds
from benchmarks.synthetic_stores import DIM, RECIPE, random_keys, shard_content
from featurestore import CorpusTable, FeatureStore, ShardContent
from tests.featurestore.storage.s3_server import S3Server

DOCUMENTS = 20_000
SHARD_DOCUMENTS = 4_000
LABELS = 8
ROUNDS = 5
URL = "s3://features/store"


def measure_bucket(folder: Path) -> Topic:
    """Fits of `linear` by the program, with the store on the local disk and on a SeaweedFS server on this machine."""
    (folder / "s3").mkdir()
    with S3Server.start(folder / "s3") as server:
        os.environ.update(server.environment())
        for place in (str(folder / "local"), URL):
            _write_store(place)
        shutil.rmtree(folder / "cache")
        numbers = count()

        def fit(store: str) -> Callable[[], object]:
            return lambda: _fit(store, folder / f"runs {next(numbers)}")

        start = time.perf_counter()
        fit(URL)()
        cold = time.perf_counter() - start
        fit(str(folder / "local"))()  # whose hashes are checked once, as the cache's are
        seconds = median_seconds({"local disk": fit(str(folder / "local")), "warm cache": fit(URL)}, ROUNDS)
    rows = [[f"fit-head linear, {DOCUMENTS:,} documents", "seconds"]]
    rows += [[name, f"{value:.2f}"] for name, value in (seconds | {"cold cache": cold}).items()]
    ratio = seconds["local disk"] / seconds["warm cache"]
    claim = "fit-head from a warm cache of a bucket: speed of the local disk, times"
    return Topic("A store in a bucket", rows, [at_least(claim, ratio, 0.9)])


def _write_store(place: str) -> None:
    store, rng = FeatureStore.create(place, RECIPE), np.random.default_rng(0)
    keys, labels = random_keys(rng, DOCUMENTS), rng.integers(LABELS, size=DOCUMENTS)
    for content in _contents(keys, labels, rng):
        store.commit(content)
    none = [None] * DOCUMENTS
    splits = ["test" if row % 5 == 0 else "train" for row in range(DOCUMENTS)]
    ids, single = list(map(str, range(DOCUMENTS))), [(f"label {label}",) for label in labels]
    store.save_corpus(CorpusTable("made", "made.csv", "single", None, ids, keys, splits, none, single))


def _contents(keys: list[str], labels: NDArray[np.int64], rng: np.random.Generator) -> Iterator[ShardContent]:
    """Documents of four vectors, around a center per label."""
    centers = rng.normal(size=(LABELS, DIM))
    for start in range(0, DOCUMENTS, SHARD_DOCUMENTS):
        rows = slice(start, start + SHARD_DOCUMENTS)
        vectors = centers[labels[rows]].repeat(4, axis=0) + rng.normal(scale=6, size=(4 * SHARD_DOCUMENTS, DIM))
        counts = {"chunk": np.full(SHARD_DOCUMENTS, 4), "token": np.zeros(SHARD_DOCUMENTS, dtype=np.int64)}
        yield shard_content(keys[rows], counts, {"chunks/cls": vectors.astype(np.float16)})


def _fit(store: str, runs: Path) -> None:
    program = "import sys, cli; sys.exit(cli.main())"
    command = [sys.executable, "-c", program, "fit-head", "linear", "--store", store, "--runs", str(runs)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if ended.returncode:
        raise RuntimeError(ended.stderr)
