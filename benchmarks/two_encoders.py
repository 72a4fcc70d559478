"""Whether a second encoder helps: two encoders joined, against the better one alone.

    python -m benchmarks.multilingual_e5 encoders/multilingual-e5-small
    python -m benchmarks.two_encoders sample reuters52 --train 2000 --test 1000 > reuters52-3000.jsonl
    embedonce embed reuters52-3000.jsonl --store stores/minilm
    embedonce embed reuters52-3000.jsonl --store stores/e5 --model encoders/multilingual-e5-small --prefix "query: "
    python -m benchmarks.two_encoders measure --store stores/minilm --store stores/e5 --corpus reuters52-3000

Each head is fitted by `fit_head` with its default hyperparameters on each store alone and on both joined, in the same
folds. `stack` is fitted on the runs of the heads before it on the same features. The better encoder alone is chosen for
each head by out-of-fold macro-F1. Differences are paired by document, with 95 % bootstrap confidence intervals. Runs
are stored, so an interrupted command resumes. The test split is scored once per run and chooses nothing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click
import numpy as np

from benchmarks.measuring import Topic, print_topic
from benchmarks.quality import format_interval
from commandline.output import say
from data.documents import Document
from data.readers import read_corpus
from data.splits import Split, nested_subsets
from data.text_format import format_duration
from featurestore import CorpusTable, FeatureSource
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.metrics import MACRO_F1, Metric
from heads.evaluation.paired import paired_differences
from heads.evaluation.sampled_metric import SampledMetric
from heads.registry import STACKING_HEADS, make_head
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run
from stages.stores import open_corpus, open_stores

HEADS = "linear,gated,fused,stack"
METRICS = (Metric("accuracy", "accuracy"), MACRO_F1)
SPLITS = {"out of fold": ("out_of_fold", Split.TRAIN), "test": ("test", Split.TEST)}
BOTH = "both"


@dataclass(frozen=True)
class Features:
    """The features of one or both encoders. encoders: its name, or `BOTH`."""

    encoders: str
    source: FeatureSource
    corpus: CorpusTable


def open_features(stores: Sequence[Path], corpus: str) -> list[Features]:
    """The features of each store alone, and of both joined."""
    opened = []
    for paths in ([stores[0]], [stores[1]], stores):
        source, first = open_stores(paths, Path())
        name = Path(first.recipe.encoder).name if len(paths) == 1 else BOTH
        opened.append(Features(name, source, open_corpus(first, corpus)))
    return opened


def fit_heads(features: Features, heads: Sequence[str], folds: int, runs: Path) -> dict[str, Run]:
    """Head -> its run on these features; `stack` reads the runs before it."""
    fitted: dict[str, Run] = {}
    for head in heads:
        base_runs = [run.name for run in fitted.values()] if head in STACKING_HEADS else []
        plan = FitPlan(head=make_head(head, {}), folds=folds, base_runs=base_runs)
        run, is_new = fit_head(features.source, features.corpus, plan, runs)
        duration = format_duration(sum(run.record.seconds.values()))
        say(f"{features.encoders}: {run.name} {'took' if is_new else 'had taken'} {duration}")
        fitted[head] = run
    return fitted


def difference(run: Run, other: Run, metric: Metric, split: Split) -> ConfidenceInterval:
    """By how much `run` is above `other` on the documents of a split, paired."""
    rows, reference = run.predictions().of(split), other.predictions().of(split)
    if list(rows.ids) != list(reference.ids):
        raise click.ClickException(f"{run.name} and {other.name} have documents in different orders.")
    labels = len(run.record.labels)
    entries = [[reference.predicted], [rows.predicted]]
    (gain,) = paired_differences(SampledMetric.of(reference.truth, entries, labels, metric))
    return gain


def table_rows(head: str, runs: dict[str, Run]) -> Iterator[list[str]]:
    """The rows of a head: each encoder alone, both, and both minus the better one alone. runs: by encoders."""
    for encoders, run in runs.items():
        cards = [run.scorecards[scored] for scored, _ in SPLITS.values()]
        yield [head, encoders, *(f"{metric.value(card).value:.4f}" for card in cards for metric in METRICS)]
    alone = [encoders for encoders in runs if encoders != BOTH]
    better = max(alone, key=lambda name: MACRO_F1.signed_value(runs[name].scorecards["out_of_fold"]))
    gains = [difference(runs[BOTH], runs[better], metric, split) for _, split in SPLITS.values() for metric in METRICS]
    yield [head, f"{BOTH} minus {better}", *map(format_interval, gains)]


@click.group()
def main() -> None:
    """Sample a corpus, or compare two encoders."""


@main.command()
@click.argument("source")
@click.option("--train", type=click.IntRange(1), required=True, help="Training documents, stratified.")
@click.option("--test", type=click.IntRange(1), required=True, help="Test documents, stratified.")
def sample(source: str, train: int, test: int) -> None:
    """Print a stratified sample of a corpus as JSON lines."""
    documents = read_corpus(source).documents
    for split, count in ((Split.TRAIN, train), (Split.TEST, test)):
        rows = [document for document in documents if document.split == split]
        labels = np.unique([_label(document) for document in rows], return_inverse=True)[1]
        for row in nested_subsets(labels, None, [count], seed=0)[0]:
            values = {"id": rows[row].id, "text": rows[row].text, "label": _label(rows[row]), "split": split}
            click.echo(json.dumps(values, ensure_ascii=False))


def _label(document: Document) -> str:
    return (document.labels or ("",))[0]


@main.command()
@click.option("--store", "stores", type=click.Path(path_type=Path), multiple=True, required=True, help="Two of them.")
@click.option("--corpus", required=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/two_encoders"), show_default=True)
@click.option("--heads", default=HEADS, show_default=True)
@click.option("--folds", type=click.IntRange(2), default=3, show_default=True)
def measure(stores: tuple[Path, ...], corpus: str, runs: Path, heads: str, folds: int) -> None:
    """Print the table of a corpus."""
    if len(stores) != 2:
        raise click.UsageError("Give two stores.")
    names = heads.split(",")
    fitted = {each.encoders: fit_heads(each, names, folds, runs / corpus) for each in open_features(stores, corpus)}
    header = ["head", "encoders", *(f"{metric.name}, {scored}" for scored in SPLITS for metric in METRICS)]
    rows = [
        row for head in names for row in table_rows(head, {name: runs_of[head] for name, runs_of in fitted.items()})
    ]
    print_topic(Topic(f"{corpus}, {date.today().isoformat()}", [header, *rows], []), as_json=False)


if __name__ == "__main__":
    main()
