"""Many labels and many documents: seconds and peak memory of `fit-head`, `compare`, `predict` and `store label`.

    python -m benchmarks.labels [--documents 6000] [--labels 2000] [--ids 1000000] [--json]

The vectors are random, near a random center per label. Every command is a process of its own, as a user runs it; its
CPU time and its peak memory (VmHWM) are those that it reports at its end. A few labels are frequent and most are rare,
and each has at least two documents. The encoder that `predict` runs has one layer and random weights, so the time of
`predict` is that of tokenizing, scoring and writing.
"""

import csv
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Claim, Topic, at_most, print_topic
from benchmarks.synthetic_stores import shard_content
from data.documents import Kind
from featurestore import CorpusTable, FeatureStore, Recipe, text_key
from stages.embed import Options, open_encoder
from tests.tiny_encoder import make_encoder

ROOT = Path(__file__).resolve().parent.parent
DIM, FEW_DIM = 384, 8
LABELS_PER_DOCUMENT = 5  # of multi-label documents, on average
MB = 1e6
MAX_MB, MAX_SECONDS = 1000, 10  # the bars of memory with many labels, and of `store label`
KINDS: tuple[Kind, ...] = ("single", "multilabel")
# runs `embedonce` in its own process, and prints its CPU time and its peak memory
_COMMAND = (
    "import sys, time, cli\nfrom benchmarks.measuring import process_memory\n"
    "try:\n    cli.main()\nfinally:\n    print(time.process_time(), process_memory('VmHWM'), file=sys.stderr)"
)


@dataclass(frozen=True)
class Cost:
    """What one command needed. cpu_seconds: of all its threads; on a busy machine, less than `seconds`. peak: bytes."""

    job: str
    seconds: float
    cpu_seconds: float
    peak: int


def run_command(folder: Path, job: str, *arguments: object) -> Cost:
    """Run `embedonce` in a folder."""
    command = [sys.executable, "-c", _COMMAND, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))}: {done.stderr}")
    *_, cpu_seconds, peak = done.stderr.split()
    cost = Cost(job, time.perf_counter() - started, float(cpu_seconds), int(peak))
    click.echo(cost, err=True)
    return cost


def draw_labels(rng: np.random.Generator, kind: Kind, documents: int, labels: int) -> NDArray[np.bool_]:
    """Which labels each document has, bool (documents, labels); label i is as frequent as 1 / i, but never absent."""
    frequency = 1 / np.arange(1, labels + 1)
    drawn = rng.choice(labels, (documents, LABELS_PER_DOCUMENT), p=frequency / frequency.sum())
    every = np.tile(np.arange(labels), 2)[:documents]
    drawn[: len(every), 0] = every
    has_label = np.zeros((documents, labels), dtype=bool)
    np.put_along_axis(has_label, drawn if kind == "multilabel" else drawn[:, :1], True, axis=1)
    return has_label


def draw_vectors(rng: np.random.Generator, has_label: NDArray[np.bool_], dim: int) -> NDArray[np.float16]:
    """A vector per document near the sum of its labels' centers, float16 (documents, dim)."""
    centers = rng.normal(size=(has_label.shape[1], dim)).astype(np.float32)
    noise = rng.normal(scale=1.5, size=(len(has_label), dim)).astype(np.float32)
    return (has_label.astype(np.float32) @ centers + noise).astype(np.float16)


def make_store(
    folder: Path, recipe: Recipe, kind: Kind, vectors: NDArray[np.float16], labels: Sequence[tuple[str, ...]]
) -> None:
    """Write a store with one chunk per document, and new.csv with the texts."""
    texts = [f"text {row}" for row in range(len(vectors))]
    keys = [text_key(text) for text in texts]
    store = FeatureStore.create(folder / "store", recipe)
    ones = np.ones(len(keys), dtype=np.int64)
    store.commit(shard_content(keys, {"chunk": ones, "token": 0 * ones}, {"chunks/mean": vectors}))
    splits = ["test" if row % 4 == 3 else "train" for row in range(len(keys))]
    ids = [f"document-{row}" for row in range(len(keys))]
    store.save_corpus(
        CorpusTable("made", str(folder / "new.csv"), kind, None, ids, keys, splits, [None] * len(keys), labels)
    )
    write_table(folder / "new.csv", ["id", "text"], zip(ids, texts, strict=True))


