"""What a head gains by other settings than its defaults, on training documents that it did not see.

    python -m benchmarks.hyperparameters --stores PATH --head mlp --variant init=xavier --variant epochs=12 \\
                                  [--corpus reuters52] [--store A --store B] [--layer -4] [--seeds 10] \\
                                  [--documents 1500] [--json]

Each seed deals the training documents into folds, leaves one fold out, and draws weights and batches; a head is fitted
on the other folds (or on so many documents of them, stratified) and scored on the one left out, by the plain decision,
so that ways are paired by seed. Seeds score a quarter of the same documents each, for which the intervals are widened
(`measuring.difference`). The test split is not read.
"""

import json
import re
from datetime import date
from pathlib import Path

import click
import numpy as np

from benchmarks.measuring import Topic, format_mean_gain
from commandline.output import say
from data.splits import assign_folds, nested_subsets
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import default_decision
from heads.evaluation.score_matrix import align_scores
from heads.registry import make_head
from stages.fitting.plan import configure_head
from stages.fitting.task import Task, load_task, open_corpus, open_stores, resolve_layer

FOLDS = 4
DEFAULTS = "defaults"
METRICS = ("macro_f1", "accuracy")
Scores = dict[str, list[tuple[float, float]]]  # way -> FIGURES, one a seed


def measured(found: Task, head: str, way: str, seed: int, documents: int | None) -> tuple[float, float]:
    """FIGURES of one fit, on `documents` of the other folds, on the fold that it did not see."""
    part = assign_folds(found.target.y, found.groups.tolist(), FOLDS, seed)
    fitting, held = np.flatnonzero(part != 0), np.flatnonzero(part == 0)
    if documents is not None and documents < len(fitting):
        y, groups = found.target.y[fitting], found.groups[fitting].tolist()
        fitting = fitting[nested_subsets(y, groups, [documents], seed)[0]]
    made = configure_head(make_head(head, {"seed": str(seed)} | settings(way)), found.target)
    made.fit(found.train[fitting], found.target.names[fitting], groups=found.groups[fitting])
    scores = align_scores(made.decision_function(found.train[held]), made.classes_, found.labels)
    y, ordered = found.target.y[held], found.target.is_ordinal
    counts = ConfusionCounts.from_predictions(
        y, default_decision(scores, y, ordinal=ordered).out_of_fold, len(found.labels)
    )
    return float(counts.macro_f1), float(counts.accuracy)


def settings(way: str) -> dict[str, str]:
    """ "epochs=12,pooling=cls,mean" as the names and values that `make_head` takes; of DEFAULTS none."""
    return {} if way == DEFAULTS else dict(each.split("=", 1) for each in re.split(r",(?=\w+=)", way))


def compared(found: Task, head: str, ways: list[str], seeds: int, documents: int | None) -> Scores:
    """Figures of each way; the ways of a seed one after the other."""
    results: Scores = {way: [] for way in ways}
    for seed in range(seeds):
        for way in ways:
            results[way].append(measured(found, head, way, seed, documents))
        say(f"{head}, seed {seed}: {'; '.join(f'{way} {results[way][-1][0]:.3f}' for way in ways)}")
    return results


def row(head: str, way: str, results: Scores) -> list[str]:
    """Of each figure the mean and deviation over seeds, and the paired difference to the defaults."""
    own, plain = np.array(results[way]), np.array(results[DEFAULTS])
    cells = [head, way]
    for place in range(len(METRICS)):
        spread = f" ({own[:, place].std(ddof=1):.3f})" if len(own) > 1 else ""
        gain = "" if way == DEFAULTS else format_mean_gain((own[:, place] - plain[:, place]).tolist(), 1 / FOLDS)
        cells += [f"{own[:, place].mean():.3f}{spread}", gain]
    return cells


@click.command()
@click.option("--stores", "stores_folder", type=click.Path(path_type=Path), default=Path("stores"), show_default=True)
@click.option("--corpus", default="reuters52", show_default=True)
@click.option("--store", "stores", multiple=True, type=click.Path(path_type=Path), help="Instead of the corpus's own.")
@click.option("--layer", default="-1", show_default=True, help="Of those kept, or `all` side by side.")
@click.option("--head", "heads", multiple=True, default=("mlp", "lstm", "transformer"), show_default=True)
@click.option("--variant", "ways", multiple=True, help="Settings beside the defaults, between commas.")
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True)
@click.option("--documents", type=click.IntRange(2), help="To fit on; all of the other folds by default.")
@click.option("--json", "as_json", is_flag=True)
def main(
    stores_folder: Path,
    corpus: str,
    stores: tuple[Path, ...],
    layer: str,
    heads: tuple[str, ...],
    ways: tuple[str, ...],
    seeds: int,
    documents: int | None,
    as_json: bool,
) -> None:
    """Print the table."""
    paths = stores or tuple(sorted(stores_folder.glob(f"{corpus}--*")))[:1]
    (read, first), every = open_stores(paths, stores_folder), [DEFAULTS, *ways]
    table = open_corpus(first, corpus)

    def documents_of(head: str) -> Task:
        return load_task(read, table, layer=None if layer == "all" else resolve_layer(make_head(head, {}), int(layer)))

    results = {head: compared(documents_of(head), head, every, seeds, documents) for head in heads}
    if as_json:
        click.echo(json.dumps({corpus: results}))
        return
    rows = [row(head, way, results[head]) for head in heads for way in every]
    fitted = "all documents" if documents is None else f"{documents:,} documents"
    title = f"{corpus}: fitted on {fitted}, scored on a fold left out, {seeds} seeds, {date.today().isoformat()}"
    heading = ["head", "way", "macro-F1 (sd)", "to defaults", "accuracy (sd)", "to defaults"]
    click.echo(Topic(title, [heading, *rows], []).markdown())


if __name__ == "__main__":
    main()
