"""What the rule for training length and batch size costs in quality, and saves in time, against the previous defaults.

    python -m benchmarks.training_budget --problem STORE[=CORPUS]... [--planted] [--head mlp]... [--seeds 5] [--folds 3]
        [--documents 1500] [--cache FOLDER] [--json]

Before, networks were trained for 20 epochs of at least 50 batches of 64 documents. Each seed divides the training
documents into folds and initializes weights and batches; each fold is scored by a head that was fitted on the others.
The difference of macro-F1 is paired by document, seed and fold, and averaged over seeds; the interval is a paired
bootstrap of the documents, the same for all seeds. The test split is not read.

--planted adds long documents without an encoder: 140 documents of 33 segments, of which six carry the direction of the
document's label and two that of a random one. Each seed draws a corpus of its own.

CPU time is that of this process, so one thread gives times that other work on the machine disturbs little:
OMP_NUM_THREADS=1. --cache keeps the predictions of each fit, so that an interrupted run resumes.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Claim, Topic, at_least, print_topic
from commandline.output import say
from data.splits import assign_folds, nested_subsets
from data.text_format import format_duration
from featurestore import Bags, Ragged
from heads.evaluation.bootstrap import ConfidenceInterval, resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.count_table import CountTables
from heads.registry import make_head
from stages.fitting.task import load_task
from stages.stores import open_stores

HEADS = ("mlp", "gated", "attention", "lstm", "gru", "transformer")
BEFORE = {"epochs": "20", "batch_size": "64", "min_steps": "50"}
VARIANTS: dict[str, dict[str, str]] = {"before": BEFORE, "rule": {}}
MEAN_BAR, LOW_BAR = -0.005, -0.015


@dataclass(frozen=True, eq=False)
class Problem:
    """Documents with labels, int64 (documents,), and groups that a fold never divides."""

    name: str
    bags: Bags
    y: NDArray[np.int64]
    groups: Sequence[Any] | None

    @property
    def labels(self) -> int:
        """The number of labels."""
        return int(self.y.max()) + 1


@dataclass(frozen=True, eq=False)
class Result:
    """The out-of-fold predictions of one head with one variant and seed, and the CPU time of a fit in seconds."""

    predicted: NDArray[np.int64]
    seconds: float


def planted_problem(seed: int, *, documents: int = 140, segments: int = 33, dim: int = 384, labels: int = 6) -> Problem:
    """Long documents of which a few segments carry the label."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(labels, dim))
    directions *= 6 / np.linalg.norm(directions, axis=1, keepdims=True)
    y = rng.permutation(np.arange(documents) % labels)
    rows = []
    for label in y:
        vectors = rng.normal(size=(segments, dim)) + 0.2 * rng.normal(size=dim)
        carriers = rng.permutation(segments)[:8]
        vectors[carriers] += directions[np.append(np.repeat(label, 6), rng.integers(labels, size=2))]
        rows.append(vectors.astype(np.float16))
    chunks = [np.stack([part.mean(axis=0) for part in np.array_split(row, 4)]) for row in rows]
    views = dict.fromkeys(("cls", "mean", "max"), Ragged.from_rows(chunks))
    return Problem("planted", Bags({**views, "segments": Ragged.from_rows(rows)}), y, None)


def stored_problem(path: Path, corpus: str, documents: int) -> Problem:
    """Training documents of a corpus, or a stratified subset of them; labels without documents are left out."""
    source, store = open_stores((path,), path.parent)
    name = corpus or store.corpora()[0]
    task = load_task(source, store.corpus(name), with_test=False)
    rows = np.arange(len(task.train))
    if documents < len(rows):
        rows = nested_subsets(task.target.y, task.groups.tolist(), [documents], 0)[0]
    codes = np.unique(task.target.y[rows], return_inverse=True)[1].astype(np.int64)
    return Problem(name, task.train[rows], codes, task.groups[rows].tolist())


def cross_fit(problem: Problem, head: str, values: dict[str, str], seed: int, folds: int) -> Result:
    """Score each fold by a head that was fitted on the others."""
    fold_of = assign_folds(problem.y, problem.groups, folds, seed)
    predicted, start = np.zeros_like(problem.y), time.process_time()
    for fold in range(folds):
        fitted, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        groups = None if problem.groups is None else np.array(problem.groups)[fitted]
        classifier = make_head(head, {**values, "seed": str(seed)}).fit(
            problem.bags[fitted], problem.y[fitted], groups=groups
        )
        predicted[held_out] = classifier.predict(problem.bags[held_out])
    return Result(predicted, (time.process_time() - start) / folds)


def cached_cross_fit(problem: Problem, head: str, variant: str, seed: int, folds: int, cache: Path | None) -> Result:
    """The same, kept in a file of `cache`."""
    path = None if cache is None else cache / f"{problem.name}-{len(problem.y)}-{head}-{variant}-{seed}-{folds}.npz"
    if path is not None and path.exists():
        with np.load(path) as saved:
            return Result(saved["predicted"], float(saved["seconds"]))
    result = cross_fit(problem, head, VARIANTS[variant], seed, folds)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, predicted=result.predicted, seconds=result.seconds)
    return result


