"""Class weights, samplers and losses for imbalanced labels, compared with the head `mlp`.

    python -m benchmarks.imbalance --stores PATH [--corpus reuters52] [--seeds 3] [--quick] [--json]

The head reads the pooled views cls, mean and max. reuters52 is imbalanced (1:2,000); the training split of newsgroups
is subsampled so that label sizes fall exponentially, 1:100. Each variant is fitted out of fold, with and without a
tuned decision rule, and once on all training documents; that fit scores the test split once. Differences are to cross
entropy without weights, paired by seed, with Student's 95 % confidence interval over seeds. Choose by the out-of-fold
columns; the test columns only show whether the choice generalizes.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Topic, format_mean_gain
from commandline.output import say
from data.splits import assign_folds
from featurestore import FeatureStore
from heads.core.head import Head
from heads.evaluation.decisions import default_decision, tune_decision
from heads.evaluation.metrics import macro_f1
from heads.registry import make_head
from stages.fitting.task import Task, load_task
from stages.stores import open_corpus, open_store

FOLDS = 3
RATIO = 100
BASELINE = "none, instance, cross_entropy"
COLUMNS = ("out_of_fold", "out_of_fold_tuned", "test", "test_tuned")
HEADER = ("out of fold", "out of fold, tuned", "test", "test, tuned")
WEIGHTS = ("sqrt", "effective", "balanced")
SAMPLERS = ("square_root", "progressive", "balanced")
QUICK = (
    BASELINE,
    "balanced, instance, cross_entropy",
    "none, balanced, cross_entropy",
    "none, instance, logit_adjusted",
)

Variant = dict[str, object]


@dataclass(frozen=True)
class Scores:
    """Macro-F1 of one variant and seed. tuned: with the decision rule that out-of-fold scores selected."""

    out_of_fold: float
    out_of_fold_tuned: float
    test: float
    test_tuned: float


def make_variants() -> dict[str, Variant]:
    """Name -> hyperparameters, the baseline first. Labels are smoothed only in the variant that is named for it."""
    variants: dict[str, Variant] = {BASELINE: {"class_weight": "none"}}
    for weight in WEIGHTS:
        variants[f"{weight}, instance, cross_entropy"] = {"class_weight": weight}
        variants[f"{weight}, weighted, cross_entropy"] = {"class_weight": weight, "sampler": "weighted"}
    for sampler in SAMPLERS:
        variants[f"none, {sampler}, cross_entropy"] = {"class_weight": "none", "sampler": sampler}
    for loss in ("focal", "ldam", "logit_adjusted", "soft_f1", "sigmoid_f1"):
        variants[f"none, instance, {loss}"] = {"class_weight": "none", "loss": loss}
    variants["none, instance, label smoothing 0.1"] = {"class_weight": "none", "label_smoothing": 0.1}
    variants["effective, instance, focal (class-balanced focal)"] = {"class_weight": "effective", "loss": "focal"}
    variants["effective deferred, instance, ldam (LDAM-DRW)"] = {
        "class_weight": "effective",
        "loss": "ldam",
        "defer_class_weights": 0.8,
    }
    return {name: {"label_smoothing": 0.0} | variant for name, variant in variants.items()}


def subsample_exponentially(y: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Rows of y whose label sizes fall exponentially, from the size of the smallest label to 1/RATIO of it."""
    rng, counts = np.random.default_rng(seed), np.bincount(y)
    sizes = np.round(counts.min() * RATIO ** (-np.arange(len(counts)) / (len(counts) - 1))).astype(int)
    rows = [rng.permutation(np.flatnonzero(y == label))[: max(size, 1)] for label, size in enumerate(sizes)]
    return np.sort(np.concatenate(rows))


def score_variant(task: Task, rows: NDArray[np.int64], variant: Variant, seed: int) -> Scores:
    """Fit and score one variant on the training documents `rows`; reads the test split once."""
    y, groups, labels = task.target.y[rows], task.groups[rows], len(task.labels)
    fold_of = assign_folds(y, groups.tolist(), FOLDS, seed)
    scores = np.full((len(y), labels), -np.inf, dtype=np.float32)
    for fold in range(FOLDS):
        fitted, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        scores[held_out] = task.scores(task.fit(make_variant(variant, seed), rows[fitted]), rows[held_out])
    default, tuned = default_decision(scores, y), tune_decision(scores, y, groups=groups, seed=seed)
    head = task.fit(make_variant(variant, seed), rows)
    result = task.held_out.score(head, default.rule, task.labels, seed=seed)
    out_of_fold = (macro_f1(y, decision.out_of_fold, labels) for decision in (default, tuned))
    truth, predictions = task.test_target.y, (result.predicted, tuned.rule.decide(result.scores))
    return Scores(*out_of_fold, *(macro_f1(truth, predicted, labels) for predicted in predictions))


