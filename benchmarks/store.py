"""How fast the feature store reads and writes, beside the ways that it stands for; each ratio from one run.

    python -m benchmarks.store [--store STORE] [--folder FOLDER] [--topic batches]... [--json]

400,000 chunk vectors of 384 float16 in documents of 1 to 8. Variants run in rounds, in random order, and values are
medians. Cold: the files' pages were dropped from memory before. Linux only, for it looks into /proc.
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

from benchmarks import store_costs, store_opening
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
from benchmarks.synthetic_stores import DIM, RECIPE, Chunks, committed
from commandline.output import say
from data.atomic_write import make_folder
from data.text_format import format_duration
from featurestore import FeatureStore, shard_bytes

BATCH = 64
SHARDS = 10  # of 32 MB
MANY = 27
DRAWN = 200  # batches a round
FILES = 4_000  # documents that have a file of their own, enough for another in every batch
ONE, OTHERS = "the store, one shard", f"the store, {MANY} shards"
BARE = "one memory map and NumPy"
PER_DOCUMENT, CHUNKED = "one h5py file per document", "a chunked h5py dataset"
AT_ONCE, BY_SHARD = "the store, at once", "the store, shard by shard"
ALL_KEPT, DROPPED = "read_bytes, all kept", "read_bytes, one after the other"
SLOW = {PER_DOCUMENT: 4, CHUNKED: 10}  # batches a round

Rows = NDArray[np.int64]
Reader = Callable[[Rows], object]


def batches(folder: Path) -> Topic:
    """Random documents, as a training loop asks for them."""
    chunks, rng = Chunks.made(), np.random.default_rng(1)
    chunks.flat.tofile(folder / "flat")
    with (folder / "flat").open("rb") as file:
        flat = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    readers = _readers(folder, chunks, flat)
    drawn = [rng.choice(len(chunks), BATCH, replace=False) for _ in range(DRAWN)]

    def ways(most: int) -> Variants:
        return {name: _each(reader, drawn[: min(SLOW.get(name, most), most)]) for name, reader in readers.items()}

    flush_to_disk(folder)
    for way in ways(DRAWN).values():
        way()
    warm = {name: each / SLOW.get(name, DRAWN) for name, each in median_seconds(ways(DRAWN), 15).items()}
    cold = {name: each / 4 for name, each in median_seconds(ways(4), 5, lambda: drop_page_cache(folder, flat)).items()}
    rows = [["a batch of 64 documents", "warm, µs", "× one shard", "cold, ms", "× one shard"]]
    rows += [
        [name, f"{warm[name] * 1e6:,.0f}", _times(warm, name), f"{cold[name] * 1e3:,.1f}", _times(cold, name)]
        for name in readers
    ]
    claims = [
        at_least(f"{ONE}: as fast as {name}, times", warm[name] / warm[ONE], bar)
        for name, bar in {PER_DOCUMENT: 30, CHUNKED: 15, BARE: 0.8}.items()
    ]
    claims.append(at_least(f"{OTHERS}: as fast as {BARE}, times", warm[BARE] / warm[OTHERS], 0.3))
    return Topic("Random batches", rows, claims)


def _times(taken: dict[str, float], name: str) -> str:
    return f"{taken[name] / taken[ONE]:,.2f}"


def _each(reader: Reader, drawn: Sequence[Rows]) -> Callable[[], object]:
    def every() -> None:
        for rows in drawn:
            reader(rows)

    return every


def _readers(folder: Path, chunks: Chunks, flat: mmap.mmap) -> dict[str, Reader]:
    """Variants to have the vectors of some documents, in the type that is kept."""

    def of_store(store: FeatureStore) -> Reader:
        bags = store.bags(chunks.keys, keep="cls")
        return lambda rows: bags[rows].view("cls").gather(np.float16)

    return {
        BARE: _of_map(flat, chunks.offsets),
        ONE: of_store(committed(folder / "one", chunks.shards(1))),
        OTHERS: of_store(committed(folder / "many", chunks.shards(MANY))),
        CHUNKED: _of_dataset(folder, chunks),
        PER_DOCUMENT: _of_files(folder, chunks),
    }


def _of_map(flat: mmap.mmap, offsets: Rows) -> Reader:
    """By hand, of vectors that lie alone in a file; `take` is quicker than an index array in brackets."""
    array: NDArray[np.float16] = np.frombuffer(flat, np.float16).reshape(-1, DIM)

    def read(rows: Rows) -> object:
        start, length = offsets[rows], offsets[rows + 1] - offsets[rows]
        stop = length.cumsum()
        positions = np.repeat(start - stop + length, length) + np.arange(stop[-1])
        return array.take(positions, axis=0), stop

    return read


def _of_dataset(folder: Path, chunks: Chunks) -> Reader:
    """One file that stays open, 64 vectors a chunk, a slice a document: quicker than an index array in h5py."""
    import h5py

    with h5py.File(folder / "chunked.h5", "w") as file:
        file.create_dataset("vectors", data=chunks.flat, chunks=(64, DIM))
    dataset = h5py.File(folder / "chunked.h5")["vectors"]
    bounds = chunks.offsets.tolist()
    return lambda rows: np.concatenate([dataset[bounds[row] : bounds[row + 1]] for row in rows.tolist()])


def _of_files(folder: Path, chunks: Chunks) -> Reader:
    """The way of the peers. Of the first documents only: what they take each does not depend on how many there are."""
    import h5py

    (folder / "files").mkdir()
    paths = [folder / "files" / f"{row}.h5" for row in range(FILES)]
    for path, first, end in zip(paths, chunks.offsets[:-1], chunks.offsets[1:], strict=False):
        with h5py.File(path, "w") as file:
            file["features"] = chunks.flat[first:end]

    def one(row: int) -> Any:
        with h5py.File(paths[row % FILES]) as file:
            return file["features"][:]

    return lambda rows: np.concatenate([one(row) for row in rows.tolist()])


# ---- everything, in order


def writing(folder: Path) -> Topic:
    """Shards of 32 MB, built, hashed, written, fsynced and renamed, beside the same bytes written and fsynced."""
    contents = list(Chunks.made().shards(SHARDS))
    images = [shard_bytes(each, RECIPE) for each in contents]
    target, number = folder / "target", count()

    def commit() -> None:
        store = FeatureStore.create(target / "store", RECIPE)
        for each in contents:
            store.commit(each)

    def write() -> None:
        target.mkdir()
        for data in images:
            with (target / f"{next(number)}").open("xb", buffering=0) as file:
                file.write(data)
                os.fsync(file.fileno())

    taken = median_seconds(
        {"the store": commit, "plain files": write}, 7, lambda: shutil.rmtree(target, ignore_errors=True)
    )
    megabytes = sum(map(len, images)) / 1e6
    rows = [[f"{megabytes:,.0f} MB in {SHARDS} files, on the disk", "seconds", "MB/s"]]
    rows += [[name, f"{each:.2f}", f"{megabytes / each:,.0f}"] for name, each in taken.items()]
    claim = "commit, hash and fsync included: speed of writing and fsyncing the same bytes, times"
    return Topic("Writing", rows, [at_least(claim, taken["plain files"] / taken["the store"], 0.3)])


def reading(folder: Path) -> Topic:
    """All vectors, by a store that was just opened and from plain files that hold nothing else."""
    chunks = Chunks.made()
    store = committed(folder / "store", chunks.shards(SHARDS))
    every = store.bags(chunks.keys, keep="cls").view("cls")
    each = [shard.bags().view("cls") for shard in store.shards()]
    plain = [folder / f"{shard.name}.plain" for shard in store.shards()]
    for path, ragged in zip(plain, each, strict=True):
        ragged.gather(np.float16)[0].tofile(path)
    flush_to_disk(folder)
    ways: Variants = {
        AT_ONCE: lambda: every.gather(np.float16),
        ALL_KEPT: lambda: [path.read_bytes() for path in plain],
        "NumPy's fromfile, all kept": lambda: [np.fromfile(path, np.float16) for path in plain],
        BY_SHARD: lambda: [len(one.gather(np.float16)) for one in each],
        DROPPED: lambda: [len(path.read_bytes()) for path in plain],
    }
    warm, cold = median_seconds(ways, 11, close_stores), median_seconds(ways, 5, lambda: drop_page_cache(folder))
    size = chunks.flat.nbytes
    rows = [[f"{size / 1e6:,.0f} MB of vectors", "warm, ms", "GB/s", "cold, ms", "GB/s"]]
    for name in ways:
        metrics = [(f"{taken[name] * 1e3:,.0f}", f"{size / taken[name] / 1e9:.1f}") for taken in (warm, cold)]
        rows.append([name, *metrics[0], *metrics[1]])
    claims = [
        at_least(f"{own}, {when}: speed of {other}, times", taken[other] / taken[own], 0.8)
        for when, taken in (("warm", warm), ("cold", cold))
        for own, other in ((AT_ONCE, ALL_KEPT), (BY_SHARD, DROPPED))
    ]
    return Topic("Reading everything", rows, claims)


TOPICS: dict[str, Callable[[Path], Topic]] = {
    "batches": batches,
    "writing": writing,
    "reading": reading,
    "opening": store_opening.opening,
}


@click.command()
@click.option(
    "--store", "store_folder", type=click.Path(path_type=Path), help="A store whose documents' lengths are realistic."
)
@click.option("--folder", type=click.Path(path_type=Path), help="Where files are made, and deleted afterwards.")
@click.option("--topic", "names", type=click.Choice([*TOPICS, "costs"]), multiple=True, default=[*TOPICS, "costs"])
@click.option("--json", "as_json", is_flag=True)
def main(store_folder: Path | None, folder: Path | None, names: tuple[str, ...], as_json: bool) -> None:
    """Print a table a topic, or with --json an object a claim on a line."""
    topics: dict[str, Callable[[Path], Topic]] = TOPICS | {
        "costs": lambda place: store_costs.costs(place, store_folder)
    }
    if not as_json:
        print(f"{date.today()}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    if folder is not None:
        make_folder(folder)
    for name in names:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=folder) as place:
            os.environ["EMBEDONCE_CACHE"] = str(Path(place) / "cache")
            topic = topics[name](Path(place))
        say(f"{name} took {format_duration(time.perf_counter() - start)}")
        print_topic(topic, as_json=as_json)


if __name__ == "__main__":
    sys.exit(main())
