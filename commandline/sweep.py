"""`embedonce sweep`: hyperparameter search."""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import click

from commandline.comparison_tables import show_choice, show_comparison
from commandline.fit_options import (
    SelectionOptions,
    corpus_options,
    folds_option,
    joined_stores_options,
    metric_option,
    validate_on_option,
)
from commandline.options import (
    ChartOptions,
    chart_options,
    json_option,
    on_option,
    receives,
    runs_option,
    seed_option,
)
from commandline.output import download, note, progress, say, show_json, table
from data.errors import CallError
from data.text_format import format_duration, plural

if TYPE_CHECKING:
    from featurestore import CorpusTable
    from stages.sweep import SearchSpace, SweepInputs, SweepProgress, SweepResult, TrialRunner

DEFAULT_TRIALS = 40  # of one head
DEFAULT_SECONDS = 600.0  # of all heads


@dataclass(frozen=True, kw_only=True)
class SweepOptions(SelectionOptions, ChartOptions):
    """The arguments and options of `embedonce sweep`."""

    head: str
    trials: int | None
    time_budget: str | None
    trial_folds: int
    folds: int | None
    on: str | None
    test: bool


@click.command(short_help="Search the hyperparameters of a head, or of all heads.")
@click.argument("head", metavar="HEAD")
@click.option(
    "--trials",
    type=click.IntRange(1),
    help="Trials per head.  [40 for one head; as many as --time-budget allows for all]",
)
@click.option("--time-budget", metavar="TIME", help="Time for all trials, as in 90s, 10m or 1h.  [10m for all]")
@metric_option("What the selection maximizes")
@click.option("--trial-folds", type=click.IntRange(1), default=1, help="Folds on which a trial is scored.")
@folds_option
@validate_on_option
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A hyperparameter that is fixed, not searched."
)
@click.option("--class-weight", help="As for fit-head; it is then fixed, not searched.  [searched]")
@click.option("--test/--no-test", default=True, help="Score the test split once, for the final run.")
@on_option
@corpus_options
@chart_options
@joined_stores_options
@runs_option
@seed_option
@json_option
@receives(SweepOptions)
def sweep(options: SweepOptions) -> None:
    """Search the hyperparameters of HEAD, or of `all` heads within a time budget, and fit the best as a run.

    Trials are scored on training documents that they were not fitted on; the test split is scored once, for the final
    run. Trials are saved in the folder of the runs: the same command resumes an interrupted sweep, and may run in
    several terminals at once.

    \b
    embedonce sweep mlp --trials 40
    embedonce sweep lstm --trials 100 --time-budget 1h --set over=chunks --html sweep.html
    embedonce sweep all --time-budget 10m
    embedonce sweep mlp --trials 200 --on ray
    """
    from stages.comparing.selection import select_runs
    from stages.comparing.table import compare
    from stages.fitting.head_options import ALL

    options.check_formats()
    inputs = _read_inputs(options)
    source, corpus = inputs.source, inputs.table
    origin = options.store_origin
    say(f"Sweep of {options.head} on {source.name}{origin}, corpus {corpus.name}.")
    if options.head == ALL:
        _note_left_out(inputs.spaces, layers=len(source.recipes[0].layers))
    if options.on is None:
        download(source.stores)
    results = _run_sweep(inputs, options)
    runs = select_runs([result.run for result in results if result.run is not None], options.runs)
    comparison = compare(runs)
    if options.as_json:
        show_json({"sweeps": [result.to_json() for result in results], "runs": comparison.to_json()})
    else:
        _show_results(results)
        show_comparison(comparison, as_json=False)
    _write_charts(results[0], options)
    if not options.as_json:
        show_choice(comparison)


def _read_inputs(options: SweepOptions) -> "SweepInputs":
    """What the options name; also called by the workers of an engine."""
    from stages.stores import open_stores
    from stages.sweep import SweepInputs

    source, first = open_stores(options.store, options.stores_folder, options.corpus)
    corpus = options.open_corpus(first)
    return SweepInputs(source, corpus, _search_spaces(corpus, options.open_copies(first), options))


