"""`embedonce fit-head`: stage two."""

import shlex
import sys
from typing import Any

import click

from commandline.compare import show_comparison
from commandline.options import (
    beside_options,
    corpus_arguments,
    documents_options,
    folds_option,
    json_option,
    origin,
    runs_option,
    seed_option,
)
from commandline.output import note, progress, say
from data.errors import CallError, EmbedOnceError, ExtraMissing
from data.text_format import format_duration


@click.command("fit-head")
@click.argument("head", metavar="HEAD")
@click.option(
    "--set", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter; `embedonce heads HEAD` lists them."
)
@click.option("--class-weight", help="balanced, none, effective, sqrt, or a JSON file {label: weight}.  [by head]")
@click.option("--loss", help="Of heads that are networks, as `--set loss=`: cross_entropy, focal, ldam, ...")
@click.option("--sampler", help="Of the same: instance, square_root, balanced, progressive, weighted.")
@click.option("--init", help="Of the same, how weights start: default, truncated_normal, xavier, kaiming.")
@click.option("--first", metavar="LABEL", help="For cascade: ask 'is it LABEL?' before 'which of the others?'.")
@click.option(
    "--run", "base_runs", multiple=True, metavar="RUN", help="For stack: a run to stand on.  [all that agree]"
)
@documents_options
@folds_option
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Fits at once, a process each.  [a core each; 1 on a card or for few documents]",
)
@click.option("--tune/--no-tune", default=True, help="Choose a decision rule on out-of-fold scores.")
@beside_options
@runs_option
@seed_option
@json_option
def fit_head(**asked: Any) -> None:
    """Fit HEAD, or `all` of them, on a feature store, and score it once on the test split.

    \b
    embedonce fit-head lstm
    embedonce fit-head mlp --set pool=sum --set lr=3e-4 --class-weight effective
    embedonce fit-head lstm --loss logit_adjusted --class-weight none
    embedonce fit-head lstm --init kaiming
    embedonce fit-head cascade --first earn
    embedonce fit-head lstm --order poor,fair,good
    embedonce fit-head linear --store stores/news--minilm --store stores/news--e5
    embedonce fit-head layermix --set body=lstm --set over=segments
    embedonce fit-head stack --run linear-3f9a12bc --run lstm-7c2e41b0
    """
    from heads.registry import STACKING_HEADS
    from stages.compare import compare as compare_runs
    from stages.fitting.head_options import ALL, parse_heads
    from stages.fitting.task import open_corpus, open_stores

    if asked["base_runs"] and asked["head"] not in STACKING_HEADS:
        raise CallError(f"--run is for {', '.join(STACKING_HEADS)}: {asked['head']} reads features.")
    store, first = open_stores(asked["store"], asked["stores_folder"])
    documents = open_corpus(first, asked["corpus"])
    say(f"Fitting {asked['head']} on {store.name} ({origin('store', 'the newest store')}), corpus {documents.name}.")
    plan = corpus_arguments(documents, asked)
    found, failed = [], False
    settings = (*asked["parameters"], *(f"{name}={asked[name]}" for name in ("loss", "sampler", "init") if asked[name]))
    layers = len(first.recipe.layers) if store is first else 1
    for head in parse_heads(asked["head"], settings, asked["class_weight"], asked["first"], asked["seed"], layers):
        if asked["head"] == ALL and documents.kind == "multilabel" and not head.supports_multilabel:
            note(f"{head.name} is left out: it takes one label a document, and these have several.")
            continue
        try:
            found.append(_fit_one(store, documents, head, plan, asked))
        except EmbedOnceError as error:
            if asked["head"] != ALL:
                raise
            say(f"{head.name}: {error}")
            failed = failed or not isinstance(error, ExtraMissing)
    show_comparison(compare_runs(found), asked["as_json"])
    if failed:
        raise click.exceptions.Exit(1)


def _fit_one(store: Any, documents: Any, head: Any, shared: dict[str, Any], asked: dict[str, Any]) -> Any:
    from stages.fitting.cross_fitting import FitProgress
    from stages.fitting.fit_head import fit_head
    from stages.fitting.plan import FitPlan

    plan = FitPlan(
        head=head,
        folds=asked["folds"],
        seed=asked["seed"],
        tune=asked["tune"],
        runs=asked["base_runs"],
        **shared,
    )
    with progress(head.name) as bar:

        def show(now: FitProgress) -> None:
            bar(now.step, now.steps, now.activity)

        command, jobs = shlex.join(sys.argv), asked["jobs"]
        run, fresh = fit_head(store, documents, plan, asked["runs"], command=command, report=show, jobs=jobs)
    say(
        f"{run.folder}: "
        + (f"fitted in {format_duration(sum(run.record.seconds.values()))}." if fresh else "was fitted before.")
    )
    for sentence in run.record.notes:
        note(sentence)
    return run