def mean_difference(problems: Sequence[Problem], results: dict[str, list[Result]]) -> ConfidenceInterval:
    """The macro-F1 of the rule minus that of before, averaged over seeds.

    Args:
        problems: one per seed, or one for all seeds, whose documents are then resampled once for all.
        results: variant -> one per seed.
    """
    before, rule = ([result.predicted for result in results[variant]] for variant in VARIANTS)
    blocks = [(before, rule)] if len(problems) == 1 else [([b], [r]) for b, r in zip(before, rule, strict=True)]
    values, draws = [], []
    for number, (problem, (old, new)) in enumerate(zip(problems, blocks, strict=True)):
        f1 = [ConfusionCounts.from_predictions(problem.y, each, problem.labels).macro_f1 for each in (*old, *new)]
        values.append(np.mean(f1[len(old) :]) - np.mean(f1[: len(old)]))
        resampled = resample_metrics(CountTables.build(problem.y, [*old, *new], problem.labels), number)
        metrics = np.array([each["macro_f1"] for each in resampled])
        draws.append(metrics[len(old) :].mean(axis=0) - metrics[: len(old)].mean(axis=0))
    return ConfidenceInterval.from_resamples(np.mean(values), np.mean(draws, axis=0))


def mean_f1(problems: Sequence[Problem], results: Sequence[Result]) -> float:
    """Macro-F1, averaged over seeds."""
    matched = problems if len(problems) > 1 else [problems[0]] * len(results)
    return float(
        np.mean(
            [
                ConfusionCounts.from_predictions(problem.y, result.predicted, problem.labels).macro_f1
                for problem, result in zip(matched, results, strict=True)
            ]
        )
    )


def compare(
    problems: Sequence[Problem], heads: Sequence[str], seeds: int, folds: int, cache: Path | None
) -> Iterator[tuple[list[str], list[Claim]]]:
    """One row of the table and its claims per head."""
    for head in heads:
        results: dict[str, list[Result]] = {variant: [] for variant in VARIANTS}
        start, total = time.monotonic(), seeds * len(VARIANTS)
        for seed in range(seeds):
            problem = problems[seed % len(problems)]
            for variant, done in results.items():
                done.append(cached_cross_fit(problem, head, variant, seed, folds, cache))
                count = sum(map(len, results.values()))
                left = format_duration((time.monotonic() - start) / count * (total - count))
                say(f"{problem.name}, {head}: {count} of {total} cross-fits, {left} left")
        difference = mean_difference(problems, results)
        seconds = [float(np.mean([result.seconds for result in results[variant]])) for variant in VARIANTS]
        f1 = [f"{mean_f1(problems, results[variant]):.3f}" for variant in VARIANTS]
        name = f"{problems[0].name}, {head}: macro-F1 of the rule minus that of before"
        claims = [
            at_least(name, difference.value, MEAN_BAR),
            at_least(f"{name}, lower end of its interval", difference.low, LOW_BAR),
        ]
        change = f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
        yield [head, f"{seconds[0]:.1f}", f"{seconds[1]:.1f}", *f1, change], claims


@click.command()
@click.option("--problem", "stored", multiple=True, metavar="STORE[=CORPUS]", help="A store.  [its first corpus]")
@click.option("--planted", is_flag=True, help="Also planted long documents.")
@click.option("--head", "heads", multiple=True, default=HEADS, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--folds", type=click.IntRange(2), default=3, show_default=True)
@click.option("--documents", type=click.IntRange(20), default=1_500, show_default=True, help="At most, of a store.")
@click.option("--cache", type=click.Path(path_type=Path), help="A folder for the predictions of each cross-fit.")
@click.option("--json", "as_json", is_flag=True)
def main(
    stored: tuple[str, ...],
    planted: bool,
    heads: tuple[str, ...],
    seeds: int,
    folds: int,
    documents: int,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Print a table per problem with one row per head, or with --json its claims."""
    problems = [
        [stored_problem(Path(path), corpus, documents)] for path, _, corpus in (p.partition("=") for p in stored)
    ]
    problems += [[planted_problem(seed) for seed in range(seeds)]] if planted else []
    header = ["head", "before, CPU s per fit", "rule", "before, macro-F1", "rule", "difference"]
    for same in problems:
        rows, claims = [header], list[Claim]()
        for row, of_head in compare(same, heads, seeds, folds, cache):
            rows.append(row)
            claims += of_head
        title = f"{same[0].name}, {len(same[0].y):,} documents, {folds} folds, {seeds} seeds"
        print_topic(Topic(title, rows, claims), as_json=as_json)


if __name__ == "__main__":
    main()
