"""Embedding a corpus that is larger than memory: the peak of memory and the CPU time of each step next to the encoder.

    python -m benchmarks.large_corpus [--documents 1000000] [--json]

Short documents are generated, and go through the steps of `embed` with a static encoder of 8 dimensions, in a process
of its own per number of documents. Fewer than 10,000,000 would fit into memory: the limits from which on texts and
columns are read again are lowered in proportion, so that the peak grows as it would up to there. 10,000,000 documents
take an hour.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import click

from benchmarks.measuring import Topic, at_most, print_topic, process_memory
from commandline.output import say
from data import table
from data.readers import corpus_from_table, read_corpus
from data.source_spec import SourceSpec
from data.splitting.train_test_split import assign_splits
from featurestore import FeatureStore
from stages.embed import Options, embed, open_encoder
from stages.embed.pipeline.corpus import save_corpus
from stages.embed.pipeline.distinct_texts import DistinctTexts
from tests.tiny_encoder import SENTENCES, make_static

TARGET, BAR = 10_000_000, 2e9  # documents, and bytes above the encoder
LABELS = 20
FILES = 4
BEFORE_ENCODING = ("reading and hashing", "splitting and notes", "distinct texts", "writing the table")
ALL_OF_EMBED = "`embed`, which finds the table unchanged"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Step:
    """One step of `embed` in a process: bytes above the encoder at its peak and after it, and its CPU seconds."""

    peak: int
    after: int
    seconds: float


@dataclass(frozen=True)
class Bookkeeping:
    """The steps of one process that embeds a corpus, by name."""

    documents: int
    steps: dict[str, Step]

    @property
    def peak(self) -> int:
        """The most bytes above the encoder."""
        return max(step.peak for step in self.steps.values())

    @property
    def microseconds(self) -> float:
        """CPU time per document before the first batch."""
        return 1e6 * sum(self.steps[name].seconds for name in BEFORE_ENCODING) / self.documents


class StepMeter:
    """Measures steps of this process. steps: by name, in their order."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self._before = process_memory("RssAnon")

    def run(self, name: str, step: Callable[[], Result]) -> Result:
        """Run a step, and measure it."""
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        started = time.process_time()
        result = step()
        seconds = time.process_time() - started
        peak = process_memory("VmHWM") - process_memory("RssFile") - self._before
        self.steps[name] = Step(peak, process_memory("RssAnon") - self._before, seconds)
        return result


def write_files(folder: Path, documents: int) -> str:
    """Write distinct texts of eight words to several files, and return their pattern."""
    rng, words = random.Random(0), " ".join(SENTENCES).split()
    for number in range(FILES):
        with (folder / f"part-{number}.jsonl").open("w", encoding="utf-8") as file:
            for row in range(number, documents, FILES):
                text = f"{row} {' '.join(rng.choices(words, k=8))}"
                file.write(f'{{"id": "d{row}", "text": "{text}", "label": "{row % LABELS}"}}\n')
    return f"{folder}/part-*.jsonl"


def measure_process(source: str, model: Path, store: Path, share: float) -> Bookkeeping:
    """Embed a corpus in this process. share: of the usual limits of what stays in memory."""
    corpus_from_table.MOST_TEXT_BYTES = int(share * corpus_from_table.MOST_TEXT_BYTES)
    table.CACHED_BYTES = int(share * table.CACHED_BYTES)
    encoder = open_encoder(Options(model=str(model), keep=("mean",), backend="torch", device="cpu"))
    _ = encoder.network
    target, meter = FeatureStore.create(store, encoder.recipe), StepMeter()
    reading, splitting, distinct, writing = BEFORE_ENCODING
    spec = SourceSpec(text=("text",), label="label", id="id")
    corpus = meter.run(reading, partial(read_corpus, source, spec))
    corpus = meter.run(splitting, partial(assign_splits, corpus, 0))
    texts = meter.run(distinct, partial(DistinctTexts.of, corpus))
    meter.run(writing, partial(save_corpus, corpus, texts.keys, target))
    del texts
    report = meter.run(ALL_OF_EMBED, partial(embed, corpus, encoder, target))
    assert report.encoded == len(corpus.documents)
    return Bookkeeping(report.encoded, meter.steps)


def measure_sizes(folder: Path, sizes: list[int]) -> Iterator[Bookkeeping]:
    """Embed corpora of these sizes, each in a process of its own."""
    model = make_static(folder / "model")
    for size in sizes:
        say(f"Embedding {size:,} documents")
        with tempfile.TemporaryDirectory(dir=folder) as name, ProcessPoolExecutor(1, get_context("spawn")) as pool:
            source = write_files(Path(name), size)
            share = min(size / TARGET, 1)
            yield pool.submit(measure_process, source, model, Path(name) / "store", share).result()


def measure(documents: int) -> Topic:
    """Measure half of the documents and all of them; returns a table and its claims.

    Buffers and the open shard hold some hundred thousand documents, so growth is measured beyond that.
    """
    with tempfile.TemporaryDirectory() as name:
        small, large = measure_sizes(Path(name), [documents // 2, documents])
    further = large.documents - small.documents
    growth = (large.peak - small.peak) / further
    expected = large.peak + growth * max(TARGET - large.documents, 0)
    rows = [["step", *(f"peak, MB at {run.documents:,}" for run in (small, large))]]
    rows[0] += ["bytes per further document at the peak", "after it", "CPU time per document, µs"]
    for name, step in large.steps.items():
        one = small.steps[name]
        growths = ((now - before) / further for now, before in ((step.peak, one.peak), (step.after, one.after)))
        peaks = (f"{each.peak / 1e6:,.0f}" for each in (one, step))
        rows.append(
            [name, *peaks, *(f"{each:,.0f}" for each in growths), f"{1e6 * step.seconds / large.documents:.1f}"]
        )
    measured = "measured" if large.documents >= TARGET else f"extrapolated from {large.documents:,}"
    claims = [
        at_most("growth of the peak above the encoder, bytes per document", growth, BAR / TARGET),
        at_most(f"peak above the encoder at {TARGET:,} documents, {measured}, GB", expected / 1e9, BAR / 1e9),
        at_most(
            "CPU time per document before the first batch, by that of half of them",
            large.microseconds / small.microseconds,
            1.1,
        ),
    ]
    return Topic("A corpus larger than memory", rows, claims)


@click.command()
@click.option("--documents", type=click.IntRange(10_000), default=1_000_000, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(documents: int, as_json: bool) -> None:
    """Print a table with one row per step, or with --json one object per claim and line."""
    print_topic(measure(documents), as_json=as_json)


if __name__ == "__main__":
    main()
