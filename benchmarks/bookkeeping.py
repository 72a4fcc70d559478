"""The time of splits, scorecards and decision rules at the sizes of a large corpus.

    python -m benchmarks.bookkeeping [--rounds 5] [--json]

Labels and scores are random. Values are medians of several rounds, in CPU seconds.
"""

import time
from collections.abc import Callable
from datetime import date

import click
import numpy as np

from benchmarks.measuring import Claim, Topic, at_most, print_topic
from data.splits import nested_subsets, stratified_split
from heads.evaluation.decisions import tune_decision
from heads.evaluation.metrics import scorecard

LABELS = 52


def jobs() -> dict[str, tuple[Callable[[], object], float]]:
    """The jobs that are timed, each with its bar in seconds."""
    rng = np.random.default_rng(0)
    labels, groups = rng.zipf(1.5, 100_000) % LABELS, rng.integers(0, 30_000, 100_000).tolist()
    truth = rng.integers(0, LABELS, 7500)
    predicted = np.where(rng.random(7500) < 0.7, truth, rng.integers(0, LABELS, 7500))
    rare = np.repeat(np.arange(LABELS), np.maximum(1200 / np.arange(1, LABELS + 1) ** 1.4, 1).astype(int))
    scores = (2 * rng.normal(size=(len(rare), LABELS)) + 4 * (rare[:, None] == np.arange(LABELS))).astype(np.float32)

    def split(groups: list[int] | None) -> None:
        stratified_split(labels, groups, (0.8, 0.2), 0)
        nested_subsets(labels, groups, (100, 1000, 10_000), 0)

    return {
        "100,000 rows into two parts and three subsets": (lambda: split(None), 1),
        "the same, in 30,000 groups": (lambda: split(groups), 1),
        "scorecard of 7,500 documents, 1,000 resamples": (
            lambda: scorecard(truth, predicted, [str(label) for label in range(LABELS)]),
            3,
        ),
        f"decision rule of {len(rare):,} documents": (lambda: tune_decision(scores, rare), 5),
    }


def median_cpu_seconds(job: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the median round."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        job()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(rounds: int, as_json: bool) -> None:
    """Print a table with one row per job, or with --json one object per claim and line."""
    claims: list[Claim] = [
        at_most(f"{name}, s", median_cpu_seconds(job, rounds), bar) for name, (job, bar) in jobs().items()
    ]
    rows = [["job", "seconds"], *([claim.claim.removesuffix(", s"), f"{claim.value:.2f}"] for claim in claims)]
    print_topic(Topic(f"Bookkeeping, {date.today().isoformat()}", rows, claims), as_json=as_json)


if __name__ == "__main__":
    main()