def _search_spaces(
    corpus: "CorpusTable", copies: "tuple[CorpusTable, ...]", options: SweepOptions
) -> "list[SearchSpace]":
    from heads.registry import STACKING_HEADS
    from stages.fitting.head_options import parse_heads
    from stages.fitting.plan import FitPlan
    from stages.sweep import SearchSpace

    if options.head in STACKING_HEADS:
        raise CallError(f"{options.head} reads other runs and has nothing to search. Name a head that reads features.")
    if options.trial_folds > 1 and options.validate_on == "split":
        raise CallError("--trial-folds is for folds, and --validate-on split has none. Leave one of them out.")
    metric = options.find_metric(corpus)
    fixed = [setting.partition("=")[0] for setting in options.settings]
    fixed += [] if options.class_weight is None else ["class_weight"]
    weights = options.read_weights(corpus)
    plans = [
        FitPlan(
            head=head,
            folds=options.folds,
            validate_on=options.validate_on,
            test=options.test,
            seed=options.seed,
            layer=options.layer,
            skip_unlabeled=options.skip_unlabeled,
            order=options.label_order,
            scored_level=options.scored_level,
            decision=options.decision,
            weights=weights,
            copies=copies,
        )
        for head in parse_heads([options.head], options.settings, options.class_weight, seed=options.seed)
    ]
    return [SearchSpace.of(plan, fixed, metric, options.trial_folds) for plan in plans]


def _note_left_out(spaces: "Sequence[SearchSpace]", *, layers: int) -> None:
    """Name the heads that read several layers, which a sweep of all heads leaves out."""
    from stages.fitting.head_options import ALL, parse_heads

    names = {head.name for head in parse_heads([ALL], layers=layers)} if layers > 1 else set()
    for name in sorted(names - {space.plan.head.name for space in spaces}):
        note(f"{name} is left out: a sweep of all heads reads one layer. Sweep it alone.")


def _run_sweep(inputs: "SweepInputs", options: SweepOptions) -> "list[SweepResult]":
    from stages.engines import open_engine
    from stages.sweep import EngineTrials

    command = shlex.join(sys.argv)
    with progress("sweeping") as bar:

        def show(now: "SweepProgress") -> None:
            best = "" if now.best is None else f", best so far {now.best:.3f}"
            bar(now.done, now.total, f"{now.head}: {now.activity}{best}")

        if options.on is None:
            return _search(inputs, options, None, command, show)
        with open_engine(options.on) as engine:
            read = partial(_read_inputs, options)
            runner = EngineTrials(inputs, read, engine, options.runs, command=command, notify=note)
            return _search(inputs, options, runner, command, show)


def _search(
    inputs: "SweepInputs",
    options: SweepOptions,
    runner: "TrialRunner | None",
    command: str,
    show: "Callable[[SweepProgress], None]",
) -> "list[SweepResult]":
    from stages.fitting.head_options import ALL
    from stages.sweep import parse_duration, sweep, sweep_all

    seconds = None if options.time_budget is None else parse_duration(options.time_budget)
    if options.head == ALL:
        return sweep_all(
            inputs.source,
            inputs.table,
            inputs.spaces,
            options.runs,
            seconds=seconds or DEFAULT_SECONDS,
            max_trials=options.trials or inf,
            command=command,
            on_progress=show,
            runner=runner,
        )
    result = sweep(
        inputs.source,
        inputs.table,
        inputs.spaces[0],
        options.runs,
        max_trials=options.trials or DEFAULT_TRIALS,
        seconds=seconds or inf,
        command=command,
        on_progress=show,
        runner=runner,
    )
    return [result]


def _show_results(results: "Sequence[SweepResult]") -> None:
    if len(results) > 1:
        _show_heads(results)
    _show_best(results[0])


def _show_heads(results: "Sequence[SweepResult]") -> None:
    table(
        ["head", f"best\n{results[0].metric.replace('_', '-')}", "of its\ndefaults", "trials", "pruned", "run"],
        [
            (
                result.head,
                _format_score(result.best.score),
                _format_score(result.default_trial.score if result.default_trial else None),
                str(len(result.trials)),
                str(result.pruned_count),
                result.run or "-",
            )
            for result in results
        ],
    )


def _show_best(result: "SweepResult") -> None:
    from stages.report.formatting import format_value

    trials = plural(len(result.trials), "trial")
    say(f"{result.head}: {trials}, {result.pruned_count} of them pruned, in {result.study}.")
    names = list(result.defaults)
    table(
        ["best so far:\ntrial", result.metric.replace("_", "-"), *map(result.shown_name, names)],
        [
            (str(trial.number), _format_score(trial.score), *(format_value(trial.values[name]) for name in names))
            for trial in result.improvements
        ],
    )
    if result.importance:
        rows = [(result.shown_name(name), f"{share:.0%}") for name, share in result.importance.items()]
        table(["hyperparameter", "importance"], rows)
    say(f"All trials took {format_duration(sum(trial.seconds for trial in result.trials))}.")
    for sentence in result.notes:
        note(sentence)


def _format_score(score: float | None) -> str:
    return "-" if score is None else f"{score:.3f}"


def _write_charts(result: "SweepResult", options: SweepOptions) -> None:
    from stages.sweep.chart import write_chart

    for file_format, path in options.chart_files:
        write_chart(result, path, file_format)
        say(f"The chart is in {path}.")
