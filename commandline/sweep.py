"""`embedonce sweep`: parameters by search."""

import shlex
import sys
from math import inf
from typing import TYPE_CHECKING, Any

import click

from commandline.compare import show_comparison
from commandline.options import (
    NewFile,
    beside_options,
    corpus_arguments,
    documents_options,
    folds_option,
    json_option,
    metric_option,
    origin,
    runs_option,
    seed_option,
    selection_metric,
)
from commandline.output import note, progress, say, show_json, table
from data.errors import CallError
from data.text_format import format_duration

if TYPE_CHECKING:
    from stages.sweep import SweepProgress, SweepResult


@click.command()
@click.argument("head", metavar="HEAD")
@click.option(
    "--trials",
    type=click.IntRange(1),
    help="How many, of each head.  [40 for one head; for all, what --time-budget allows]",
)
@click.option("--time-budget", metavar="TIME", help="How long, as in 90s, 10m or 1h.  [10m for all]")
@metric_option
@click.option("--trial-folds", type=click.IntRange(1), default=1, help="On how many of the folds a trial is scored.")
@folds_option
@click.option("--set", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter that stays as it is.")
@click.option("--class-weight", help="As for fit-head; it then stays as it is.  [searched]")
@documents_options
@click.option("--html", type=NewFile(), help="Also write a page on the best head.")
@click.option("--svg", type=NewFile(), help="Also write its picture alone.")
@beside_options
@runs_option
@seed_option
@json_option
def sweep(head: str, **asked: Any) -> None:
    """Search the parameters of HEAD, or spend a time on `all` heads, and fit the best as a run.

    Trials are scored on training documents that they were not fitted on; the test split is scored once, for the run.
    They are kept in the folder of the runs: the same command goes on where it stopped, and may run several times at
    once, in several terminals.

    \b
    embedonce sweep mlp --trials 40
    embedonce sweep lstm --trials 100 --time-budget 1h --set over=chunks --html sweep.html
    embedonce sweep all --time-budget 10m
    """
    from stages.compare import compare as compare_runs
    from stages.compare import select_runs
    from stages.fitting.head_options import ALL, parse_heads
    from stages.fitting.task import open_corpus, open_stores

    metric = selection_metric(asked)
    store, first = open_stores(asked["store"], asked["stores_folder"])
    documents = open_corpus(first, asked["corpus"])
    spaces = _spaces(head, metric, corpus_arguments(documents, asked), asked)
    say(f"Sweep of {head} on {store.name} ({origin('store', 'the newest store')}), corpus {documents.name}.")
    if head == ALL and len(first.recipe.layers) > 1:
        every = {each.name for each in parse_heads(ALL, layers=len(first.recipe.layers))}
        for name in sorted(every - {space.plan.head.name for space in spaces}):
            note(f"{name} is left out: a sweep of all heads reads one layer. Sweep it alone.")
    found = _swept(head, store, documents, spaces, asked)
    made = select_runs([outcome.run for outcome in found if outcome.run is not None], asked["runs"])
    if asked["as_json"]:
        show_json({"sweeps": [outcome.to_json() for outcome in found], "runs": compare_runs(made).to_json()})
    else:
        _show(found)
        show_comparison(compare_runs(made), as_json=False)
    for option in ("html", "svg"):
        if asked[option] is not None:
            from stages.sweep.chart import write_picture

            write_picture(found[0], asked[option], alone=option == "svg")
            say(f"The picture is in {asked[option]}.")


def _spaces(head: str, metric: str, plan: dict[str, Any], asked: dict[str, Any]) -> list[Any]:
    from heads.registry import STACKING_HEADS
    from stages.fitting.head_options import parse_heads
    from stages.fitting.plan import FitPlan
    from stages.sweep import SearchSpace

    if head in STACKING_HEADS:
        raise CallError(f"{head} stands on whole runs and has nothing to sweep. Name a head that reads features.")
    if asked["trial_folds"] > asked["folds"]:
        raise CallError(f"--trial-folds is {asked['trial_folds']}, and there are {asked['folds']} --folds.")
    names = [setting.partition("=")[0] for setting in asked["parameters"]]
    names += [] if asked["class_weight"] is None else ["class_weight"]
    plan |= {"folds": asked["folds"], "seed": asked["seed"]}
    return [
        SearchSpace.of(FitPlan(head=each, **plan), names, metric, asked["trial_folds"])
        for each in parse_heads(head, asked["parameters"], asked["class_weight"], seed=asked["seed"])
    ]


def _swept(head: str, store: Any, documents: Any, spaces: list[Any], asked: dict[str, Any]) -> "list[SweepResult]":
    from stages.fitting.head_options import ALL
    from stages.sweep import parse_duration, sweep, sweep_all

    budget, most = asked["time_budget"], asked["trials"]
    seconds = inf if budget is None else parse_duration(budget)
    with progress("sweeping") as bar:

        def show(now: "SweepProgress") -> None:
            best = "" if now.best is None else f", best so far {now.best:.3f}"
            bar(now.done, now.total, f"{now.head}: {now.activity}{best}")

        shared: dict[str, Any] = {"command": shlex.join(sys.argv), "report": show}
        if head != ALL:
            return [sweep(store, documents, spaces[0], asked["runs"], most=most or 40, seconds=seconds, **shared)]
        seconds = 600 if budget is None else seconds
        return sweep_all(store, documents, spaces, asked["runs"], seconds=seconds, most=most or inf, **shared)


def _show(found: "list[SweepResult]") -> None:
    from stages.report.formatting import format_value

    metric = found[0].metric.replace("_", "-")
    if len(found) > 1:
        table(
            ["head", f"best\n{metric}", "of its\ndefaults", "trials", "given up", "run"],
            [
                (
                    each.head,
                    _figure(each.best.score),
                    _figure(each.default_trial.score if each.default_trial else None),
                    str(len(each.trials)),
                    str(each.pruned_count),
                    each.run or "-",
                )
                for each in found
            ],
        )
    best = found[0]
    say(f"{best.head}: {len(best.trials)} trial(s), {best.pruned_count} given up half-way, in {best.study}.")
    names = list(best.defaults)
    table(
        ["best so far:\ntrial", metric, *names],
        [
            (str(at.number), _figure(at.score), *(format_value(at.values[name]) for name in names))
            for at in best.improvements
        ],
    )
    if best.importance:
        table(["parameter", "importance"], [(name, f"{share:.0%}") for name, share in best.importance.items()])
    say(f"All trials took {format_duration(sum(each.seconds for each in best.trials))}.")
    for sentence in best.notes:
        note(sentence)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
