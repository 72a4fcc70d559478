"""The time of `embedonce fit-head` with all fits in one process, and with several processes.

    python -m benchmarks.parallel_fits --store STORE [--head mlp]... [--jobs 2] [--rounds 3] [--json]

Whole commands are timed, with the start of Python and of the processes, in random order and into empty folders. Values
are medians. The table also has the out-of-fold macro-F1 of both, because they differ in how sums are rounded.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import joblib

from benchmarks.measuring import Topic, at_least, median_seconds, print_topic
from commandline.output import say
from stages.fitting import runs

ROOT = Path(__file__).parent.parent


def fit_command(store: Path, head: str, jobs: int, macro_f1: dict[int, float]) -> Callable[[], None]:
    """A function that runs `fit-head` into a temporary folder, and writes the out-of-fold value to `macro_f1[jobs]`."""

    def fit() -> None:
        with TemporaryDirectory() as folder:
            arguments = ["fit-head", head, "--store", str(store), "--jobs", str(jobs), "--runs", folder]
            subprocess.run([sys.executable, str(ROOT / "cli.py"), *arguments], check=True, capture_output=True)
            (run,) = runs.runs_in(Path(folder))
            macro_f1[jobs] = run.scorecards["out_of_fold"].macro_f1.value

    return fit


@click.command()
@click.option("--store", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--head", "heads", multiple=True, default=("linear", "mlp", "attention", "lstm"), show_default=True)
@click.option("--jobs", type=click.IntRange(2), default=max(2, int(joblib.cpu_count())), show_default="one per core")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(store: Path, heads: tuple[str, ...], jobs: int, rounds: int, as_json: bool) -> None:
    """Print a table with one row per head, or with --json one object per claim and line."""
    processes = f"{jobs} processes"
    rows = [
        ["head", "one process, s", f"{processes}, s", "times as fast", "out-of-fold macro-F1, one process", processes]
    ]
    claims = []
    for head in heads:
        macro_f1: dict[int, float] = {}
        commands = {str(count): fit_command(store.resolve(), head, count, macro_f1) for count in (1, jobs)}
        serial, parallel = median_seconds(commands, rounds).values()
        say(f"{head}: {serial:.1f} s and {parallel:.1f} s")
        seconds = [f"{serial:.1f}", f"{parallel:.1f}", f"{serial / parallel:.2f}"]
        rows.append([head, *seconds, f"{macro_f1[1]:.3f}", f"{macro_f1[jobs]:.3f}"])
        claims.append(at_least(f"{head}: times as fast with {processes}", serial / parallel, 1.0))
    print_topic(Topic("fit-head, whole commands", rows, claims), as_json=as_json)


if __name__ == "__main__":
    main()
