"""Weights or sampling? Each class weight, sampler, loss and re-balanced last layer against the others, by a cheap head.

    python -m benchmarks.imbalance --stores FOLDER [--corpus reuters52] [--seeds 3] [--quick] [--json]

The head is mlp over pooled cls, mean and max. reuters52 is unbalanced as it is (1:2,000); of newsgroups the training
part is thinned to sizes that fall exponentially, 1:100. Each way is fitted out of fold, with and without a tuned
decision, and once on all training documents; that fit scores the test split once. Differences are to plain cross
entropy without weights, paired by seed, with Student's 95 % interval over seeds. What to choose is read from the
out-of-fold columns; those of the test split are there to see whether it held up.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

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
from heads.evaluation.score_matrix import align_scores
from heads.registry import make_head
from stages.fitting.task import Task, load_task, open_corpus, open_store

FOLDS = 3
RATIO = 100
PLAIN = "none, instance, cross_entropy"
METRICS = ("out_of_fold", "out_of_fold_tuned", "test", "test_tuned")
WEIGHTS = ("sqrt", "effective", "balanced")
SAMPLERS = ("square_root", "progressive", "balanced")
QUICK = (PLAIN, "balanced, instance, cross_entropy", "none, balanced, cross_entropy", "none, instance, logit_adjusted")


@dataclass(frozen=True)
class Figures:
    """Macro-F1 of one way and seed; tuned: by the rule that its out-of-fold scores chose."""

    out_of_fold: float
    out_of_fold_tuned: float
    test: float
    test_tuned: float


def ways() -> dict[str, dict[str, Any]]:
    """Name -> class_weight and what `Training` takes, the plain one first; one alone smooths labels."""
    found: dict[str, dict[str, Any]] = {PLAIN: {"class_weight": "none"}}
    for weight in WEIGHTS:
        found[f"{weight}, instance, cross_entropy"] = {"class_weight": weight}
        found[f"{weight}, weighted, cross_entropy"] = {"class_weight": weight, "sampler": "weighted"}
    for sampler in SAMPLERS:
        found[f"none, {sampler}, cross_entropy"] = {"class_weight": "none", "sampler": sampler}
    for loss in ("focal", "ldam", "logit_adjusted", "soft_f1", "sigmoid_f1"):
        found[f"none, instance, {loss}"] = {"class_weight": "none", "loss": loss}
    found["none, instance, label smoothing 0.1"] = {"class_weight": "none", "label_smoothing": 0.1}
    found["effective, instance, focal (class-balanced focal)"] = {"class_weight": "effective", "loss": "focal"}
    found["effective deferred, instance, ldam (LDAM-DRW)"] = {
        "class_weight": "effective",
        "loss": "ldam",
        "defer_class_weights": 0.8,
    }
    return {name: {"label_smoothing": 0.0} | way for name, way in found.items()}


def thinned(y: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Rows of y whose labels' sizes fall exponentially from the smallest label's size to 1/RATIO of it."""
    rng, counts = np.random.default_rng(seed), np.bincount(y)
    sizes = np.round(counts.min() * RATIO ** (-np.arange(len(counts)) / (len(counts) - 1))).astype(int)
    kept = [rng.permutation(np.flatnonzero(y == label))[: max(size, 1)] for label, size in enumerate(sizes)]
    return np.sort(np.concatenate(kept))


def measured(found: Task, rows: NDArray[np.int64], way: dict[str, Any], seed: int) -> Figures:
    """One way on the training documents `rows`; reads the test split once."""
    bags, target, groups = found.train[rows], found.target[rows], found.groups[rows]
    y, names = target.y, target.names
    part = assign_folds(y, groups.tolist(), FOLDS, seed)
    scores = np.full((len(y), len(found.labels)), -np.inf, dtype=np.float32)
    for fold in range(FOLDS):
        fitting, left_out = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        head = head_of(way, seed).fit(bags[fitting], names[fitting], groups=groups[fitting])
        scores[left_out] = align_scores(head.decision_function(bags[left_out]), head.classes_, found.labels)
    plain, tuned = default_decision(scores, y), tune_decision(scores, y, groups=groups, seed=seed)
    head = head_of(way, seed).fit(bags, names, groups=groups)
    result = found.held_out.score(head, plain.rule, found.labels, seed=seed)
    labels, truth = len(found.labels), found.test_target.y
    predictions = (result.predicted, tuned.rule.decide(result.scores))
    inner = (macro_f1(y, decision.out_of_fold, labels) for decision in (plain, tuned))
    return Figures(*inner, *(macro_f1(truth, predicted, labels) for predicted in predictions))


