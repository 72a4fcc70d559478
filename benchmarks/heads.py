"""The time to fit heads, to build their batches and to predict, compared with the usual training loop.

    python -m benchmarks.heads --store STORE [--head mlp]... [--topic fits]... [--epochs 2] [--rounds 3] [--json]

fits: each head is fitted with its defaults on nine tenths of the training documents, in a process of its own, and
scored on the last tenth. The test split is not read. races: each network is trained for --epochs by our loop and by a
Dataset, a DataLoader and padding (benchmarks/usual_loop.py), on the same documents, without a validation split,
alternating for --rounds; values are medians. Linux only, because it reads /proc.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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
from heads.registry import HEADS, make_head
from heads.training import position_storage
from heads.training.config import Imbalance, Optimization, Training
from heads.training.length import TrainingLength
from heads.training.loop import Trainer
from heads.training.network_head import NetworkHead, Standardized, seeded
from stages.fitting.task import load_task
from stages.stores import open_corpus, open_store

DEFAULT_HEADS = [name for name in HEADS if name not in ("lightgbm", "cascade")]
SPEEDUP_BARS = {"mlp": 8.0, "attention": 8.0, "lstm": 1.5, "transformer": 1.5}
PREDICTED = 10_000


@dataclass(frozen=True)
class Documents:
    """Which documents are read. corpus: None for the only one. limit: number of training documents; None for all."""

    store: Path
    corpus: str | None
    limit: int | None

    def split(self) -> "Split":
        """Training documents to fit on, and a validation split of one tenth."""
        store = open_store(self.store, self.store.parent)
        task = load_task(store, open_corpus(store, self.corpus))
        rows = np.random.default_rng(0).permutation(len(task.train))[: self.limit]
        bags, y, groups = task.train[rows], task.target.y[rows], task.groups[rows]
        fold_of = assign_folds(y, groups.tolist(), 10, 0)
        fitted, validation = np.flatnonzero(fold_of != 0), np.flatnonzero(fold_of == 0)
        return Split(bags[fitted], y[fitted], bags[validation], y[validation])


@dataclass(frozen=True)
class Split:
    """Documents to fit on and the validation split, with their codes, int64 (documents,)."""

    train: Bags
    train_y: NDArray[np.int64]
    validation: Bags
    validation_y: NDArray[np.int64]


@dataclass(frozen=True)
class Fit:
    """The measurements of a default fit.

    feeding_share: the share of an epoch's time for building batches; None for a head without epochs.
    """

    fit_seconds: float
    predict_seconds: float
    peak_megabytes: float
    epochs: int
    feeding_share: float | None
    accuracy: float


@dataclass(frozen=True)
class Race:
    """Seconds and accuracy of our loop and of the usual one. usual_feeding_share: of its seconds, for reading."""

    seconds: float
    usual_seconds: float
    usual_feeding_share: float
    accuracy: float
    usual_accuracy: float

    @property
    def speedup(self) -> float:
        """How many times as fast as the usual loop ours is."""
        return self.usual_seconds / self.seconds


def measure_default_fit(name: str, documents: Documents, *, from_files: bool) -> Fit:
    """Fit one head with its defaults. from_files: networks read the store's files, as if memory had no room."""
    if from_files:
        position_storage.MEMORY_FRACTION = 0.0
    split, head, stamps = documents.split(), make_head(name, {}), list[float]()
    if isinstance(head, NetworkHead):
        head.on_epoch = lambda _: stamps.append(time.perf_counter())
    start = time.perf_counter()
    head.fit(split.train, split.train_y)
    fit_seconds = time.perf_counter() - start
    repeated = split.validation[np.arange(PREDICTED) % len(split.validation)]
    head.decision_function(split.validation)
    start = time.perf_counter()
    head.decision_function(repeated)
    predict_seconds = time.perf_counter() - start
    peak = process_memory("VmHWM") / 1e6
    share = None
    if isinstance(head, NetworkHead):
        share = _feeding_seconds(head, split.train) / float(np.median(np.diff(stamps)))
    accuracy = head.score(split.validation, split.validation_y)
    return Fit(fit_seconds, predict_seconds, peak, len(stamps), share, accuracy)


