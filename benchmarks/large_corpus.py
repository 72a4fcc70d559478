"""Embedding a corpus that is larger than memory: the peak of memory and the CPU time next to the encoder.

Short documents are generated, and go through the steps of `embed` with a static encoder of 8 dimensions, in a process
of its own per number of documents. Fewer than 10,000,000 would fit into memory: the limits from which on texts and
columns are read again are lowered in proportion, so that the peak grows as it would up to there.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

from benchmarks.measuring import Topic, at_most, process_memory
from commandline.output import say
from data import table
from data.readers import corpus_from_table, read_corpus
from data.source_spec import SourceSpec
from data.train_test_split import assign_splits
from featurestore import FeatureStore
from stages.embed import Options, embed, open_encoder
from tests.tiny_encoder import SENTENCES, make_static

TARGET, BAR = 10_000_000, 2e9  # documents, and bytes above the encoder
LABELS = 20
FILES = 4


@dataclass(frozen=True)
class Bookkeeping:
    """Bytes above the encoder, and CPU seconds, of one process that embeds a corpus.

    reading, splitting: until all texts are hashed, and until each document has a split. embedding: the rest, with the
    tokenizer and a static encoder.
    """

    documents: int
    peak: int
    reading: float
    splitting: float
    embedding: float

    @property
    def microseconds(self) -> float:
        """CPU time of reading and splitting per document."""
        return 1e6 * (self.reading + self.splitting) / self.documents


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
    before = process_memory("RssAnon")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    times = [time.process_time()]
    corpus = read_corpus(source, SourceSpec(text=("text",), label="label", id="id"))
    times.append(time.process_time())
    corpus = assign_splits(corpus, 0)
    times.append(time.process_time())
    report = embed(corpus, encoder, FeatureStore.create(store, encoder.recipe))
    times.append(time.process_time())
    assert report.encoded == len(corpus.documents)
    peak = process_memory("VmHWM") - process_memory("RssFile") - before
    return Bookkeeping(report.encoded, peak, *(end - start for start, end in pairwise(times)))


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
    growth = (large.peak - small.peak) / (large.documents - small.documents)
    expected = large.peak + growth * max(TARGET - large.documents, 0)
    rows = [["documents", "peak above the encoder, MB", "reading, s", "splitting, s", "embedding, s"]]
    rows += [
        [f"{run.documents:,}", f"{run.peak / 1e6:,.0f}"]
        + [f"{seconds:,.0f}" for seconds in (run.reading, run.splitting, run.embedding)]
        for run in (small, large)
    ]
    measured = "measured" if large.documents >= TARGET else f"extrapolated from {large.documents:,}"
    claims = [
        at_most("growth of the peak above the encoder, bytes per document", growth, BAR / TARGET),
        at_most(f"peak above the encoder at {TARGET:,} documents, {measured}, GB", expected / 1e9, BAR / 1e9),
        at_most(
            "CPU time per document, by that of half of them",
            large.microseconds / small.microseconds,
            1.1,
        ),
    ]
    return Topic("A corpus larger than memory, CPU seconds", rows, claims)