def write_table(path: Path, columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    """Write a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def measure_labels(folder: Path, recipe: Recipe, kind: Kind, documents: int, labels: int) -> Iterator[Cost]:
    """Fit, compare and predict with many labels."""
    rng, names = np.random.default_rng(0), [f"label {column:05}" for column in range(labels)]
    has_label = draw_labels(rng, kind, documents, labels)
    rows = [tuple(names[column] for column in np.flatnonzero(row)) for row in has_label]
    folder.mkdir()
    make_store(folder, recipe, kind, draw_vectors(rng, has_label, DIM), rows)
    options = ["--store", "store", "--folds", "2", "--jobs", "1"]
    yield run_command(folder, f"{kind}: fit-head linear", "fit-head", "linear", *options)
    (run,) = (folder / "runs").glob("linear-*")
    yield run_command(folder, f"{kind}: fit-head mlp", "fit-head", "mlp", *options)
    yield run_command(folder, f"{kind}: compare --html", "compare", "--html", "report.html")
    yield run_command(folder, f"{kind}: predict", "predict", run.name, "new.csv", "--output", "out.csv")


def measure_ids(folder: Path, recipe: Recipe, count: int) -> Iterator[Cost]:
    """Relabel many documents, and fit a head on them."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    codes = rng.integers(2, size=count)
    vectors = (codes[:, None] + rng.normal(size=(count, FEW_DIM))).astype(np.float16)
    make_store(folder, recipe, "single", vectors, [(f"label {code}",) for code in codes])
    new = ((f"document-{row}", f"label {code}") for row, code in enumerate(1 - codes))
    write_table(folder / "labels.csv", ["id", "label"], new)
    yield run_command(folder, "store label", "store", "label", "labels.csv", "--store", "store")
    options = ["--store", "store", "--folds", "2", "--jobs", "1", "--no-tune"]
    yield run_command(folder, "fit-head linear --no-tune", "fit-head", "linear", *options)


def cpu_model() -> str:
    """The CPU's name, as the system has it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def topic_of(title: str, costs: Sequence[Cost], claims: Sequence[Claim]) -> Topic:
    """The table of some costs."""
    rows = [["command", "seconds", "CPU seconds", "peak, MB"]]
    rows += [[cost.job, f"{cost.seconds:,.1f}", f"{cost.cpu_seconds:,.1f}", f"{cost.peak / MB:,.0f}"] for cost in costs]
    return Topic(f"{title} ({date.today().isoformat()}, {cpu_model()})", rows, claims)


@click.command()
@click.option("--documents", default=6_000, show_default=True)
@click.option("--labels", default=2_000, show_default=True)
@click.option("--ids", default=1_000_000, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(documents: int, labels: int, ids: int, as_json: bool) -> None:
    """Print two tables, or with --json one object per claim and line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = {dim: make_encoder(folder / f"tiny-{dim}", hidden=dim, layers=1) for dim in (DIM, FEW_DIM)}
        options = Options(keep=("mean",), backend="torch", device="cpu", precision="float32")
        recipes = {dim: open_encoder(replace(options, model=str(path))).recipe for dim, path in encoder.items()}
        costs = [
            cost for kind in KINDS for cost in measure_labels(folder / kind, recipes[DIM], kind, documents, labels)
        ]
        peaks = [at_most(f"{cost.job}, MB", cost.peak / MB, MAX_MB) for cost in costs]
        print_topic(topic_of(f"{documents:,} documents, {labels:,} labels", costs, peaks), as_json=as_json)
        relabeling, *others = measure_ids(folder / "ids", recipes[FEW_DIM], ids)
        claims = [at_most("store label, seconds", relabeling.seconds, MAX_SECONDS)]
        print_topic(topic_of(f"{ids:,} documents", [relabeling, *others], claims), as_json=as_json)


if __name__ == "__main__":
    main()