def _feeding_seconds(head: NetworkHead, bags: Bags) -> float:
    """Seconds to build the batches of one epoch of the default fit."""
    trainer = Trainer.of(head.training)
    sequences = head._prepare_sequences(head._sequences(bags), head.network_.mean)
    rows = torch.arange(round(len(bags) * (1 - trainer.stopping.validation_fraction)))
    batches = [rows[batch] for batch in torch.split(torch.randperm(len(rows)), head.history_.length.batch_size)]

    def build_epoch() -> None:
        for batch in batches:
            sequences.batch(batch, torch.device("cpu"))

    return median_seconds({"": build_epoch}, 5)[""]


def race(name: str, split: Split, epochs: int, rounds: int, workers: int) -> Race:
    """Train the same network by both loops. workers: reading processes of the usual DataLoader."""
    optimization = Optimization(epochs=epochs, min_steps=1, device="cpu")
    length = TrainingLength.of(optimization, len(split.train), len(split.train))
    ours, usual = (_initial_network(name, optimization, split) for _ in range(2))
    codes = np.unique(split.train_y, return_inverse=True)[1].astype(np.int64)
    dataset = usual_loop.DocumentDataset(split.train, ours.reads, codes, ours._position_limit())

    def train_usually() -> None:
        with seeded(0):
            network = usual.build(sum(usual.dims_.values()), len(np.unique(split.train_y)))
            usual.network_ = Standardized(network, ours.network_.mean, ours.network_.deviation)
            usual_loop.train(usual.network_, dataset, optimization, length, workers)

    variants: dict[str, Callable[[], object]] = {
        "ours": lambda: ours.fit(split.train, split.train_y),
        "usual": train_usually,
        "feeding": lambda: sum(1 for _ in usual_loop.iter_batches(dataset, length.batch_size, workers)),
    }
    seconds = median_seconds(variants, rounds)
    usual.classes_ = ours.classes_
    return Race(
        seconds["ours"],
        seconds["usual"],
        epochs * seconds["feeding"] / seconds["usual"],
        ours.score(split.validation, split.validation_y),
        usual.score(split.validation, split.validation_y),
    )


def _initial_network(name: str, optimization: Optimization, split: Split) -> NetworkHead:
    """A network head that is fitted on a few documents, so that it has a network of the right size."""
    training = Training(optimization=optimization, imbalance=Imbalance(label_smoothing=0.0))
    head = make_head(name, {"class_weight": "none"}).set_params(training=training)
    head.fit(split.train[:256], split.train_y[:256])
    assert isinstance(head, NetworkHead)
    return head


def fits_topic(fits: Mapping[str, Fit]) -> Topic:
    """The table of default fits, and its bars."""
    header = [
        "default fit",
        "s",
        "epochs",
        "feeding, % of an epoch",
        f"ms to predict {PREDICTED:,}",
        "peak MB",
        "validation accuracy",
    ]
    claims = [claim for name, fit in fits.items() for claim in _fit_claims(name, fit)]
    claims.append(at_most("all fits, seconds", sum(fit.fit_seconds for fit in fits.values()), 480))
    return Topic("Default fits", [header, *(_fit_row(name, fit) for name, fit in fits.items())], claims)


def _fit_row(name: str, fit: Fit) -> list[str]:
    return [
        name,
        f"{fit.fit_seconds:.1f}",
        f"{fit.epochs or ''}",
        "" if fit.feeding_share is None else f"{100 * fit.feeding_share:.1f}",
        f"{1e3 * fit.predict_seconds:,.0f}",
        f"{fit.peak_megabytes:,.0f}",
        f"{fit.accuracy:.3f}",
    ]


