"""A store of a million documents in more shards than can be mapped at once: opening it, and reading all of it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.measuring import Topic, at_most, count_mapped_files, process_memory
from benchmarks.synthetic_stores import DIM, create_store, random_keys, random_vectors, shard_content
from featurestore import Bags, FeatureStore, ShardContent

DOCUMENTS, SHARDS = 1_000_000, 280  # of 3 MB; more shards than can be mapped at once
BATCH = 64
SHARES = (0.1, 0.5, 1)
MB = 1e6

T = TypeVar("T")


@dataclass(frozen=True)
class Opening:
    """What one process needed to open a store. peak, imports: its peak memory in bytes, with and before the store."""

    documents: int
    seconds: float
    cpu_seconds: float
    peak: int
    imports: int


@dataclass(frozen=True)
class Reading:
    """A share of the documents, read in random batches.

    anonymous: bytes of the process's memory that belong to no file. mapped: the highest number of mapped files.
    """

    share: float
    seconds: float
    anonymous: int
    mapped: int


def measure_opening(folder: Path) -> Topic:
    """The table of opening and reading, both in child processes, in which only the files are in the page cache."""
    create_store(folder / "store", _contents())
    openings = [_run_in_process(open_store, folder / "store") for _ in range(3)]
    opening = sorted(openings, key=lambda each: each.seconds)[1]
    readings = _run_in_process(read_store, folder / "store")
    rows = [[f"{DOCUMENTS:,} documents in {SHARDS} shards", "seconds", "MB", "maps"]]
    rows.append(["opened", f"{opening.seconds:.2f}", f"{opening.peak / MB:,.0f}", ""])
    rows.append(["CPU time of that", f"{opening.cpu_seconds:.2f}", "", ""])
    rows.append(["of that before the store, by imports", "", f"{opening.imports / MB:,.0f}", ""])
    for reading in readings:
        name = f"{reading.share:.0%} read in random batches of {BATCH}"
        rows.append([name, f"{reading.seconds:.1f}", f"{reading.anonymous / MB:,.0f}", f"{reading.mapped}"])
    mapped = max(reading.mapped for reading in readings)
    growth = (readings[-1].anonymous - readings[0].anonymous) / MB
    claims = [
        at_most(f"opening a store of {DOCUMENTS:,} documents, seconds", opening.seconds, 1),
        at_most(f"opening a store of {DOCUMENTS:,} documents, MB with imports", opening.peak / MB, 300),
        at_most(f"files mapped at once while {SHARDS} shards are read", mapped, 256),
        at_most("MB of its own that a process has gained between a tenth read and all", growth, 16),
    ]
    return Topic("Opening", rows, claims)


def _contents() -> Iterator[ShardContent]:
    rng = np.random.default_rng(0)
    vectors = random_vectors(rng, DOCUMENTS // SHARDS + 1, DIM)
    for size in np.diff(np.linspace(0, DOCUMENTS, SHARDS + 1).astype(int)).tolist():
        counts = {"chunk": np.ones(size, dtype=np.int64), "token": np.zeros(size, dtype=np.int64)}
        yield shard_content(random_keys(rng, size), counts, {"chunks/cls": vectors[:size]})


def open_store(folder: Path) -> Opening:
    """Open the store and count its documents."""
    imports, start, cpu = process_memory("VmHWM"), time.perf_counter(), time.process_time()
    documents = FeatureStore.open(folder).documents
    return Opening(documents, time.perf_counter() - start, time.process_time() - cpu, process_memory("VmHWM"), imports)


def read_store(folder: Path) -> list[Reading]:
    """Read each document once, in random order; one result for each of SHARES."""
    bags = Bags.concatenate([shard.bags().select_views("cls") for shard in FeatureStore.open(folder).shards()])
    order = np.random.default_rng(1).permutation(len(bags))
    start, mapped, readings = time.perf_counter(), 0, list[Reading]()
    for end in range(BATCH, len(order) + 1, BATCH):
        bags[order[end - BATCH : end]].view("cls").gather(np.float16)
        share = end / len(order)
        if len(readings) < len(SHARES) and share >= SHARES[len(readings)]:
            mapped = max(mapped, count_mapped_files(folder))
            readings.append(Reading(share, time.perf_counter() - start, process_memory("RssAnon"), mapped))
        elif end % (BATCH * 100) == 0:
            mapped = max(mapped, count_mapped_files(folder))
    return readings


def _run_in_process(measure: Callable[[Path], T], folder: Path) -> T:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        return child.submit(measure, folder).result()
