"""How long heads take: to fit, to feed a step, to predict, beside the usual loop; each ratio from one run.

    python -m benchmarks.heads --store STORE [--head mlp]... [--topic fits]... [--epochs 2] [--rounds 3] [--json]

Defaults are fitted on nine tenths of the training documents, each head in a process of its own, and scored on the last
tenth; the test split is not read. Then each network is trained for --epochs by our loop and by a Dataset, a DataLoader
and padding (benchmarks/usual_loop.py), on the same documents, without a validation part, alternating for --rounds;
figures are medians. Linux only, for it looks into /proc.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import usual_loop
from benchmarks.measuring import Claim, Topic, at_least, at_most, median_seconds, print_topic, process_memory
from commandline.output import say
from data.splits import assign_folds
from data.text_format import format_duration
from featurestore import Bags
from heads.core.head import Head
from heads.registry import HEADS, make_head
from heads.training import position_storage as sources
from heads.training.config import Imbalance, Optimization, Training
from heads.training.loop import Trainer
from heads.training.network_head import NetworkHead, Standardized, seeded
from stages.fitting.task import load_task, open_corpus, open_store

DEFAULT = [name for name in HEADS if name not in ("lightgbm", "cascade")]
FASTER = {"mlp": 8.0, "attention": 8.0, "lstm": 1.5, "transformer": 1.5}
PREDICTED = 10_000


@dataclass(frozen=True)
class Documents:
    """Training documents that teach and some that are kept aside, with their classes."""

    taught: Bags
    codes: NDArray[np.int64]
    aside: Bags
    truth: NDArray[np.int64]


@dataclass(frozen=True)
class Fit:
    """What a default fit took. feeding: share of an epoch's time that goes into making batches, None without epochs."""

    fit_seconds: float
    predict_seconds: float
    megabytes: float
    epochs: int
    feeding: float | None
    accuracy: float


@dataclass(frozen=True)
class Race:
    """Seconds and accuracy of so many epochs by our loop and by the usual one; usual_feeding: of its seconds."""

    ours: float
    usual: float
    usual_feeding: float
    accuracy: float
    usual_accuracy: float


def documents(store_folder: Path, corpus: str | None, most: int | None) -> Documents:
    """The training documents of a store's corpus, a tenth of them aside; most: so many of them."""
    store = open_store(store_folder, store_folder.parent)
    found = load_task(store, open_corpus(store, corpus))
    rows = np.random.default_rng(0).permutation(len(found.train))[:most]
    bags, codes, groups = found.train[rows], found.target.y[rows], found.groups[rows]
    part = assign_folds(codes, groups.tolist(), 10, 0)
    taught, aside = np.flatnonzero(part != 0), np.flatnonzero(part == 0)
    return Documents(bags[taught], codes[taught], bags[aside], codes[aside])


def default_fit(name: str, store_folder: Path, corpus: str | None, most: int | None, files: bool) -> Fit:
    """One head with its defaults, in a process that does nothing else; files: as if memory had no room for steps."""
    if files:
        sources.MEMORY_FRACTION = 0.0
    found, head, stamps = documents(store_folder, corpus, most), make_head(name, {}), list[float]()
    if isinstance(head, NetworkHead):
        head.on_epoch = lambda _: stamps.append(time.perf_counter())
    start = time.perf_counter()
    head.fit(found.taught, found.codes)
    fitted = time.perf_counter() - start
    many = found.aside[np.arange(PREDICTED) % len(found.aside)]
    head.decision_function(found.aside)
    start = time.perf_counter()
    head.decision_function(many)
    predicted = time.perf_counter() - start
    peak = process_memory("VmHWM") / 1e6
    share = None
    if isinstance(head, NetworkHead):
        share = _feeding(head, found.taught) / float(np.median(np.diff(stamps)))
    return Fit(fitted, predicted, peak, len(stamps), share, head.score(found.aside, found.truth))


def _feeding(head: NetworkHead, bags: Bags) -> float:
    """Seconds to make the batches of an epoch as long as the default fit's."""
    trainer = Trainer.of(head.training)
    sequences = head._prepare_sequences(head._sequences(bags), head.network_.mean)
    rows = torch.arange(round(len(bags) * (1 - trainer.stopping.validation_fraction)))
    order = [rows[each] for each in torch.split(torch.randperm(len(rows)), trainer.optimization.batch_size)]

    def epoch() -> None:
        for each in order:
            sequences.batch(each, torch.device("cpu"))

    return median_seconds({"": epoch}, 5)[""]


def race(name: str, found: Documents, epochs: int, rounds: int, workers: int) -> Race:
    """The same network by both loops."""
    optimization = Optimization(epochs=epochs, min_steps=1, device="cpu")
    training = Training(optimization=optimization, imbalance=Imbalance(label_smoothing=0.0))
    ours = _of(name, training).fit(found.taught[:256], found.codes[:256])
    assert isinstance(ours, NetworkHead)
    dataset = usual_loop.DocumentDataset(found.taught, ours.reads, _places(found.codes, found), ours.max_positions)
    usual = _of(name, training).fit(found.taught[:256], found.codes[:256])
    assert isinstance(usual, NetworkHead)

    def learn_usually() -> None:
        with seeded(0):
            body = usual.build(sum(usual.dims_.values()), len(np.unique(found.codes)))
            usual.network_ = Standardized(body, ours.network_.mean, ours.network_.deviation)
            usual_loop.train(usual.network_, dataset, optimization, workers)

    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: ours.fit(found.taught, found.codes),
        "usual": learn_usually,
        "feeding": lambda: sum(1 for _ in usual_loop.iter_batches(dataset, optimization.batch_size, workers)),
    }
    taken = median_seconds(ways, rounds)
    usual.classes_ = ours.classes_
    return Race(
        taken["ours"],
        taken["usual"],
        epochs * taken["feeding"] / taken["usual"],
        ours.score(found.aside, found.truth),
        usual.score(found.aside, found.truth),
    )


