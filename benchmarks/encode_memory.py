"""The memory of `embed` by the number of documents, its time on a finished store, and the memory of `predict`.

    python -m benchmarks.encode_memory [--documents 1000000]
    python -m benchmarks.encode_memory --long [--documents 600]

Generated short documents go through the steps of the command line, with an encoder of one layer, in one process per
number of documents. The peak is counted from before the corpus is read; the corpus, texts and ids, is kept in memory
and has a column of its own. Buffers of texts and the open shard are bounded, but with an encoder this small they hold
some hundred thousand documents: growth is measured beyond that.

With --long, `embed` and `predict` read the same documents of 300,000 characters, each in a process of its own.
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
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import click

from benchmarks.measuring import Topic, at_most, print_topic, process_memory
from data.readers import read_corpus
from data.source_spec import SourceSpec
from data.splitting.train_test_split import assign_splits
from featurestore import FeatureStore
from heads.registry import make_head
from stages.embed import Options, embed, open_encoder
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import load
from stages.predict import open_encoders, predict, read_new_text
from tests.tiny_encoder import SENTENCES, make_encoder, make_static

ROOT = Path(__file__).resolve().parent.parent
MB = 1e6
FINISHED = 100_000
LONG_CHARACTERS = 300_000
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


def write_long_corpus(path: Path, documents: int) -> None:
    """Write distinct texts of LONG_CHARACTERS each: parts of one text of random words."""
    rng, words = random.Random(0), " ".join(SENTENCES).split()
    text = " ".join(rng.choices(words, k=LONG_CHARACTERS))
    with path.open("w", encoding="utf-8") as file:
        for row in range(documents):
            start = rng.randrange(len(text) - LONG_CHARACTERS)
            content = f"{row} {text[start : start + LONG_CHARACTERS]}"
            file.write(json.dumps({"text": content, "label": str(row % 2)}) + "\n")


def predict_file(source: Path, run: Path) -> Run:
    """Predict the documents of a file, in this process."""
    stored = load(run)
    encoders = open_encoders(stored, device="cpu")
    _ = encoders[0].network
    loaded = process_memory("RssAnon")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    started = time.perf_counter()
    documents = read_new_text(stored, str(source), SourceSpec()).documents
    with_corpus = process_memory("RssAnon")
    predicted = sum(1 for _ in predict(stored, documents, encoders))
    files = process_memory("RssFile")
    return Run(predicted, loaded, with_corpus, process_memory("VmHWM") - files, time.perf_counter() - started)


def fit_run(folder: Path, model: Path) -> Path:
    """Fit a run on a few short texts, for `predict_file`."""
    source = folder / "short.jsonl"
    write_corpus(source, 200)
    encode_file(source, model, folder / "store-of-run")
    store = FeatureStore.open(folder / "store-of-run")
    run, _ = fit_head(store, store.corpus("short"), FitPlan(head=make_head("linear", {}), folds=2), folder / "runs")
    return run.folder


def measure_long(documents: int) -> Topic:
    """Compare the peaks of `embed` and `predict` on the same long documents; returns the table and its claim."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, source = make_static(folder / "model", dim=64), folder / "long.jsonl"
        write_long_corpus(source, documents)
        run = fit_run(folder, model)
        rows = [["command", "encoder, MB", "and the corpus, MB", "peak, MB", "seconds"]]
        peaks = []
        for command, call in (
            ("embed", partial(encode_file, source, model, folder / "store")),
            ("predict", partial(predict_file, source, run)),
        ):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                measured = pool.submit(call).result()
            rows.append([command, *_cells(measured)])
            peaks.append(measured.peak)
    claim = at_most(f"peak of predict by that of embed, {documents:,} documents", peaks[1] / peaks[0], 1.2)
    return Topic(f"Memory of texts of {LONG_CHARACTERS:,} characters", rows, [claim])


def _cells(run: Run) -> list[str]:
    return [*(f"{value / MB:,.0f}" for value in (run.model, run.corpus, run.peak)), f"{run.seconds:,.0f}"]


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
    rows += [[f"{run.documents:,}", *_cells(run)] for run in runs]
    claims = [
        at_most(f"{documents:,} documents, GB above the encoder", (large.peak - large.model) / 1e9, 2),
        at_most("growth of the peak beyond that, bytes per document", (twice.peak - large.peak) / documents, 300),
        at_most(f"embed on a finished store of {FINISHED:,} documents, seconds", seconds, 5),
        at_most("embed on a finished store, whether torch was loaded", int(torch), 0),
    ]
    return Topic(f"Memory, with a peak of {small.peak / MB:,.0f} MB for {small.documents:,} documents", rows, claims)


@click.command()
@click.option("--documents", type=int, help="[1,000,000; 600 with --long]")
@click.option("--long", "is_long", is_flag=True)
@click.option("--json", "as_json", is_flag=True)
def main(documents: int | None, is_long: bool, as_json: bool) -> None:
    """Print the table, or with --json one object per claim and line."""
    topic = measure_long(documents or 600) if is_long else measure(documents or 1_000_000)
    print_topic(topic, as_json=as_json)


if __name__ == "__main__":
    main()
