"""The metrics of a test set: their time, their difference from scikit-learn's, and how often intervals are right.

    python -m benchmarks.metrics [--documents 7528] [--labels 20] [--resamples 2000] [--samples 200] [--json]

Times are CPU seconds of a process with one thread for linear algebra, medians of several rounds. Labels and
probabilities are simulated: with the size of 20 Newsgroups' test split, 71 % of the documents are right. The true
value of a metric is that of a million documents; each simulated test set has 1,000. Labels are equally frequent, and
once as frequent as those of Reuters-52, in test sets of its size, for the interval of macro-F1.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable
from datetime import date
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as oracle

from benchmarks.decisions import REUTERS_52
from benchmarks.measuring import Claim, Topic, at_least, at_most, print_topic
from heads.evaluation.metrics import METRICS, ConfidenceInterval, Scorecard, scorecard

MAX_SECONDS, MAX_DIFFERENCE, MIN_COVERAGE = 1.0, 1e-12, 0.92
REUTERS_TEST = 2568
SIZE, COVERED = 1000, ("accuracy", "macro-f1", "mcc", "average-precision", "log-loss")

Labels = NDArray[Any]
Probabilities = NDArray[Any]


def simulate(
    documents: int, labels: int, rng: np.random.Generator, shares: NDArray[np.float64] | None = None
) -> tuple[Labels, Probabilities]:
    """True labels, and probabilities that are right for about 71 % of the documents of 20 equally frequent labels."""
    truth = rng.choice(labels, size=documents, p=shares)
    scores = rng.normal(size=(documents, labels)) + 2.4 * np.eye(labels)[truth]
    if shares is not None:
        scores += np.log(shares) / 2.4  # the posterior distribution has the same most probable label
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return truth, odds / odds.sum(axis=1, keepdims=True)


def score(truth: Labels, probabilities: Probabilities, resamples: int, seed: int = 0) -> Scorecard:
    """The scorecard of the most probable label, or all labels above a half."""
    predicted = probabilities.argmax(axis=1) if truth.ndim == 1 else probabilities > 0.5
    names = [str(label) for label in range(probabilities.shape[1])]
    return scorecard(truth, predicted, names, seed, resamples, probabilities=probabilities)


def by_scikit_learn(truth: Labels, probabilities: Probabilities) -> dict[str, float]:
    """Every metric of `METRICS` that scikit-learn has, by its name there."""
    averages = ["macro", "micro", "weighted", *(["samples"] if truth.ndim == 2 else [])]
    predicted = probabilities.argmax(axis=1) if truth.ndim == 1 else probabilities > 0.5
    matrix = truth if truth.ndim == 2 else np.eye(probabilities.shape[1], dtype=bool)[truth]
    values: dict[str, float] = {"accuracy": oracle.accuracy_score(truth, predicted)}
    for average in averages:
        kinds = {"precision": oracle.precision_score, "recall": oracle.recall_score, "f1": oracle.f1_score}
        values |= {
            f"{average}-{kind}": function(truth, predicted, average=average, zero_division=0)
            for kind, function in kinds.items()
        }
    values["average-precision"] = oracle.average_precision_score(matrix, probabilities, average="macro")
    values["auroc"] = oracle.roc_auc_score(matrix, probabilities, average="macro")
    if truth.ndim == 2:
        return values | {"hamming-loss": oracle.hamming_loss(truth, predicted)}
    return values | {
        "balanced-accuracy": oracle.balanced_accuracy_score(truth, predicted),
        "mcc": oracle.matthews_corrcoef(truth, predicted),
        "kappa": oracle.cohen_kappa_score(truth, predicted),
        "log-loss": oracle.log_loss(truth, probabilities),
        "brier": oracle.brier_score_loss(truth, probabilities),
    }


def largest_difference(documents: int, labels: int) -> tuple[int, float]:
    """How many metrics of single-label and multi-label runs are compared, and by how much one differs most."""
    rng = np.random.default_rng(1)
    single = simulate(documents, labels, rng)
    matrix = rng.random((documents, labels)) < 0.3
    matrix[:, 0] |= ~matrix.any(axis=1)  # scikit-learn counts a document without labels as wrong or leaves it out
    several = (matrix, np.clip(0.4 * matrix + 0.7 * rng.random((documents, labels)), 0, 1))
    differences = []
    for truth, probabilities in (single, several):
        card = score(truth, probabilities, 2)
        expected = by_scikit_learn(truth, probabilities)
        differences += [abs(METRICS[name].value(card).value - value) for name, value in expected.items()]
    return len(differences), float(max(differences))


def coverage(labels: int, samples: int) -> dict[str, float]:
    """How often the interval of each of COVERED contains the true value, in simulated test sets."""
    rng = np.random.default_rng(2)
    population = score(*simulate(1_000_000, labels, rng), 2)
    covered = dict.fromkeys(COVERED, 0)
    for seed in range(samples):
        card = score(*simulate(SIZE, labels, rng), 1000, seed)
        for name in COVERED:
            interval, true = METRICS[name].value(card), METRICS[name].value(population).value
            covered[name] += interval.low <= true <= interval.high
    return {name: count / samples for name, count in covered.items()}


def coverage_with_rare_labels(samples: int) -> float:
    """How often the interval of macro-F1 contains the true value, if labels are as frequent as those of Reuters-52."""
    rng, shares = np.random.default_rng(3), np.array(REUTERS_52) / sum(REUTERS_52)

    def macro_f1(documents: int, resamples: int, seed: int = 0) -> ConfidenceInterval:
        truth, probabilities = simulate(documents, len(shares), rng, shares)
        names = [str(label) for label in range(len(shares))]
        return scorecard(truth, probabilities.argmax(axis=1), names, seed, resamples).macro_f1

    true = macro_f1(1_000_000, 2).value
    intervals = [macro_f1(REUTERS_TEST, 1000, seed) for seed in range(samples)]
    return sum(interval.low <= true <= interval.high for interval in intervals) / max(1, samples)


def cpu_seconds(job: Callable[[], object], rounds: int) -> float:
    """The median CPU time of some rounds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return float(np.median(times))


