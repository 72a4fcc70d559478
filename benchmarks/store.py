"""How fast the feature store reads and writes, compared with its alternatives; each ratio from one run.

    python -m benchmarks.store [--store STORE] [--folder FOLDER] [--topic batches]... [--json]

400,000 chunk vectors of 384 float16 in documents of 1 to 8. Variants run in rounds, in random order, and values are
medians. Cold: the files' pages were dropped from memory before. Linux only, because it reads /proc.
"""

import mmap
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import (
    Topic,
    Variants,
    at_least,
    close_stores,
    drop_page_cache,
    flush_to_disk,
    median_seconds,
    print_topic,
)
from benchmarks.store_costs import measure_costs
from benchmarks.store_in_bucket import measure_bucket
from benchmarks.store_opening import measure_opening
from benchmarks.synthetic_stores import DIM, RECIPE, ChunkVectors, create_store
from commandline.output import say
from data.atomic_write import make_folder
from data.text_format import format_duration
from featurestore import FeatureStore, shard_bytes

BATCH = 64
SHARDS = 10  # of 32 MB
SMALL_SHARDS = 27
BATCHES = 200  # per round
SLOW_BATCHES = 4  # per round of a cold or slow reader
FILES = 4_000  # documents with a file of their own, enough for different ones in every batch
ONE_SHARD, MANY_SHARDS = "the store, one shard", f"the store, {SMALL_SHARDS} shards"
PLAIN_MAP = "one memory map and NumPy"
PER_DOCUMENT, CHUNKED = "one h5py file per document", "a chunked h5py dataset"
AT_ONCE, BY_SHARD = "the store, at once", "the store, shard by shard"
ALL_KEPT, ONE_BY_ONE = "read_bytes, all kept", "read_bytes, one after the other"
BATCHES_OF = {PER_DOCUMENT: SLOW_BATCHES, CHUNKED: 10}  # of slow readers, per round

Rows = NDArray[np.int64]
Reader = Callable[[Rows], object]


def measure_batches(folder: Path) -> Topic:
    """Batches of random documents, as a training loop reads them."""
    chunks, rng = ChunkVectors.draw(), np.random.default_rng(1)
    chunks.flat.tofile(folder / "flat")
    with (folder / "flat").open("rb") as file:
        flat = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    readers = _readers(folder, chunks, flat)
    batches = [rng.choice(len(chunks), BATCH, replace=False) for _ in range(BATCHES)]

    def variants(most: int) -> Variants:
        return {
            name: _read_all(reader, batches[: min(BATCHES_OF.get(name, most), most)])
            for name, reader in readers.items()
        }

    flush_to_disk(folder)
    for read in variants(BATCHES).values():
        read()
    seconds = median_seconds(variants(BATCHES), 15)
    warm = {name: seconds[name] / BATCHES_OF.get(name, BATCHES) for name in readers}
    seconds = median_seconds(variants(SLOW_BATCHES), 5, lambda: drop_page_cache(folder, flat))
    cold = {name: seconds[name] / SLOW_BATCHES for name in readers}
    rows = [["a batch of 64 documents", "warm, µs", "× one shard", "cold, ms", "× one shard"]]
    rows += [
        [name, f"{warm[name] * 1e6:,.0f}", _ratio(warm, name), f"{cold[name] * 1e3:,.1f}", _ratio(cold, name)]
        for name in readers
    ]
    claims = [
        at_least(f"{ONE_SHARD}: as fast as {name}, times", warm[name] / warm[ONE_SHARD], bar)
        for name, bar in {PER_DOCUMENT: 30, CHUNKED: 15, PLAIN_MAP: 0.8}.items()
    ]
    claims.append(at_least(f"{MANY_SHARDS}: as fast as {PLAIN_MAP}, times", warm[PLAIN_MAP] / warm[MANY_SHARDS], 0.3))
    return Topic("Random batches", rows, claims)


def _ratio(seconds: dict[str, float], name: str) -> str:
    return f"{seconds[name] / seconds[ONE_SHARD]:,.2f}"


def _read_all(reader: Reader, batches: Sequence[Rows]) -> Callable[[], object]:
    def read() -> None:
        for rows in batches:
            reader(rows)

    return read


def _readers(folder: Path, chunks: ChunkVectors, flat: mmap.mmap) -> dict[str, Reader]:
    """Readers of the vectors of some documents, in the stored type."""
    return {
        PLAIN_MAP: _map_reader(flat, chunks.offsets),
        ONE_SHARD: _store_reader(create_store(folder / "one", chunks.shards(1)), chunks),
        MANY_SHARDS: _store_reader(create_store(folder / "many", chunks.shards(SMALL_SHARDS)), chunks),
        CHUNKED: _dataset_reader(folder, chunks),
        PER_DOCUMENT: _file_reader(folder, chunks),
    }


def _store_reader(store: FeatureStore, chunks: ChunkVectors) -> Reader:
    bags = store.bags(chunks.keys, keep="cls")
    return lambda rows: bags[rows].view("cls").gather(np.float16)


def _map_reader(flat: mmap.mmap, offsets: Rows) -> Reader:
    """By hand, from a file of vectors only; `take` is faster than indexing with an array."""
    array: NDArray[np.float16] = np.frombuffer(flat, np.float16).reshape(-1, DIM)

    def read(rows: Rows) -> object:
        start, length = offsets[rows], offsets[rows + 1] - offsets[rows]
        stop = length.cumsum()
        positions = np.repeat(start - stop + length, length) + np.arange(stop[-1])
        return array.take(positions, axis=0), stop

    return read