def _of(name: str, training: Training) -> Head:
    return make_head(name, {}).set_params(training=training, class_weight="none")


def _places(codes: NDArray[np.int64], found: Documents) -> NDArray[np.int64]:
    return np.unique(found.codes, return_inverse=True)[1][: len(codes)].astype(np.int64)


def fits(names: Sequence[str], found: dict[str, Fit]) -> Topic:
    """The table of default fits and its bars."""
    rows = [
        [
            "default fit",
            "s",
            "epochs",
            "feeding, % of an epoch",
            f"ms to predict {PREDICTED:,}",
            "peak MB",
            "validation accuracy",
        ]
    ]
    claims: list[Claim] = []
    for name in names:
        each = found[name]
        share = "" if each.feeding is None else f"{100 * each.feeding:.1f}"
        rows.append(
            [
                name,
                f"{each.fit_seconds:.1f}",
                f"{each.epochs or ''}",
                share,
                f"{1e3 * each.predict_seconds:,.0f}",
                f"{each.megabytes:,.0f}",
                f"{each.accuracy:.3f}",
            ]
        )
        claims.append(at_most(f"{name}: default fit, seconds", each.fit_seconds, 10 if name == "linear" else 90))
        claims.append(at_most(f"{name}: predicting {PREDICTED:,} documents, seconds", each.predict_seconds, 2))
        if each.feeding is not None:
            claims.append(at_most(f"{name}: feeding, share of an epoch", each.feeding, 0.15))
    total = sum(each.fit_seconds for each in found.values())
    return Topic("Default fits", rows, [*claims, at_most("all of these, seconds", total, 480)])


def races(found: dict[str, Race], epochs: int) -> Topic:
    """The table of both loops and its bars."""
    rows = [
        [f"{epochs} epochs", "ours, s", "usual, s", "× faster", "usual: feeding, %", "validation accuracy", "usual"]
    ]
    rows += [
        [
            name,
            f"{each.ours:.1f}",
            f"{each.usual:.1f}",
            f"{each.usual / each.ours:.1f}",
            f"{100 * each.usual_feeding:.0f}",
            f"{each.accuracy:.3f}",
            f"{each.usual_accuracy:.3f}",
        ]
        for name, each in found.items()
    ]
    claims = [
        at_least(f"{name}: times as fast as Dataset, DataLoader and padding", each.usual / each.ours, FASTER[name])
        for name, each in found.items()
        if name in FASTER
    ]
    return Topic("Beside the usual loop", rows, claims)


@click.command()
@click.option(
    "--store", "store_folder", type=click.Path(path_type=Path, exists=True), required=True, help="A feature store."
)
@click.option("--corpus")
@click.option("--head", "names", type=click.Choice(DEFAULT), multiple=True, default=DEFAULT)
@click.option("--topic", "topics", type=click.Choice(["fits", "races"]), multiple=True, default=["fits", "races"])
@click.option("--documents", "most", type=int, help="Read so many training documents only.")
@click.option("--epochs", default=2, help="Of a race.")
@click.option("--rounds", default=3, help="Of a race.")
@click.option("--workers", default=0, help="Processes that read for the usual DataLoader.")
@click.option("--files", is_flag=True, help="Networks read the store's files, as where memory is short; fits only.")
@click.option("--json", "as_json", is_flag=True)
def main(
    store_folder: Path,
    corpus: str | None,
    names: tuple[str, ...],
    topics: tuple[str, ...],
    most: int | None,
    epochs: int,
    rounds: int,
    workers: int,
    files: bool,
    as_json: bool,
) -> None:
    """Print a table a topic, or with --json an object a claim on a line."""
    if not as_json:
        print(f"{date.today()}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    made: list[Topic] = []
    if "fits" in topics:
        made.append(fits(names, {name: _apart(name, store_folder, corpus, most, files) for name in names}))
    racing = [name for name in names if issubclass(type(make_head(name, {})), NetworkHead)]
    if "races" in topics and racing:
        found = documents(store_folder, corpus, most)
        made.append(races({name: race(name, found, epochs, rounds, workers) for name in racing}, epochs))
    for topic in made:
        print_topic(topic, as_json=as_json)


def _apart(name: str, store_folder: Path, corpus: str | None, most: int | None, files: bool) -> Fit:
    """In a process of its own, so that its peak memory is its own."""
    start = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(default_fit, name, store_folder, corpus, most, files).result()
    say(f"{name} took {format_duration(time.perf_counter() - start)}")
    return found


if __name__ == "__main__":
    sys.exit(main())
