"""A store of a million documents in more shards than may be mapped at once: opened, and read whole."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.measuring import Topic, at_most, count_mapped_files, process_memory
from benchmarks.synthetic_stores import DIM, committed, content, random_keys, random_vectors
from featurestore import Bags, FeatureStore, ShardContent

DOCUMENTS, SHARDS = 1_000_000, 280  # of 3 MB: more than may be mapped at once
BATCH = 64
MB = 1e6

T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """What one process took to open a store. peak, imports: the most bytes that it had, with and before the store."""

    documents: int
    seconds: float
    cpu_seconds: float
    peak: int
    imports: int


@dataclass(frozen=True)
class Read:
    """A share of the documents in random batches. own: bytes of memory that are no file's. maps: the most at once."""

    share: float
    seconds: float
    own: int
    maps: int


def opening(folder: Path) -> Topic:
    """Figures of child processes, so that nothing is warm but the files."""
    committed(folder / "store", _contents())
    opened = sorted((_apart(opened_store, folder / "store") for _ in range(3)), key=lambda each: each.seconds)[1]
    reads = _apart(read_store, folder / "store")
    rows = [[f"{DOCUMENTS:,} documents in {SHARDS} shards", "seconds", "MB", "maps"]]
    rows.append(["opened", f"{opened.seconds:.2f}", f"{opened.peak / MB:,.0f}", ""])
    rows.append(["CPU time of that", f"{opened.cpu_seconds:.2f}", "", ""])
    rows.append(["of that before the store, by imports", "", f"{opened.imports / MB:,.0f}", ""])
    for each in reads:
        name = f"{each.share:.0%} read in random batches of {BATCH}"
        rows.append([name, f"{each.seconds:.1f}", f"{each.own / MB:,.0f}", f"{each.maps}"])
    most, grown = max(each.maps for each in reads), (reads[-1].own - reads[0].own) / MB
    claims = [
        at_most(f"opening a store of {DOCUMENTS:,} documents, seconds", opened.seconds, 1),
        at_most(f"opening a store of {DOCUMENTS:,} documents, MB with imports", opened.peak / MB, 300),
        at_most(f"files mapped at once while {SHARDS} shards are read", most, 256),
        at_most("MB of its own that a process has gained between a tenth read and all", grown, 16),
    ]
    return Topic("Opening", rows, claims)


def _contents() -> Iterator[ShardContent]:
    rng = np.random.default_rng(0)
    vectors = random_vectors(rng, DOCUMENTS // SHARDS + 1, DIM)
    for size in np.diff(np.linspace(0, DOCUMENTS, SHARDS + 1).astype(int)).tolist():
        counts = {"chunk": np.ones(size, dtype=np.int64), "token": np.zeros(size, dtype=np.int64)}
        yield content(random_keys(rng, size), counts, {"chunks/cls": vectors[:size]})


def opened_store(folder: Path) -> Opened:
    """Open the store and know its documents."""
    imports, start, cpu = process_memory("VmHWM"), time.perf_counter(), time.process_time()
    documents = FeatureStore.open(folder).documents
    return Opened(documents, time.perf_counter() - start, time.process_time() - cpu, process_memory("VmHWM"), imports)


def read_store(folder: Path) -> list[Read]:
    """Every document once, in random order; figures after a tenth, after half and after all."""
    bags = Bags.concatenate([shard.bags().select_views("cls") for shard in FeatureStore.open(folder).shards()])
    order = np.random.default_rng(1).permutation(len(bags))
    start, most, done = time.perf_counter(), 0, list[Read]()
    for end in range(BATCH, len(order) + 1, BATCH):
        bags[order[end - BATCH : end]].view("cls").gather(np.float16)
        share = end / len(order)
        if len(done) < 3 and share >= (0.1, 0.5, 1)[len(done)]:
            most = max(most, count_mapped_files(folder))
            done.append(Read(share, time.perf_counter() - start, process_memory("RssAnon"), most))
        elif end % (BATCH * 100) == 0:
            most = max(most, count_mapped_files(folder))
    return done


def _apart(measured: Callable[[Path], T], folder: Path) -> T:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        return child.submit(measured, folder).result()