def _fit_claims(name: str, fit: Fit) -> list[Claim]:
    claims = [
        at_most(f"{name}: default fit, seconds", fit.fit_seconds, 10 if name == "linear" else 90),
        at_most(f"{name}: predicting {PREDICTED:,} documents, seconds", fit.predict_seconds, 2),
    ]
    if fit.feeding_share is not None:
        claims.append(at_most(f"{name}: feeding, share of an epoch", fit.feeding_share, 0.15))
    return claims


def races_topic(races: Mapping[str, Race], epochs: int) -> Topic:
    """The table of both loops, and its bars."""
    rows = [
        [f"{epochs} epochs", "ours, s", "usual, s", "× faster", "usual: feeding, %", "validation accuracy", "usual"]
    ]
    rows += [
        [
            name,
            f"{race.seconds:.1f}",
            f"{race.usual_seconds:.1f}",
            f"{race.speedup:.1f}",
            f"{100 * race.usual_feeding_share:.0f}",
            f"{race.accuracy:.3f}",
            f"{race.usual_accuracy:.3f}",
        ]
        for name, race in races.items()
    ]
    claims = [
        at_least(f"{name}: times as fast as Dataset, DataLoader and padding", race.speedup, SPEEDUP_BARS[name])
        for name, race in races.items()
        if name in SPEEDUP_BARS
    ]
    return Topic("Compared with the usual loop", rows, claims)


def is_network(name: str) -> bool:
    """Whether the head is a network."""
    return isinstance(make_head(name, {}), NetworkHead)


def fit_in_process(name: str, documents: Documents, *, from_files: bool) -> Fit:
    """`measure_default_fit` in a process of its own, which has its own peak memory."""
    start = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        fit = pool.submit(measure_default_fit, name, documents, from_files=from_files).result()
    say(f"{name} took {format_duration(time.perf_counter() - start)}")
    return fit


def run_races(names: Sequence[str], split: Split, epochs: int, rounds: int, workers: int) -> dict[str, Race]:
    """Head -> its race."""
    return {name: race(name, split, epochs, rounds, workers) for name in names}


@click.command()
@click.option("--store", type=click.Path(path_type=Path, exists=True), required=True, help="A feature store.")
@click.option("--corpus", help="Name of the corpus, if the store has several.")
@click.option("--head", "names", type=click.Choice(DEFAULT_HEADS), multiple=True, default=DEFAULT_HEADS)
@click.option("--topic", "topics", type=click.Choice(["fits", "races"]), multiple=True, default=["fits", "races"])
@click.option("--documents", "limit", type=int, help="Number of training documents.  [all]")
@click.option("--epochs", default=2, show_default=True, help="Epochs of a race.")
@click.option("--rounds", default=3, show_default=True, help="Rounds of a race.")
@click.option("--workers", default=0, show_default=True, help="Reading processes of the usual DataLoader.")
@click.option("--files", "from_files", is_flag=True, help="Networks read files, as if memory were short; fits only.")
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(
    store: Path,
    corpus: str | None,
    names: tuple[str, ...],
    topics: tuple[str, ...],
    limit: int | None,
    epochs: int,
    rounds: int,
    workers: int,
    from_files: bool,
    as_json: bool,
) -> None:
    """Print one table per topic, or with --json one object per claim and line."""
    if not as_json:
        print(f"{date.today()}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    documents = Documents(store, corpus, limit)
    if "fits" in topics:
        fits = {name: fit_in_process(name, documents, from_files=from_files) for name in names}
        print_topic(fits_topic(fits), as_json=as_json)
    networks = [name for name in names if is_network(name)]
    if "races" in topics and networks:
        races = run_races(networks, documents.split(), epochs, rounds, workers)
        print_topic(races_topic(races, epochs), as_json=as_json)


if __name__ == "__main__":
    sys.exit(main())
