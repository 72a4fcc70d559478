"""What adapting an encoder is worth: heads on the frozen encoder and on adapted ones, and the minutes that it takes.

    python -m benchmarks.before_freeze --adapt supervised:3 --adapt mlm --adapt supervised+lora
    python -m benchmarks.before_freeze --corpus newsgroups --adapt supervised --steps 1000 --train-window 128

Each of --adapt is a method, perhaps with LoRA, and perhaps with a number of seeds. Encoders are trained by `adapt`
(with its default hold-out), the corpus is encoded with each, and heads are fitted by `fit_head` with their defaults;
`stack` reads the heads before it. Encoders, stores and runs are kept, so an interrupted command resumes. Values are
means over the seeds of the encoder. Differences to the frozen encoder are paired, in the same bootstrap resamples of
the test documents. Out-of-fold metrics of a supervised encoder are of the documents that it did not learn from, those
of the others of all training documents.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.measuring import Topic, print_topic
from benchmarks.quality import METRICS, Row, Table, fit_seeds, format_interval
from commandline.output import note, say
from data.splits import Split
from data.text_format import format_duration
from featurestore import FeatureStore
from stages.adapt.adapt import Adaptation, AdaptProgress, train_encoders
from stages.adapt.plan import AdaptPlan, AdaptRequest
from stages.embed.encoder.options import Options
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.embed.pipeline.progress import EmbedProgress
from stages.fitting.runs import Run

FROZEN = "frozen"
SECONDS_PER_LINE = 60.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured, and where results are kept. corpus: a benchmark or a file."""

    corpus: str
    model: str
    heads: Sequence[str]
    folds: int
    steps: int | None
    batch_size: int
    train_window: int | None
    stores: Path
    runs: Path

    @property
    def corpus_name(self) -> str:
        """The name of the corpus in a store."""
        return Path(self.corpus).stem


@dataclass(frozen=True)
class Measured:
    """An encoder by the name of its configuration. runs: of each seed, head -> run. minutes: of each training."""

    name: str
    runs: Sequence[dict[str, Run]]
    minutes: Sequence[float]


