"""How long `embedonce fit-head` takes with a process for each of several fits, and with all fits in one.

    python -m benchmarks.parallel_fits --store STORE [--head mlp]... [--jobs 2] [--rounds 3] [--json]

Whole commands are timed, the start of Python and of the processes with them, in random order into empty folders;
figures are medians. The macro-F1 out of fold of both stands beside, for they differ in how sums are rounded.
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


def command(store: Path, head: str, jobs: int, metrics: dict[int, float]) -> Callable[[], None]:
    """What fits a head by the command into a folder that is thrown away; its macro-F1 out of fold goes to `metrics`."""

    def fit() -> None:
        with TemporaryDirectory() as folder:
            asked = ["fit-head", head, "--store", str(store), "--jobs", str(jobs), "--runs", folder]
            subprocess.run([sys.executable, str(ROOT / "cli.py"), *asked], check=True, capture_output=True)
            (run,) = runs.runs_in(Path(folder))
            metrics[jobs] = run.scorecards["out_of_fold"].macro_f1.value

    return fit


@click.command()
@click.option("--store", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--head", "heads", multiple=True, default=("linear", "mlp", "attention", "lstm"), show_default=True)
@click.option("--jobs", type=click.IntRange(2), default=max(2, int(joblib.cpu_count())), show_default="a core each")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A claim a line.")
def main(store: Path, heads: tuple[str, ...], jobs: int, rounds: int, as_json: bool) -> None:
    """Print the table."""
    rows = [["head", "one process, s", f"{jobs} processes, s", "times as fast", "macro-F1 out of fold", "and"]]
    claims = []
    for head in heads:
        metrics: dict[int, float] = {}
        ways = {str(each): command(store.resolve(), head, each, metrics) for each in (1, jobs)}
        alone, together = median_seconds(ways, rounds).values()
        say(f"{head}: {alone:.1f} s and {together:.1f} s")
        shown = [f"{alone:.1f}", f"{together:.1f}", f"{alone / together:.2f}"]
        rows.append([head, *shown, f"{metrics[1]:.3f}", f"{metrics[jobs]:.3f}"])
        claims.append(at_least(f"{head}: times as fast with {jobs} processes", alone / together, 1.0))
    print_topic(Topic("fit-head, whole commands", rows, claims), as_json=as_json)


if __name__ == "__main__":
    main()
