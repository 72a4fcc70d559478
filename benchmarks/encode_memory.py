"""The memory of `embed` by the number of documents, and its time on a finished store.

    python -m benchmarks.encode_memory [--documents 1000000]

Generated short documents go through the steps of the command line, with an encoder of one layer, in one process per
number of documents. The peak is counted from before the corpus is read; the corpus, texts and ids, is kept in memory
and has a column of its own. Buffers of texts and the open shard are bounded, but with an encoder this small they hold
some hundred thousand documents: growth is measured beyond that.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import click

from benchmarks.measuring import Topic, at_most, print_topic, process_memory
from data.readers import read_corpus
from data.source_spec import SourceSpec
from data.train_test_split import assign_splits
from featurestore import FeatureStore
from stages.embed import Options, embed, open_encoder
from tests.tiny_encoder import SENTENCES, make_encoder

ROOT = Path(__file__).resolve().parent.parent
MB = 1e6
FINISHED = 100_000
COLUMNS = SourceSpec(text=("text",), label="label")
# runs `embedonce`, and prints whether it loaded torch
_COMMAND = "import sys, cli\ntry:\n    cli.main()\nfinally:\n    print('torch' in sys.modules, file=sys.stderr)"


@dataclass(frozen=True)
class Run:
    """Bytes of a process: with the encoder loaded, with the corpus read too, and the peak from then on."""

    documents: int
    model: int
    corpus: int
    peak: int
    seconds: float


def write_corpus(path: Path, documents: int) -> None:
    """Write distinct texts of a dozen words."""
    rng, words = random.Random(0), " ".join(SENTENCES).split()
    with path.open("w", encoding="utf-8") as file:
        for row in range(documents):
            text = f"{row} {' '.join(rng.choices(words, k=12))}"
            file.write(json.dumps({"text": text, "label": str(row % 5)}) + "\n")


def encode_file(source: Path, model: Path, store: Path) -> Run:
    """Encode a file, in this process."""
    encoder = open_encoder(Options(model=str(model), keep=("mean",), backend="torch", device="cpu"))
    _ = encoder.network
    loaded = process_memory("RssAnon")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    started = time.perf_counter()
    corpus = assign_splits(read_corpus(str(source), COLUMNS), 0)
    with_corpus = process_memory("RssAnon")
    report = embed(corpus, encoder, FeatureStore.create(store, encoder.recipe))
    assert report.encoded == len(corpus.documents)
    files = process_memory("RssFile")
    return Run(report.encoded, loaded, with_corpus, process_memory("VmHWM") - files, time.perf_counter() - started)


def measure_sizes(folder: Path, sizes: list[int]) -> Iterator[Run]:
    """Encode corpora of these sizes, each in a process of its own."""
    model = make_encoder(folder / "model", layers=1)
    for size in sizes:
        source = folder / f"{size}.jsonl"
        write_corpus(source, size)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            yield pool.submit(encode_file, source, model, folder / f"store-{size}").result()


def time_finished_store(folder: Path) -> tuple[float, bool]:
    """Seconds of `embed` on a store that has everything, and whether it loaded torch."""
    source = folder / "finished.jsonl"
    write_corpus(source, FINISHED)
    command = [sys.executable, "-c", _COMMAND, "embed", str(source), "--model", str(folder / "model"), "--keep", "mean"]
    command += ["--backend", "torch", "--store", str(folder / "finished")]
    results = []
    for _ in range(4):
        started = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        results.append((time.perf_counter() - started, done.stderr.split()[-1] == "True"))
    return sorted(results[1:])[1]


def measure(documents: int) -> Topic:
    """Measure everything; returns the table and its claims."""
    with tempfile.TemporaryDirectory() as folder:
        runs = list(measure_sizes(Path(folder), [1_000, documents, 2 * documents]))
        seconds, torch = time_finished_store(Path(folder))
    small, large, twice = runs
    rows = [["documents", "encoder, MB", "and the corpus, MB", "peak, MB", "seconds"]]
    rows += [
        [
            f"{run.documents:,}",
            *(f"{value / MB:,.0f}" for value in (run.model, run.corpus, run.peak)),
            f"{run.seconds:,.0f}",
        ]
        for run in runs
    ]
    claims = [
        at_most(f"{documents:,} documents, GB above the encoder", (large.peak - large.model) / 1e9, 2),
        at_most("growth of the peak beyond that, bytes per document", (twice.peak - large.peak) / documents, 300),
        at_most(f"embed on a finished store of {FINISHED:,} documents, seconds", seconds, 5),
        at_most("embed on a finished store, whether torch was loaded", int(torch), 0),
    ]
    return Topic(f"Memory, with a peak of {small.peak / MB:,.0f} MB for {small.documents:,} documents", rows, claims)


@click.command()
@click.option("--documents", default=1_000_000)
@click.option("--json", "as_json", is_flag=True)
def main(documents: int, as_json: bool) -> None:
    """Print the table, or with --json one object per claim and line."""
    topic = measure(documents)
    print_topic(topic, as_json=as_json)


if __name__ == "__main__":
    main()