class Lines:
    """Prints what is done now, once per minute."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def show(self, text: str) -> None:
        """Print `text` if it is time."""
        if time.monotonic() - self._last >= SECONDS_PER_LINE:
            self._last = time.monotonic()
            say(text)


def train_encoder(settings: Settings, method: str, seed: int) -> tuple[str, float]:
    """Adapt the encoder, unless it was adapted before; returns its name and the minutes that this took.

    Args:
        settings: The corpus and the base encoder.
        method: "mlm", or "mlm+lora".
        seed: Of the training.
    """
    kind, _, train = method.partition("+")
    values: dict[str, Any] = {"method": kind, "train": train or "all", "seed": seed, "steps": settings.steps}
    name = f"{settings.corpus_name}-{method}-{seed}"
    adaptation = Adaptation(
        AdaptRequest(
            source=settings.corpus,
            encoding=Options(model=settings.model, window=settings.train_window),
            name=name,
            plan=AdaptPlan(batch_size=settings.batch_size, **values),
            verdict=False,
        )
    )
    lines, record = Lines(), settings.runs / settings.corpus_name / f"{name}.json"

    def progress(now: AdaptProgress) -> None:
        step = now.now
        left = format_duration(step.seconds_left)
        lines.show(f"{name}: step {step.step:,} of {step.steps:,}, loss {step.loss:.3f}, {left} left")

    (trained,) = train_encoders(adaptation, notify=note, progress=progress)
    if trained.report is not None:
        say(f"{trained.folder}: {trained.report.sentence()}")
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"minutes": trained.report.seconds / 60}))
    return name, float(json.loads(record.read_text())["minutes"]) if record.is_file() else float("nan")


def encode(settings: Settings, model: str) -> FeatureStore:
    """Encode the corpus, as far as its store lacks it."""
    lines = Lines()

    def progress(now: EmbedProgress) -> None:
        left = "?" if now.seconds_left is None else format_duration(now.seconds_left)
        lines.show(f"encoding with {model}: {now.documents:,} of {now.documents_total:,} documents, {left} left")

    request = EmbedRequest(
        source=settings.corpus, options=Options(model=model, backend="torch"), stores=settings.stores
    )
    store, report = embed_source(request, notify=note, progress=progress)
    if report.encoded:
        say(f"{store.name}: {report.encoded:,} documents encoded in {format_duration(report.seconds)}")
    return store


def fit(settings: Settings, store: FeatureStore) -> dict[str, Run]:
    """Fit each head once."""
    fitted: dict[str, Run] = {}
    for head in settings.heads:
        earlier = [[run] for run in fitted.values()]
        (fitted[head],) = fit_seeds(head, 1, settings.folds, store, settings.corpus_name, settings.runs, earlier)
    return fitted


def measure(settings: Settings, methods: Sequence[str]) -> list[Measured]:
    """The frozen encoder, then each method; all encoders are trained first."""
    counted = [(name, int(seeds or 1)) for name, _, seeds in (method.partition(":") for method in methods)]
    trained = {name: [train_encoder(settings, name, seed) for seed in range(count)] for name, count in counted}
    measured = [Measured(FROZEN, [fit(settings, encode(settings, settings.model))], [])]
    for name, encoders in trained.items():
        runs = [fit(settings, encode(settings, encoder)) for encoder, _ in encoders]
        measured.append(Measured(name, runs, [minutes for _, minutes in encoders]))
    return measured


def make_table(settings: Settings, measured: Sequence[Measured]) -> Table:
    """One row per encoder and head."""
    rows = [
        Row(
            f"{encoder.name}, {head}",
            [runs[head].predictions().of(Split.TEST).predicted for runs in encoder.runs],
            float(np.mean([runs[head].scorecards["out_of_fold"].macro_f1.value for runs in encoder.runs])),
        )
        for encoder in measured
        for head in settings.heads
    ]
    first = measured[0].runs[0][settings.heads[0]]
    test = first.predictions().of(Split.TEST)
    return Table(settings.corpus_name, test.truth, len(first.record.labels), rows)


def make_topic(settings: Settings, measured: Sequence[Measured]) -> Topic:
    """The table as text."""
    table = make_table(settings, measured)
    header = ["encoder, head", "seeds", "minutes of training", "macro-F1 out of fold", "accuracy", "macro-F1"]
    lines = [[*header, "accuracy above frozen", "macro-F1 above frozen"]]
    minutes = {encoder.name: encoder.minutes for encoder in measured}
    for row in table.rows:
        name, _, head = row.name.partition(", ")
        cells = [row.name, str(len(row.predicted)), f"{np.mean(minutes[name]):.0f}" if minutes[name] else ""]
        cells += [f"{row.out_of_fold:.3f}", *(format_interval(table.interval(row, metric)) for metric in METRICS)]
        frozen = table.find(f"{FROZEN}, {head}")
        for metric in METRICS:
            gain = None if frozen is None or frozen is row else table.difference(row, frozen, metric)
            cells.append("" if gain is None else f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]")
        lines.append(cells)
    return Topic(f"{settings.corpus_name}, test split, {date.today().isoformat()}", lines, [])


@click.command()
@click.option("--corpus", default="reuters52", show_default=True)
@click.option("--model", default="all-MiniLM-L6-v2", show_default=True)
@click.option("--adapt", "methods", multiple=True, default=("supervised",), show_default=True)
@click.option("--heads", default="attention,fused,stack", show_default=True)
@click.option("--folds", type=click.IntRange(2), default=3, show_default=True)
@click.option("--steps", type=click.IntRange(1), help="Training steps.  [the default epochs of the method]")
@click.option("--batch-size", type=click.IntRange(2), default=32, show_default=True)
@click.option("--train-window", type=click.IntRange(1), help="Tokens per window in training.  [as for encoding]")
@click.option("--stores", type=click.Path(path_type=Path), default=Path("stores"), show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/before_freeze"), show_default=True)
def main(methods: tuple[str, ...], heads: str, **options: Any) -> None:
    """Print one table."""
    settings = Settings(heads=heads.split(","), **options)
    print_topic(make_topic(settings, measure(settings, methods)), as_json=False)


if __name__ == "__main__":
    main()
