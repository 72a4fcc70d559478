"""Does it matter how a head's weights start? Each kind of heads/initialise.py against each layer's own.

    python -m benchmarks.initialisation --features FOLDER [--corpus reuters52] [--head lstm]... [--seeds 10]
                                        [--documents 1500] [--json]

Each seed deals the training documents into folds, leaves one fold out, and draws weights and batches; a head is fitted
on the other folds (or on so many documents of them, stratified) and scored on the one left out, so kinds are paired by
seed. The test split is not read.
"""

import json
import math
from datetime import date
from pathlib import Path
from typing import get_args

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Topic
from commandline.terminal import say
from data import folds
from data.splits import nested_subsets
from heads.initialise import Initialisation
from heads.metrics import macro_f1
from heads.registry import make_head
from stages.task import Task, chosen_corpus, chosen_store, task

FOLDS = 4
KINDS: tuple[Initialisation, ...] = get_args(Initialisation)
Scores = dict[str, list[float]]


def measured(found: Task, head: str, kind: str, seed: int, documents: int | None) -> float:
    """Macro-F1 of one fit, on `documents` of the other folds, on the fold that it did not see."""
    part = folds(found.target.y, found.groups.tolist(), FOLDS, seed)
    fitting, held = np.flatnonzero(part != 0), np.flatnonzero(part == 0)
    if documents is not None and documents < len(fitting):
        y, groups = found.target.y[fitting], found.groups[fitting].tolist()
        fitting = fitting[nested_subsets(y, groups, [documents], seed)[0]]
    made = make_head(head, {"init": kind, "seed": str(seed), "device": "cpu"})
    made.fit(found.train[fitting], found.target.names[fitting], groups=found.groups[fitting])
    codes = {label: code for code, label in enumerate(found.labels)}
    predicted = np.array([codes[name] for name in made.predict(found.train[held]).tolist()])
    return macro_f1(found.target.y[held], predicted, len(found.labels))


def compared(found: Task, head: str, seeds: int, documents: int | None) -> Scores:
    """Macro-F1 of each kind, one a seed; the kinds of a seed one after the other."""
    results: Scores = {kind: [] for kind in KINDS}
    for seed in range(seeds):
        for kind in KINDS:
            results[kind].append(measured(found, head, kind, seed, documents))
        say(f"{head}, seed {seed}: {', '.join(f'{kind} {results[kind][-1]:.3f}' for kind in KINDS)}")
    return results


def row(head: str, kind: str, results: Scores) -> list[str]:
    """Mean and deviation over seeds, and the paired difference to the default with Student's 95 % interval."""
    scores = np.array(results[kind])
    spread = f"{scores.std(ddof=1):.3f}" if len(scores) > 1 else ""
    return [head, kind, f"{scores.mean():.3f}", spread, difference(scores - np.array(results["default"]), kind)]


def difference(gains: NDArray[np.float64], kind: str) -> str:
    """Mean and half of the interval; nothing for the default itself, nor an interval for one seed."""
    from scipy.stats import t

    if kind == "default" or len(gains) < 2:
        return "" if kind == "default" else f"{np.mean(gains):+.3f}"
    half = float(t.ppf(0.975, len(gains) - 1)) * float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    return f"{np.mean(gains):+.3f} ± {half:.3f}"


@click.command()
@click.option("--features", type=click.Path(path_type=Path), default=Path("features"), show_default=True)
@click.option("--corpus", default="reuters52", show_default=True)
@click.option("--head", "heads", multiple=True, default=("mlp", "lstm", "transformer"), show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True)
@click.option("--documents", type=click.IntRange(2), help="To fit on; all of the other folds by default.")
@click.option("--json", "as_json", is_flag=True)
def main(features: Path, corpus: str, heads: tuple[str, ...], seeds: int, documents: int | None, as_json: bool) -> None:
    """Print the table."""
    store = chosen_store(next(iter(sorted(features.glob(f"{corpus}--*"))), None), features)
    found = task(store, chosen_corpus(store, corpus))
    results = {head: compared(found, head, seeds, documents) for head in heads}
    if as_json:
        click.echo(json.dumps({corpus: results}))
        return
    rows = [row(head, kind, results[head]) for head in heads for kind in KINDS]
    fitted = "all documents" if documents is None else f"{documents:,} documents"
    title = f"{corpus}: fitted on {fitted}, macro-F1 on a fold left out, {seeds} seeds, {date.today().isoformat()}"
    click.echo(Topic(title, [["head", "init", "mean", "sd", "to default"], *rows], []).markdown())


if __name__ == "__main__":
    main()