@click.command()
@click.option("--documents", type=click.IntRange(100), default=7528, show_default=True)
@click.option("--labels", type=click.IntRange(2), default=20, show_default=True)
@click.option("--resamples", type=click.IntRange(100), default=2000, show_default=True)
@click.option("--samples", type=click.IntRange(0), default=200, show_default=True, help="Test sets of the coverage.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(documents: int, labels: int, resamples: int, samples: int, rounds: int, as_json: bool) -> None:
    """Print a table and its claims, or with --json one object per claim and line."""
    truth, probabilities = simulate(documents, labels, np.random.default_rng(0))
    exact = probabilities.astype(np.float32)
    seconds = cpu_seconds(lambda: score(truth, exact, resamples), rounds)
    compared, difference = largest_difference(documents, labels)
    what = f"all metrics of {documents:,} documents and {labels} labels, {resamples:,} resamples"
    rows = [["measured", "value"], [f"{what}, CPU s", f"{seconds:.2f}"]]
    rows.append([f"largest difference of {compared} metrics from scikit-learn's", f"{difference:.1e}"])
    claims: list[Claim] = [
        at_most(f"{what}, CPU seconds on one core", seconds, MAX_SECONDS),
        at_most(f"largest difference of {compared} metrics from scikit-learn's", difference, MAX_DIFFERENCE),
    ]
    for name, share in coverage(labels, samples).items() if samples else ():
        rows.append([f"95 % intervals of {name} that contain the true value", f"{share:.1%}"])
        claims.append(at_least(f"95 % intervals of {name} that contain the true value, share", share, MIN_COVERAGE))
    if samples:
        share, rare = (
            coverage_with_rare_labels(samples),
            "95 % intervals of macro-f1 with the label counts of Reuters-52",
        )
        rows.append([f"{rare} that contain the true value", f"{share:.1%}"])
        claims.append(at_least(f"{rare} that contain the true value, share", share, MIN_COVERAGE))
    print_topic(Topic(f"Metrics, {date.today().isoformat()}", rows, claims), as_json=as_json)


if __name__ == "__main__":
    main()
