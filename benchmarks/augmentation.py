"""What augmented copies of training documents add, on all of Reuters-52 and on ten documents per label.

    python -m benchmarks.augmentation --store PATH [--out PATH] [--parts few,rare,all] [--heads linear,attention]

Each head is fitted by `fit_head` with and without the copies of each method, with its default hyperparameters and the
same folds. Differences are of macro-F1, paired by document, with 95 % bootstrap intervals: out of fold on the training
documents, and on the test split, which decides nothing. Parts:

    few   ten training documents of each label, with two copies of each (--draws draws them more than once)
    rare  all training documents; labels with fewer than 50 of them are filled up to 50
    all   all training documents, with one copy of each

Copies and runs are kept, so an interrupted command resumes. The texts of Reuters-52 have no punctuation, so sentences
cannot be shuffled, and all-MiniLM-L6-v2 has no head for masked tokens: `sentences` and `mlm` cannot be measured here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np

from commandline.output import say
from data.splits import Split
from featurestore import CorpusTable, FeatureStore
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.metrics import MACRO_F1
from heads.evaluation.paired import paired_differences
from heads.evaluation.sampled_metric import SampledMetric
from heads.registry import make_head
from stages.augment.augment import augment
from stages.augment.copied_corpus import encode_copies
from stages.augment.plan import AugmentPlan
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.runs import Run
from stages.stores import open_corpus, open_store

METHODS = ("deletion", "keyword-exchange", "keyword-shuffle")
FEW, FEW_COPIES = 10, 2


@dataclass(frozen=True)
class Part:
    """Training documents, and how many copies they get."""

    name: str
    table: CorpusTable
    copies: int | None = None
    to: int | None = None


def make_parts(store: FeatureStore, table: CorpusTable, names: Sequence[str], draws: int) -> Iterator[Part]:
    """The parts of these names; subsets of the corpus are kept in the store as corpora of their own."""
    if "few" in names:
        for draw in range(draws):
            few = draw_few(table, draw)
            store.save_corpus(few)
            yield Part(f"{FEW} per label, draw {draw + 1}", few, copies=FEW_COPIES)
    if "rare" in names:
        yield Part("all, rare labels to 50", table, to=50)
    if "all" in names:
        yield Part("all, one copy each", table, copies=1)


def draw_few(table: CorpusTable, seed: int) -> CorpusTable:
    """The corpus with at most FEW training documents per label, and all test documents."""
    rng, taken, kept = np.random.default_rng(seed), dict[str, int](), []
    for row in rng.permutation(len(table.ids)).tolist():
        label = (table.labels[row] or ("",))[0]
        if table.splits[row] != Split.TEST and taken.get(label, 0) == FEW:
            continue
        if table.splits[row] != Split.TEST:
            taken[label] = taken.get(label, 0) + 1
        kept.append(row)
    rows = sorted(kept)
    names = ("ids", "keys", "splits", "groups", "labels")
    columns: dict[str, Any] = {name: [getattr(table, name)[row] for row in rows] for name in names}
    return replace(table, name=f"{table.name}-{FEW}-{seed}", **columns)


def make_copies(store: FeatureStore, part: Part, method: str, folder: Path) -> CorpusTable:
    """The copies of a part, encoded; those that the store has already are not encoded again."""
    plan = AugmentPlan(method=method, copies=part.copies, to=part.to)
    amount = f"to{part.to}" if part.to else f"x{part.copies}"
    made = augment(store, part.table, plan, out=folder / f"{part.table.name}-{method}-{amount}.jsonl")
    made.write()
    encode_copies(store, made, lambda _: None)
    say(f"{made.corpus.name}: {len(made.made):,} copies")
    return store.corpus(made.corpus.name)


def difference(run: Run, without: Run, split: Split) -> ConfidenceInterval:
    """How much better a run is than the one without copies, by macro-F1."""
    new, old = run.predictions().of(split), without.predictions().of(split)
    entries = [[old.predicted], [new.predicted]]
    (interval,) = paired_differences(SampledMetric.of(old.truth, entries, len(run.record.labels), MACRO_F1))
    return interval


def measure(store: FeatureStore, part: Part, head: str, methods: Sequence[str], folder: Path) -> Iterator[list[str]]:
    """One row of the table per method."""
    plan = FitPlan(head=make_head(head, {}))
    without, _ = fit_head(store, part.table, plan, folder / "runs", jobs=1)
    base = [without.scorecards[name].macro_f1.value for name in ("out_of_fold", "test")]
    yield [part.name, head, "none", "", f"{base[0]:.3f}", "", f"{base[1]:.3f}", ""]
    for method in methods:
        copies = make_copies(store, part, method, folder)
        run, _ = fit_head(store, part.table, replace(plan, copies=[copies]), folder / "runs", jobs=1)
        values = [run.scorecards[name].macro_f1.value for name in ("out_of_fold", "test")]
        differences = [difference(run, without, split) for split in (Split.TRAIN, Split.TEST)]
        cells = [f"{each.value:+.3f} ({each.low:+.3f} to {each.high:+.3f})" for each in differences]
        count = sum(run.record.copies.values())
        yield [part.name, head, method, f"{count:,}", f"{values[0]:.3f}", cells[0], f"{values[1]:.3f}", cells[1]]


@click.command()
@click.option("--store", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("augmentation"), help="Folder of copies and runs.")
@click.option("--parts", default="few,rare,all")
@click.option("--heads", default="linear,attention")
@click.option("--methods", default=",".join(METHODS))
@click.option("--draws", default=1, help="How often the documents of `few` are drawn.")
def main(store: Path, out: Path, parts: str, heads: str, methods: str, draws: int) -> None:
    """Print the table of differences."""
    source = open_store(store, store.parent)
    table = open_corpus(source, "reuters52")
    out.mkdir(parents=True, exist_ok=True)
    click.echo(f"{date.today()}\n")
    header = ["documents", "head", "copies by", "copies", "out of fold", "difference", "test", "difference"]
    click.echo(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for part in make_parts(source, table, parts.split(","), draws):
        for head in heads.split(","):
            for row in measure(source, part, head, methods.split(","), out):
                click.echo(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
