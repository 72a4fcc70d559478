"""What other hyperparameters than the defaults gain, on training documents that the head did not see.

    python -m benchmarks.hyperparameters --stores PATH --head mlp --variant init=xavier --variant epochs=12,lr=0.01 \\
        [--corpus reuters52] [--store A --store B] [--layer -4] [--seeds 10] [--documents 1500] [--json]

Each seed splits the training documents into folds and initializes weights and batches. A head is fitted on all folds
but one, or on a stratified subset of them, and scored on the held-out fold with the default decision rule. Variants are
thus paired by seed. All seeds split the same documents, for which the confidence intervals are corrected
(`measuring.format_mean_gain`). The test split is not read.
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
from heads.registry import make_head
from stages.fitting.plan import configure_head
from stages.fitting.task import Task, load_task, resolve_layer
from stages.stores import open_corpus, open_stores

FOLDS = 4
DEFAULTS = "defaults"
METRICS = ("macro_f1", "accuracy")
Scores = dict[str, list[tuple[float, float]]]  # variant -> METRICS of each seed


def score_variant(task: Task, head: str, variant: str, seed: int, documents: int | None) -> tuple[float, float]:
    """METRICS of one fit on the held-out fold. documents: fit on a subset of that size; None for all."""
    y, groups = task.target.y, task.groups
    fold_of = assign_folds(y, groups.tolist(), FOLDS, seed)
    fitted, held_out = np.flatnonzero(fold_of != 0), np.flatnonzero(fold_of == 0)
    if documents is not None and documents < len(fitted):
        fitted = fitted[nested_subsets(y[fitted], groups[fitted].tolist(), [documents], seed)[0]]
    values = {"seed": str(seed)} | parse_variant(variant)
    classifier = task.fit(configure_head(make_head(head, values), task.target), fitted)
    scores, truth = task.scores(classifier, held_out), y[held_out]
    predicted = default_decision(scores, truth, ordinal=task.target.is_ordinal).out_of_fold
    counts = ConfusionCounts.from_predictions(truth, predicted, len(task.labels))
    return float(counts.macro_f1), float(counts.accuracy)


def parse_variant(variant: str) -> dict[str, str]:
    """The hyperparameters of a variant, name -> value: "epochs=12,views=cls,mean" sets two."""
    return {} if variant == DEFAULTS else dict(pair.split("=", 1) for pair in re.split(r",(?=\w+=)", variant))


def score_variants(task: Task, head: str, variants: list[str], seeds: int, documents: int | None) -> Scores:
    """METRICS of each variant and seed."""
    results: Scores = {variant: [] for variant in variants}
    for seed in range(seeds):
        for variant in variants:
            results[variant].append(score_variant(task, head, variant, seed, documents))
        values = "; ".join(f"{variant} {results[variant][-1][0]:.3f}" for variant in variants)
        say(f"{head}, seed {seed}: {values}")
    return results


def format_row(head: str, variant: str, results: Scores) -> list[str]:
    """Mean and standard deviation of each metric over seeds, and the paired difference to the defaults."""
    values, defaults = np.array(results[variant]), np.array(results[DEFAULTS])
    cells = [head, variant]
    for column in range(len(METRICS)):
        spread = f" ({values[:, column].std(ddof=1):.3f})" if len(values) > 1 else ""
        gains = (values[:, column] - defaults[:, column]).tolist()
        cells.append(f"{values[:, column].mean():.3f}{spread}")
        cells.append("" if variant == DEFAULTS else format_mean_gain(gains, 1 / FOLDS))
    return cells


@click.command()
@click.option("--stores", "stores_folder", type=click.Path(path_type=Path), default=Path("stores"), show_default=True)
@click.option("--corpus", default="reuters52", show_default=True)
@click.option("--store", "stores", multiple=True, type=click.Path(path_type=Path), help="In place of the corpus's own.")
@click.option("--layer", default="-1", show_default=True, help="A stored layer, or `all` for their concatenation.")
@click.option("--head", "heads", multiple=True, default=("mlp", "lstm", "transformer"), show_default=True)
@click.option("--variant", "variants", multiple=True, metavar="KEY=VALUE,...", help="Hyperparameters to compare.")
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True)
@click.option("--documents", type=click.IntRange(2), help="Documents to fit on.  [all of the other folds]")
@click.option("--json", "as_json", is_flag=True)
def main(
    stores_folder: Path,
    corpus: str,
    stores: tuple[Path, ...],
    layer: str,
    heads: tuple[str, ...],
    variants: tuple[str, ...],
    seeds: int,
    documents: int | None,
    as_json: bool,
) -> None:
    """Print a table with one row per head and variant, or with --json the metrics of each seed."""
    paths = stores or tuple(sorted(stores_folder.glob(f"{corpus}--*")))[:1]
    source, first = open_stores(paths, stores_folder)
    table, compared = open_corpus(first, corpus), [DEFAULTS, *variants]

    def load(head: str) -> Task:
        number = None if layer == "all" else resolve_layer(make_head(head, {}), int(layer))
        return load_task(source, table, layer=number)

    results = {head: score_variants(load(head), head, compared, seeds, documents) for head in heads}
    if as_json:
        click.echo(json.dumps({corpus: results}))
        return
    rows = [format_row(head, variant, results[head]) for head in heads for variant in compared]
    fitted = "all documents" if documents is None else f"{documents:,} documents"
    title = f"{corpus}: fitted on {fitted}, scored on a held-out fold, {seeds} seeds, {date.today().isoformat()}"
    header = ["head", "variant", "macro-F1 (sd)", "difference", "accuracy (sd)", "difference"]
    click.echo(Topic(title, [header, *rows], []).markdown())


if __name__ == "__main__":
    main()
