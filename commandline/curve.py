"""`embedonce curve`: learning curves over the number of training documents."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from commandline.fit_options import (
    SelectionOptions,
    class_weight_option,
    corpus_options,
    joined_stores_options,
    metric_option,
    set_option,
)
from commandline.options import (
    ChartOptions,
    chart_options,
    json_option,
    receives,
    runs_option,
    seed_option,
)
from commandline.output import download, note, progress, say, show_json, table
from data.ranges import MAX_SEEDS
from data.text_format import format_duration

if TYPE_CHECKING:
    from featurestore import CorpusTable
    from stages.curve import CurvePlan, LearningCurves


@dataclass(frozen=True, kw_only=True)
class CurveOptions(SelectionOptions, ChartOptions):
    """The arguments and options of `embedonce curve`."""

    heads: tuple[str, ...]
    sizes: str | None
    seeds: int


@click.command(short_help="Fit heads on more and more training documents.")
@click.argument("heads", nargs=-1, required=True, metavar="HEAD...")
@click.option(
    "--sizes", metavar="N,N,...", help="Numbers of training documents; 'all' for all.  [50, 100, 200, ..., all]"
)
@click.option("--seeds", type=click.IntRange(1, MAX_SEEDS), default=5, help="Random subsets per size.")
@set_option
@class_weight_option
@corpus_options
@click.option(
    "--validate-on",
    type=click.Choice(["folds", "split"]),
    default="folds",
    help="Documents to score: a fifth of the training split, as one fold, or the validation split of the corpus.",
)
@metric_option("What the chart shows")
@chart_options
@joined_stores_options
@runs_option
@seed_option
@json_option
@receives(CurveOptions)
def curve(options: CurveOptions) -> None:
    """Learning curves: fit each HEAD on more and more training documents, and score it on a validation split.

    The validation split is a fifth of the training split, or the corpus's own with --validate-on split; the test split
    is not read. Each fit is saved in the folder of the runs, so that an interrupted command resumes, and a further head
    or size costs only its own fits.

    \b
    embedonce curve linear lstm
    embedonce curve linear mlp --sizes 100,1000,all --seeds 10 --html curve.html
    """
    from stages.curve import CurveProgress, fit_curves
    from stages.stores import open_stores

    options.check_formats()
    source, first = open_stores(options.store, options.stores_folder, options.corpus)
    corpus = options.open_corpus(first)
    metric = options.find_metric(corpus).attribute
    plan = _plan(corpus, options.open_copies(first), options)
    origin = options.store_origin
    say(f"Learning curves of {', '.join(options.heads)} on {source.name}{origin}, corpus {corpus.name}.")
    download(source.stores)
    with progress("fitting") as bar:

        def show(now: CurveProgress) -> None:
            left = "?" if now.seconds_left is None else format_duration(now.seconds_left)
            bar(now.done, now.total, f"{now.head} on {now.size:,} documents, seed {now.seed}, {left} left")

        curves = fit_curves(source, corpus, plan, options.runs, on_progress=show)
    _show_curves(curves, metric, as_json=options.as_json)
    _write_charts(curves, metric, options)


def _plan(corpus: "CorpusTable", copies: "tuple[CorpusTable, ...]", options: CurveOptions) -> "CurvePlan":
    from stages.curve import CurvePlan, parse_curve_heads, parse_sizes

    return CurvePlan(
        heads=parse_curve_heads(options.heads, options.settings, options.class_weight),
        sizes=parse_sizes(options.sizes) if options.sizes is not None else (),
        seeds=options.seeds,
        seed=options.seed,
        layer=options.layer,
        skip_unlabeled=options.skip_unlabeled,
        validate_on=options.validate_on,
        order=options.label_order,
        scored_level=options.scored_level,
        decision=options.decision,
        weights=options.read_weights(corpus),
        copies=copies,
    )


def _show_curves(curves: "LearningCurves", metric: str, *, as_json: bool) -> None:
    if as_json:
        show_json(curves.to_json())
        return
    metrics = curves.shown_metrics(metric)
    table(
        ["head", "documents", f"labels seen,\nof {curves.labels:,}", *metrics.values(), "fit"],
        [
            (
                size.head,
                f"{size.documents:,.0f}",
                f"{size.labels:,.0f}",
                *(str(size.metrics[name]) for name in metrics),
                format_duration(size.seconds),
            )
            for size in curves.summaries
        ],
    )
    for sentence in curves.notes:
        note(sentence)


def _write_charts(curves: "LearningCurves", metric: str, options: CurveOptions) -> None:
    from stages.curve.chart import write_chart

    for file_format, path in options.chart_files:
        write_chart(curves, metric, path, file_format)
        say(f"The chart is in {path}.")