def _dataset_reader(folder: Path, chunks: ChunkVectors) -> Reader:
    """One file that stays open, 64 vectors per chunk, one slice per document: faster than an index array in h5py."""
    import h5py

    with h5py.File(folder / "chunked.h5", "w") as file:
        file.create_dataset("vectors", data=chunks.flat, chunks=(64, DIM))
    dataset = h5py.File(folder / "chunked.h5")["vectors"]
    bounds = chunks.offsets.tolist()
    return lambda rows: np.concatenate([dataset[bounds[row] : bounds[row + 1]] for row in rows.tolist()])


def _file_reader(folder: Path, chunks: ChunkVectors) -> Reader:
    """One file per document, as in similar tools; FILES documents, because their number does not affect the time."""
    import h5py

    (folder / "files").mkdir()
    paths = [folder / "files" / f"{row}.h5" for row in range(FILES)]
    for path, first, end in zip(paths, chunks.offsets[:-1], chunks.offsets[1:], strict=False):
        with h5py.File(path, "w") as file:
            file["features"] = chunks.flat[first:end]

    def read_document(row: int) -> Any:
        with h5py.File(paths[row % FILES]) as file:
            return file["features"][:]

    return lambda rows: np.concatenate([read_document(row) for row in rows.tolist()])


# ---- everything, in order


def measure_writing(folder: Path) -> Topic:
    """Shards of 32 MB, built, hashed, written, synced and renamed; compared with writing and syncing the same bytes."""
    contents = list(ChunkVectors.draw().shards(SHARDS))
    images = [shard_bytes(content, RECIPE) for content in contents]
    target, number = folder / "target", count()

    def commit() -> None:
        store = FeatureStore.create(target / "store", RECIPE)
        for content in contents:
            store.commit(content)

    def write() -> None:
        target.mkdir()
        for image in images:
            with (target / f"{next(number)}").open("xb", buffering=0) as file:
                file.write(image)
                os.fsync(file.fileno())

    variants: Variants = {"the store": commit, "plain files": write}
    seconds = median_seconds(variants, 7, lambda: shutil.rmtree(target, ignore_errors=True))
    megabytes = sum(map(len, images)) / 1e6
    rows = [[f"{megabytes:,.0f} MB in {SHARDS} files, on the disk", "seconds", "MB/s"]]
    rows += [[name, f"{taken:.2f}", f"{megabytes / taken:,.0f}"] for name, taken in seconds.items()]
    claim = "commit, hash and fsync included: speed of writing and fsyncing the same bytes, times"
    return Topic("Writing", rows, [at_least(claim, seconds["plain files"] / seconds["the store"], 0.3)])


def measure_reading(folder: Path) -> Topic:
    """All vectors, from a store that was just opened, and from plain files that contain nothing else."""
    chunks = ChunkVectors.draw()
    store = create_store(folder / "store", chunks.shards(SHARDS))
    whole = store.bags(chunks.keys, keep="cls").view("cls")
    shards = [shard.bags().view("cls") for shard in store.shards()]
    plain = [folder / f"{shard.name}.plain" for shard in store.shards()]
    for path, shard in zip(plain, shards, strict=True):
        shard.gather(np.float16)[0].tofile(path)
    flush_to_disk(folder)
    variants: Variants = {
        AT_ONCE: lambda: whole.gather(np.float16),
        ALL_KEPT: lambda: [path.read_bytes() for path in plain],
        "NumPy's fromfile, all kept": lambda: [np.fromfile(path, np.float16) for path in plain],
        BY_SHARD: lambda: [len(shard.gather(np.float16)) for shard in shards],
        ONE_BY_ONE: lambda: [len(path.read_bytes()) for path in plain],
    }
    warm = median_seconds(variants, 11, close_stores)
    cold = median_seconds(variants, 5, lambda: drop_page_cache(folder))
    size = chunks.flat.nbytes
    rows = [[f"{size / 1e6:,.0f} MB of vectors", "warm, ms", "GB/s", "cold, ms", "GB/s"]]
    for name in variants:
        cells = [(f"{seconds[name] * 1e3:,.0f}", f"{size / seconds[name] / 1e9:.1f}") for seconds in (warm, cold)]
        rows.append([name, *cells[0], *cells[1]])
    claims = [
        at_least(f"{name}, {cache}: speed of {other}, times", seconds[other] / seconds[name], 0.8)
        for cache, seconds in (("warm", warm), ("cold", cold))
        for name, other in ((AT_ONCE, ALL_KEPT), (BY_SHARD, ONE_BY_ONE))
    ]
    return Topic("Reading everything", rows, claims)


TOPICS: dict[str, Callable[[Path], Topic]] = {
    "batches": measure_batches,
    "writing": measure_writing,
    "reading": measure_reading,
    "opening": measure_opening,
    "bucket": measure_bucket,
}


@click.command()
@click.option(
    "--store", "store_folder", type=click.Path(path_type=Path), help="A store whose documents have realistic lengths."
)
@click.option("--folder", type=click.Path(path_type=Path), help="Where files are written; they are deleted afterwards.")
@click.option("--topic", "names", type=click.Choice([*TOPICS, "costs"]), multiple=True, default=[*TOPICS, "costs"])
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(store_folder: Path | None, folder: Path | None, names: tuple[str, ...], as_json: bool) -> None:
    """Print one table per topic, or with --json one object per claim and line."""
    topics = TOPICS | {"costs": lambda temporary: measure_costs(temporary, store_folder)}
    if not as_json:
        print(f"{date.today()}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    if folder is not None:
        make_folder(folder)
    for name in names:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            os.environ["EMBEDONCE_CACHE"] = str(Path(temporary) / "cache")
            topic = topics[name](Path(temporary))
        say(f"{name} took {format_duration(time.perf_counter() - start)}")
        print_topic(topic, as_json=as_json)


if __name__ == "__main__":
    sys.exit(main())
