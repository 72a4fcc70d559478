"""`embedonce fit-head`: fit heads on stored features."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from commandline.comparison_tables import show_choice, show_comparison
from commandline.fit_options import (
    CALIBRATIONS,
    CorpusOptions,
    class_weight_option,
    corpus_options,
    folds_option,
    joined_stores_options,
    set_option,
    validate_on_option,
)
from commandline.options import json_option, on_option, receives, runs_option, seed_option
from commandline.output import download, note, progress, say
from data.errors import CallError, EmbedOnceError, ExtraMissing, StorageFailed
from data.text_format import format_duration

if TYPE_CHECKING:
    from featurestore import CorpusTable, FeatureSource
    from heads.core.head import Head
    from heads.evaluation.calibration import CalibrationMethod
    from stages.fitting.engine_fits import FitInputs
    from stages.fitting.plan import FitPlan
    from stages.fitting.pooled_features import PooledFeatures
    from stages.fitting.runs import Run


@dataclass(frozen=True, kw_only=True)
class FitHeadOptions(CorpusOptions):
    """The arguments and options of `embedonce fit-head`."""

    heads: tuple[str, ...]
    settings: tuple[str, ...]
    class_weight: str | None
    loss: str | None
    sampler: str | None
    init: str | None
    first: str | None
    local: str | None
    base_runs: tuple[str, ...]
    folds: int | None
    validate_on: Literal["folds", "split"]
    test: bool
    jobs: int | None
    on: str | None
    tune: bool
    calibration: "CalibrationMethod"
    runs: Path
    seed: int
    as_json: bool

    @property
    def all_settings(self) -> tuple[str, ...]:
        """The settings of --set, and those that have an option of their own, as "key=value"."""
        named = {"loss": self.loss, "sampler": self.sampler, "init": self.init, "local": self.local}
        return (*self.settings, *(f"{name}={value}" for name, value in named.items() if value))


@click.command("fit-head", short_help="Fit heads on stored features.")
@click.argument("heads", nargs=-1, required=True, metavar="HEAD...")
@set_option
@class_weight_option
@click.option("--loss", help="Loss of a network, as `--set loss=`: cross_entropy, focal, ldam, ...")
@click.option("--sampler", help="Sampler of a network: instance, square_root, balanced, progressive, weighted.")
@click.option("--init", help="Weight initialization of a network: default, truncated_normal, xavier, kaiming.")
@click.option("--first", metavar="LABEL", help="For cascade: first decide whether it is LABEL, then among the others.")
@click.option("--local", metavar="HEAD", help="For cascade: the head of each local classifier.  [logistic regression]")
@click.option(
    "--run",
    "base_runs",
    multiple=True,
    metavar="RUN",
    help="For stack: a run whose scores it reads. Repeat for more.  [all runs that match]",
)
@corpus_options
@folds_option
@validate_on_option
@click.option("--test/--no-test", default=True, help="Score the test split once.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Processes that fit at once.  [one per core; 1 on a GPU or for short fits]",
)
@on_option
@click.option("--tune/--no-tune", default=True, help="Choose a decision rule on out-of-fold scores.")
@click.option(
    "--calibration",
    type=click.Choice(CALIBRATIONS),
    default="auto",
    show_default=True,
    help="How scores become probabilities; auto takes the method with the lowest cross-fitted log loss.",
)
@joined_stores_options
@runs_option
@seed_option
@json_option
@receives(FitHeadOptions)
def fit_head(options: FitHeadOptions) -> None:
    """Fit each HEAD, or `all` of them, on a feature store, and score it once on the test split.

    \b
    embedonce fit-head lstm
    embedonce fit-head linear lstm fused stack
    embedonce fit-head mlp --set pooling=sum --set lr=3e-4 --class-weight effective
    embedonce fit-head lstm --validate-on split
    embedonce fit-head lstm --loss logit_adjusted --class-weight none
    embedonce fit-head lstm --init kaiming
    embedonce fit-head cascade --first earn
    embedonce fit-head linear --objective distance
    embedonce fit-head cascade --local lstm --set strategy=level
    embedonce fit-head lstm --order poor,fair,good
    embedonce fit-head linear --store stores/news--minilm --store stores/news--e5
    embedonce fit-head lstm --augmented tickets-deletion
    embedonce fit-head layermix --set body=lstm --set over=segments
    embedonce fit-head all --on ray
    embedonce fit-head stack --run linear-3f9a12bc --run lstm-7c2e41b0
    """
    from heads.registry import STACKING_HEADS
    from stages.comparing.table import compare
    from stages.fitting.pooled_features import PooledFeatures

    if options.base_runs and not STACKING_HEADS.keys() & set(options.heads):
        raise CallError(f"--run is only for {', '.join(STACKING_HEADS)}; other heads read features. Remove --run.")
    if options.on is not None and options.jobs is not None:
        raise CallError("--jobs is for fits on this machine; the workers of --on choose it. Leave one of them out.")
    inputs = _read_inputs(options)
    source, corpus, plans = inputs.source, inputs.table, inputs.plans
    names, origin = ", ".join(options.heads), options.store_origin
    say(f"Fitting {names} on {source.name}{origin}, corpus {corpus.name}.")
    if options.on is not None:
        runs, has_failed = _fit_on_engine(inputs, options)
    else:
        download(source.stores)
        with PooledFeatures(options.runs) as pooled:
            if len(plans) == 1:
                runs, has_failed = [_fit(source, corpus, plans[0], options, set(corpus.notes), pooled)], False
            else:
                runs, has_failed = _fit_all(source, corpus, plans, options, pooled)
    if runs:
        comparison = compare(runs)
        show_comparison(comparison, as_json=options.as_json)
        if not options.as_json:
            show_choice(comparison)
    if has_failed:
        raise click.exceptions.Exit(1)


def _read_inputs(options: FitHeadOptions) -> "FitInputs":
    """What the options name; also called by the workers of an engine."""
    from stages.fitting.engine_fits import FitInputs
    from stages.fitting.head_options import parse_heads
    from stages.stores import open_stores

    source, first = open_stores(options.store, options.stores_folder, options.corpus)
    corpus = options.open_corpus(first)
    weights = options.read_weights(corpus)
    layers = len(first.recipe.layers) if source is first else 1
    heads = parse_heads(options.heads, options.all_settings, options.class_weight, options.first, options.seed, layers)
    copies = options.open_copies(first)
    return FitInputs(source, corpus, [_plan(head, weights, copies, options) for head in heads])


def _plan(
    head: "Head", weights: Mapping[str, float] | None, copies: "tuple[CorpusTable, ...]", options: FitHeadOptions
) -> "FitPlan":
    from heads.registry import STACKING_HEADS
    from stages.fitting.plan import FitPlan

    return FitPlan(
        head=head,
        folds=options.folds,
        validate_on=options.validate_on,
        test=options.test,
        seed=options.seed,
        layer=options.layer,
        tune=options.tune,
        calibration=options.calibration,
        skip_unlabeled=options.skip_unlabeled,
        order=options.label_order,
        scored_level=options.scored_level,
        decision=options.decision,
        base_runs=options.base_runs if head.name in STACKING_HEADS else (),
        weights=weights,
        copies=copies,
    )


def _fit_on_engine(inputs: "FitInputs", options: FitHeadOptions) -> "tuple[list[Run], bool]":
    """Fit each head on the workers of an engine; returns what `_fit_all` returns."""
    from stages.engines import open_engine
    from stages.fitting.engine_fits import EngineFit, fit_on_engine
    from stages.fitting.pooled_features import PooledFeatures
    from stages.fitting.runs import load

    inputs = replace(inputs, plans=[plan for plan in inputs.plans if _supports_labels(plan, inputs.table)])
    results, shown_notes = list[EngineFit](), set(inputs.table.notes)
    with PooledFeatures(options.runs), progress("fitting") as bar, open_engine(options.on or "local") as engine:

        def show(result: EngineFit) -> None:
            results.append(result)
            if result.error is None:
                _show_run(load(options.runs / result.run), shown_notes, is_new=result.is_new)
            else:
                say(f"{result.head}: {result.error}")
            bar(len(results), len(inputs.plans), f"{len(results)} of {len(inputs.plans)} heads")

        command, read = shlex.join(sys.argv), partial(_read_inputs, options)
        fit_on_engine(inputs, read, engine, options.runs, command=command, notify=note, on_result=show)
    errors = [result.error for result in results if result.error is not None]
    runs = [load(options.runs / result.run) for result in results if result.error is None]
    return runs, any(not isinstance(error, ExtraMissing) for error in errors)


def _supports_labels(plan: "FitPlan", corpus: "CorpusTable") -> bool:
    """Whether the head supports the kind of labels, with a note if not."""
    if corpus.kind != "multilabel" or plan.head.supports_multilabel:
        return True
    note(f"{plan.head.name} is left out: it does not support multi-label documents.")
    return False


def _fit_all(
    source: "FeatureSource",
    corpus: "CorpusTable",
    plans: "Sequence[FitPlan]",
    options: FitHeadOptions,
    pooled: "PooledFeatures",
) -> "tuple[list[Run], bool]":
    """Fit each head, also if one fails; returns the runs, and whether one failed for more than a missing package."""
    runs, has_failed, shown_notes, shown_errors = [], False, set(corpus.notes), set[str]()
    for plan in plans:
        if not _supports_labels(plan, corpus):
            continue
        try:
            runs.append(_fit(source, corpus, plan, options, shown_notes, pooled))
        except StorageFailed:  # no other head could be saved either
            raise
        except EmbedOnceError as error:
            say(f"{plan.head.name}: {'the same' if str(error) in shown_errors else error}")
            shown_errors.add(str(error))
            has_failed = has_failed or not isinstance(error, ExtraMissing)
    return runs, has_failed


def _fit(
    source: "FeatureSource",
    corpus: "CorpusTable",
    plan: "FitPlan",
    options: FitHeadOptions,
    shown_notes: set[str],
    pooled: "PooledFeatures",
) -> "Run":
    """Fit one head and print its notes, except those that were printed for another head or by `embed`."""
    from stages.fitting.cross_fitting import FitProgress
    from stages.fitting.fit_head import fit_head

    with progress(plan.head.name) as bar:

        def show(now: FitProgress) -> None:
            bar(now.step, now.steps, now.activity)

        command = shlex.join(sys.argv)
        run, is_new = fit_head(
            source,
            corpus,
            plan,
            options.runs,
            command=command,
            on_progress=show,
            jobs=options.jobs,
            pooled=pooled,
        )
    _show_run(run, shown_notes, is_new=is_new)
    return run


def _show_run(run: "Run", shown_notes: set[str], *, is_new: bool) -> None:
    """Print one line about a run, and its notes, except for `shown_notes`, to which they are added."""
    seconds = format_duration(sum(run.record.seconds.values()))
    say(f"{run.folder}: fitted in {seconds}." if is_new else f"{run.folder}: was fitted before.")
    for sentence in run.record.notes:
        if sentence not in shown_notes:
            note(sentence)
    shown_notes.update(run.record.notes)
