"""`embedonce curve`: heads against the number of training documents."""

from typing import TYPE_CHECKING, Any

import click

from commandline.options import (
    NewFile,
    beside_options,
    corpus_arguments,
    documents_options,
    json_option,
    metric_option,
    origin,
    runs_option,
    seed_option,
    selection_metric,
)
from commandline.output import note, progress, say, show_json, table
from data.text_format import format_duration

if TYPE_CHECKING:
    from stages.curve import LearningCurves


@click.command()
@click.argument("heads", nargs=-1, required=True, metavar="HEAD...")
@click.option(
    "--sizes", metavar="N,N,...", help="Documents to fit on; 'all' is all.  [50, 100, 200 and so on, up to all]"
)
@click.option("--seeds", type=click.IntRange(1), default=5, help="How many subsets of each size.")
@click.option("--set", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter, where HEAD is one head.")
@click.option("--class-weight", help="balanced, none, effective, sqrt, or a JSON file {label: weight}.  [by head]")
@documents_options
@metric_option
@click.option("--html", type=NewFile(), help="Also write a page: picture and table.")
@click.option("--svg", type=NewFile(), help="Also write the picture alone.")
@beside_options
@runs_option
@seed_option
@json_option
def curve(heads: tuple[str, ...], **asked: Any) -> None:
    """Learning curves: fit each HEAD on more and more training documents, and score it on others of them.

    A fifth of the training split is kept aside to score on; the test split is not read. Each fit is kept in the folder
    of the runs, so that the command goes on where it stopped, and another head or size costs only its own fits.

    \b
    embedonce curve linear lstm
    embedonce curve linear mlp --sizes 100,1000,all --seeds 10 --html curve.html
    """
    from stages.curve import CurvePlan, CurveProgress, curve_heads, learning_curves, parse_sizes
    from stages.fitting.task import open_corpus, open_stores

    metric = selection_metric(asked)
    store, first = open_stores(asked["store"], asked["stores_folder"])
    documents = open_corpus(first, asked["corpus"])
    plan = CurvePlan(
        heads=curve_heads(heads, asked["parameters"], asked["class_weight"]),
        sizes=parse_sizes(asked["sizes"]) if asked["sizes"] is not None else (),
        seeds=asked["seeds"],
        seed=asked["seed"],
        **corpus_arguments(documents, asked),
    )
    asked_for = f"{', '.join(heads)} on {store.name} ({origin('store', 'the newest store')})"
    say(f"Learning curves of {asked_for}, corpus {documents.name}.")
    with progress("fitting") as bar:

        def show(now: CurveProgress) -> None:
            left = "?" if now.seconds_left is None else format_duration(now.seconds_left)
            bar(now.done, now.total, f"{now.head} on {now.size:,} documents, seed {now.seed}, {left} left")

        found = learning_curves(store, documents, plan, asked["runs"], report=show)
    _show(found, asked["as_json"])
    for option in ("html", "svg"):
        if asked[option] is not None:
            from stages.curve.chart import write_picture

            write_picture(found, metric, asked[option], alone=option == "svg")
            say(f"The picture is in {asked[option]}.")


def _show(found: "LearningCurves", as_json: bool) -> None:
    if as_json:
        show_json(found.to_json())
        return
    # of one label a document micro-F1 is the accuracy
    same = all(level.micro_f1 == level.accuracy for level in found.summaries)
    metrics = {name: said for name, said in found.metrics.items() if name != "micro_f1" or not same}
    table(
        ["head", "documents", f"labels seen,\nof {found.labels:,}", *metrics.values(), "fit"],
        [
            (
                level.head,
                f"{level.documents:,.0f}",
                f"{level.labels:,.0f}",
                *(str(getattr(level, each)) for each in metrics),
                format_duration(level.seconds),
            )
            for level in found.summaries
        ],
    )
    for sentence in found.notes:
        note(sentence)