def head_of(way: dict[str, Any], seed: int) -> Head:
    """The head of a way, unfitted."""
    return make_head("mlp", {name: str(value) for name, value in way.items()} | {"seed": str(seed), "device": "cpu"})


def compared(corpus: str, store: FeatureStore, seeds: int, *, quick: bool) -> dict[str, list[Figures]]:
    """Figures of each way, one a seed; in newsgroups the seed also draws which documents are kept."""
    results: dict[str, list[Figures]] = {}
    for name, way in ways().items():
        if quick and name not in QUICK:
            continue
        for seed in range(seeds):
            found = load_task(store, open_corpus(store, corpus))
            rows = thinned(found.target.y, seed) if corpus == "newsgroups" else np.arange(len(found.target.y))
            results.setdefault(name, []).append(measured(found, rows, way, seed))
        say(f"{corpus}: {name}: {', '.join(gained(results[name], results[PLAIN], which) for which in METRICS)}")
    return results


def mean(metrics: list[Figures], which: str) -> float:
    """Over seeds."""
    return float(np.mean([getattr(each, which) for each in metrics]))


def above(metrics: list[Figures], others: list[Figures], which: str) -> list[float]:
    """By how much one way is above another, a seed each."""
    return [getattr(one, which) - getattr(other, which) for one, other in zip(metrics, others, strict=True)]


def gained(metrics: list[Figures], plain: list[Figures], which: str) -> str:
    """Mean over seeds, and the paired difference to `plain`."""
    text = f"{mean(metrics, which):.3f}"
    return text if metrics is plain else f"{text} ({format_mean_gain(above(metrics, plain, which))})"


def weighing_or_drawing(corpus: str, results: dict[str, list[Figures]]) -> Topic:
    """The same weights in the loss less those in the sampler, paired by seed; and the mean of all weights."""
    gains = {}
    for weight in WEIGHTS:
        loss, sampler = (results[f"{weight}, {how}, cross_entropy"] for how in ("instance", "weighted"))
        gains[weight] = [above(loss, sampler, which) for which in METRICS]
    rows = [[weight, *map(format_mean_gain, each)] for weight, each in gains.items()]
    pooled = np.mean([*gains.values()], axis=0).tolist()
    heads = ["weights", "out of fold", "out of fold, tuned", "test", "test, tuned"]
    return Topic(
        f"{corpus}: loss less sampler, the same weights", [heads, *rows, ["all", *map(format_mean_gain, pooled)]], []
    )


def topic(corpus: str, results: dict[str, list[Figures]]) -> Topic:
    """The table of a corpus, best out of fold with a tuned decision first."""
    order = sorted(results, key=lambda name: -mean(results[name], "out_of_fold_tuned"))
    plain = results[PLAIN]
    rows = [[name, *(gained(results[name], plain, which) for which in METRICS)] for name in order]
    heads = ["weight, sampler, loss", "out of fold", "out of fold, tuned", "test", "test, tuned"]
    return Topic(f"{corpus}: macro-F1 over {len(plain)} seeds, {date.today().isoformat()}", [heads, *rows], [])


@click.command()
@click.option("--stores", "stores_folder", type=click.Path(path_type=Path), default=Path("stores"), show_default=True)
@click.option("--corpus", "corpora", multiple=True, default=("reuters52", "newsgroups"), show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--quick", is_flag=True, help="Four ways in place of all.")
@click.option("--json", "as_json", is_flag=True)
def main(stores_folder: Path, corpora: tuple[str, ...], seeds: int, quick: bool, as_json: bool) -> None:
    """Print a table a corpus."""
    for corpus in corpora:
        folder = next(iter(sorted(stores_folder.glob(f"{corpus}--*"))), None)
        results = compared(corpus, open_store(folder, stores_folder), seeds, quick=quick)
        if as_json:
            click.echo(json.dumps({corpus: {name: [asdict(each) for each in one] for name, one in results.items()}}))
        else:
            click.echo(topic(corpus, results).markdown())
            if not quick:
                click.echo(weighing_or_drawing(corpus, results).markdown())


if __name__ == "__main__":
    main()