def make_variant(variant: Variant, seed: int) -> Head:
    """The unfitted head of a variant."""
    return make_head("mlp", {**variant, "seed": seed, "device": "cpu"})


def score_variants(corpus: str, store: FeatureStore, seeds: int, *, quick: bool) -> dict[str, list[Scores]]:
    """The scores of each variant, one per seed. The seed also draws the subsample of newsgroups."""
    results: dict[str, list[Scores]] = {}
    for name, variant in make_variants().items():
        if quick and name not in QUICK:
            continue
        for seed in range(seeds):
            task = load_task(store, open_corpus(store, corpus))
            y = task.target.y
            rows = subsample_exponentially(y, seed) if corpus == "newsgroups" else np.arange(len(y))
            results.setdefault(name, []).append(score_variant(task, rows, variant, seed))
        say(f"{corpus}: {name}: {', '.join(format_cells(results[name], results[BASELINE]))}")
    return results


def mean_score(scores: list[Scores], column: str) -> float:
    """The mean of one of COLUMNS over seeds."""
    return float(np.mean([getattr(seed, column) for seed in scores]))


def paired_gains(scores: list[Scores], baseline: list[Scores], column: str) -> list[float]:
    """By how much the scores are above the baseline's in one of COLUMNS, one per seed."""
    return [getattr(seed, column) - getattr(other, column) for seed, other in zip(scores, baseline, strict=True)]


def format_cells(scores: list[Scores], baseline: list[Scores]) -> list[str]:
    """The mean over seeds and the paired gain over the baseline, one cell per column."""
    means = [f"{mean_score(scores, column):.3f}" for column in COLUMNS]
    if scores is baseline:
        return means
    gains = [format_mean_gain(paired_gains(scores, baseline, column)) for column in COLUMNS]
    return [f"{mean} ({gain})" for mean, gain in zip(means, gains, strict=True)]


def loss_or_sampler_topic(corpus: str, results: dict[str, list[Scores]]) -> Topic:
    """The gain of using weights in the loss over using the same weights in the sampler, paired by seed."""
    gains = {}
    for weight in WEIGHTS:
        loss, sampler = (results[f"{weight}, {name}, cross_entropy"] for name in ("instance", "weighted"))
        gains[weight] = [paired_gains(loss, sampler, column) for column in COLUMNS]
    gains["all"] = np.mean([*gains.values()], axis=0).tolist()
    rows = [[weight, *map(format_mean_gain, columns)] for weight, columns in gains.items()]
    return Topic(f"{corpus}: loss less sampler, the same weights", [["weights", *HEADER], *rows], [])


def make_topic(corpus: str, results: dict[str, list[Scores]]) -> Topic:
    """The table of a corpus, with the best variant out of fold with a tuned decision rule first."""
    names = sorted(results, key=lambda name: -mean_score(results[name], "out_of_fold_tuned"))
    rows = [[name, *format_cells(results[name], results[BASELINE])] for name in names]
    title = f"{corpus}: macro-F1 over {len(results[BASELINE])} seeds, {date.today().isoformat()}"
    return Topic(title, [["weight, sampler, loss", *HEADER], *rows], [])


@click.command()
@click.option("--stores", "stores_folder", type=click.Path(path_type=Path), default=Path("stores"), show_default=True)
@click.option("--corpus", "corpora", multiple=True, default=("reuters52", "newsgroups"), show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--quick", is_flag=True, help="Only four variants.")
@click.option("--json", "as_json", is_flag=True)
def main(stores_folder: Path, corpora: tuple[str, ...], seeds: int, quick: bool, as_json: bool) -> None:
    """Print one table per corpus, or with --json the scores of each variant and seed."""
    for corpus in corpora:
        folder = next(iter(sorted(stores_folder.glob(f"{corpus}--*"))), None)
        results = score_variants(corpus, open_store(folder, stores_folder), seeds, quick=quick)
        if as_json:
            values = {name: [asdict(seed) for seed in scores] for name, scores in results.items()}
            click.echo(json.dumps({corpus: values}))
            continue
        click.echo(make_topic(corpus, results).markdown())
        if not quick:
            click.echo(loss_or_sampler_topic(corpus, results).markdown())


if __name__ == "__main__":
    main()
