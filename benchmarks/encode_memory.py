"""Stage one's memory by the number of documents, and how soon a finished store answers.

    python -m benchmarks.encode_memory [--documents 1000000]

Generated short documents go through the command line's own steps, with an encoder of one layer, in a process for each
number of them. The peak counts from before the corpus is read, which is in memory, texts and ids, and has a column of
its own. Pools of texts and the shard that is open are bounded, but with an encoder this small they hold some hundred
thousand documents: growth is measured behind that.
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

from benchmarks.measuring import Topic, at_most, memory, show
from data.readers import read_corpus
from data.table import Columns
from data.train_test_split import assign_splits
from featurestore import FeatureStore
from stages.embed import Options, embed, open_encoder
from tests.tiny_encoder import SENTENCES, make_encoder

ROOT = Path(__file__).resolve().parent.parent
MB = 1e6
FINISHED = 100_000
COLUMNS = Columns(text="text", label="label")
# what `embedonce` does, and whether that took torch
_COMMAND = "import sys, cli\ntry:\n    cli.main()\nfinally:\n    print('torch' in sys.modules, file=sys.stderr)"


@dataclass(frozen=True)
class Run:
    """Bytes of a process: with the encoder loaded, with the corpus read too, and the most from the first on."""

    documents: int
    model: int
    corpus: int
    peak: int
    seconds: float


def write_corpus(path: Path, documents: int) -> None:
    """Different texts of a dozen words."""
    chance, words = random.Random(0), " ".join(SENTENCES).split()
    with path.open("w", encoding="utf-8") as file:
        for row in range(documents):
            text = f"{row} {' '.join(chance.choices(words, k=12))}"
            file.write(json.dumps({"text": text, "label": str(row % 5)}) + "\n")


def encoded(source: Path, model: Path, store: Path) -> Run:
    """Encode a file, in this process."""
    encoder = open_encoder(Options(model=str(model), keep=("mean",), backend="torch", device="cpu"))
    _ = encoder.network
    loaded = memory("RssAnon")
    Path("/proc/self/clear_refs").write_text("5")  # from here on the peak counts anew
    started = time.perf_counter()
    corpus = assign_splits(read_corpus(str(source), COLUMNS), 0)
    held = memory("RssAnon")
    report = embed(corpus, encoder, FeatureStore.create(store, encoder.recipe))
    assert report.encoded == len(corpus.documents)
    files = memory("RssFile")
    return Run(report.encoded, loaded, held, memory("VmHWM") - files, time.perf_counter() - started)


def runs(place: Path, sizes: list[int]) -> Iterator[Run]:
    """Each in a process of its own."""
    model = make_encoder(place / "model", layers=1)
    for size in sizes:
        source = place / f"{size}.jsonl"
        write_corpus(source, size)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            yield pool.submit(encoded, source, model, place / f"store-{size}").result()


def answered(place: Path) -> tuple[float, bool]:
    """Seconds of `embed` where all is there, and whether it loaded torch."""
    source = place / "finished.jsonl"
    write_corpus(source, FINISHED)
    command = [sys.executable, "-c", _COMMAND, "embed", str(source), "--model", str(place / "model"), "--keep", "mean"]
    command += ["--backend", "torch", "--store", str(place / "finished")]
    taken = []
    for _ in range(4):
        started = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        taken.append((time.perf_counter() - started, done.stderr.split()[-1] == "True"))
    return sorted(taken[1:])[1]


def measured(documents: int) -> Topic:
    """The table and its claims."""
    with tempfile.TemporaryDirectory() as place:
        found = list(runs(Path(place), [1_000, documents, 2 * documents]))
        seconds, torch = answered(Path(place))
    least, asked, twice = found
    rows = [["documents", "encoder, MB", "and the corpus, MB", "peak, MB", "seconds"]]
    rows += [
        [
            f"{run.documents:,}",
            *(f"{each / MB:,.0f}" for each in (run.model, run.corpus, run.peak)),
            f"{run.seconds:,.0f}",
        ]
        for run in found
    ]
    claims = [
        at_most(f"{documents:,} documents, GB above the encoder", (asked.peak - asked.model) / 1e9, 2),
        at_most("bytes a document that the peak grows by, from there on", (twice.peak - asked.peak) / documents, 300),
        at_most(f"embed on a finished store of {FINISHED:,} documents, seconds", seconds, 5),
        at_most("embed on a finished store, times that torch was loaded", int(torch), 0),
    ]
    return Topic(f"Memory, with a peak of {least.peak / MB:,.0f} MB for {least.documents:,} documents", rows, claims)


@click.command()
@click.option("--documents", default=1_000_000)
@click.option("--json", "as_json", is_flag=True)
def main(documents: int, as_json: bool) -> None:
    """Print the table, or with --json an object a claim on a line."""
    topic = measured(documents)
    show(topic, as_json=as_json)


if __name__ == "__main__":
    main()
