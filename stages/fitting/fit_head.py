"""Stage two: features and labels in, a run out.

The order of the steps makes the metrics honest. The head is fitted on the folds of the training split; its out-of-fold
scores choose the decision rule; a last fit uses the whole training split; and only then is the test split scored, once.
`HeldOut` makes it unreadable before that.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.splits import Split
from featurestore import CorpusTable, FeatureSource
from heads.core.head import Head
from heads.core.hyperparameters import to_json
from heads.evaluation.decisions import Decision, default_decision, tune_decision
from heads.evaluation.decisions.heldout import HeldOutResult
from heads.evaluation.metrics import scorecard
from stages.fitting import runs
from stages.fitting.cross_fitting import (
    FitJob,
    FitProgress,
    FitProgressCallback,
    cross_fit,
    prepare_task,
    resolve_jobs,
)
from stages.fitting.fit_checkpoint import FitCheckpoint
from stages.fitting.plan import FitPlan
from stages.fitting.predictions import Predictions
from stages.fitting.sample_weights import align_weights
from stages.fitting.stacking_inputs import stacking_notes
from stages.fitting.task import Task, rare_label_notes, resolve_layer


def fit_head(
    store: FeatureSource,
    table: CorpusTable,
    plan: FitPlan,
    folder: Path,
    *,
    command: str = "",
    notes: Sequence[str] = (),
    on_progress: FitProgressCallback | None = None,
    jobs: int | None = None,
) -> tuple[runs.Run, bool]:
    """Fit a head, choose its decision rule, score the test split once, and write the run into `folder`.

    The same plan on the same documents returns the run that it made before, and resumes one that was interrupted.

    Args:
        store: the features.
        table: the corpus.
        plan: what to fit and how.
        folder: the folder of the runs.
        command: the command line, for the record.
        notes: notes on the run, in addition to those that the fit itself makes.
        on_progress: called before each step.
        jobs: the number of parallel fits, one process each; None chooses it (`resolve_jobs`).

    Returns:
        The run, and whether it is new.

    Raises:
        EmbedOnceError: what `prepare_task`, `cross_fit` and `runs.save` raise.
    """
    task, plan = prepare_task(store, table, plan, folder)
    run_folder = folder / f"{plan.head.name}-{plan.identity(store, task)}"
    if run_folder.exists():
        return runs.load(run_folder), False
    clock, show, checkpoint = _Clock(), on_progress or (lambda _: None), FitCheckpoint(run_folder)
    notes = [*stacking_notes(task.base_runs), *notes, *checkpoint.notes()]
    fitted = cross_fit(FitJob(store, table, plan, run_folder), task, resolve_jobs(plan, task, jobs), show)
    clock.lap("fit", fitted.seconds)
    clock.lap("out_of_fold")
    show(FitProgress(plan.head.name, plan.folds + 1, plan.folds + 2, "choosing the decision rule"))
    decision = _decide(plan, task, fitted.scores)
    clock.lap("decision")
    test = task.held_out.score(fitted.head, decision.rule, task.labels, seed=plan.seed)
    clock.lap("test")
    record = _record(store, table, task, plan, fitted.head, clock.laps, test, command, notes)
    ordered = task.target.is_ordinal
    out_of_fold = scorecard(task.target.y, decision.out_of_fold, task.labels, plan.seed, ordinal=ordered)
    scorecards = {"out_of_fold": out_of_fold, "test": test.scorecard}
    predictions = _predictions(task, decision, fitted.scores, test)
    run = runs.save(run_folder, record, fitted.head, decision, predictions, scorecards)
    checkpoint.remove()
    return run, True


def _decide(plan: FitPlan, task: Task, scores: NDArray[np.float32]) -> Decision:
    y, ordered = task.target.y, task.target.is_ordinal
    if plan.tune:
        return tune_decision(scores, y, groups=task.groups, seed=plan.seed, ordinal=ordered)
    return default_decision(scores, y, ordinal=ordered)


def _predictions(task: Task, decision: Decision, scores: NDArray[np.float32], test: HeldOutResult) -> Predictions:
    return Predictions(
        ids=[*task.test_ids, *task.train_ids],
        splits=[Split.TEST.value] * len(task.test_ids) + [Split.TRAIN.value] * len(task.train_ids),
        truth=np.concatenate([task.test_target.y, task.target.y]),
        predicted=np.concatenate([test.predicted, decision.out_of_fold]),
        scores=np.concatenate([test.scores, scores]),
    )


def _record(
    store: FeatureSource,
    table: CorpusTable,
    task: Task,
    plan: FitPlan,
    head: Head,
    seconds: dict[str, float],
    test: HeldOutResult,
    command: str,
    notes: Sequence[str],
) -> runs.Record:
    milliseconds = 1000 * test.seconds / len(task.test_ids)
    return runs.Record(
        head=head.name,
        hyperparameters=to_json(head)["nested"],
        inputs=[run.name for run in task.base_runs] or head.reads,
        base_runs=[run.name for run in task.base_runs],
        layer=resolve_layer(plan.head, plan.layer),
        seed=plan.seed,
        folds=plan.folds,
        tuned=plan.tune,
        store=store.name,
        recipe=store.recipes[0].to_json(),
        further_recipes=[recipe.to_json() for recipe in store.recipes[1:]],
        source=table.source,
        spec=table.spec.to_json(),
        shards=[shard.name for shard in store.shards()],
        corpus=table.name,
        documents={"train": len(task.train_ids), "test": len(task.test_ids)},
        documents_hash=task.documents_hash,
        kind=task.target.kind,
        labels=task.labels,
        parameter_count=int(head.parameter_count_),
        seconds=seconds,
        predict_milliseconds=milliseconds + sum(run.record.predict_milliseconds for run in task.base_runs),
        corpus_notes=[*task.notes, *_weight_notes(plan, task), *rare_label_notes(task.target, plan.folds)],
        run_notes=[*notes, *head.notes_],
        command=command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        package_versions=runs.package_versions(),
    )


def _weight_notes(plan: FitPlan, task: Task) -> list[str]:
    weight = align_weights(plan.weights, task.train_ids)
    if weight is None:
        return []
    return [
        f"Training documents have sample weights from {weight.min():g} to {weight.max():g}, {(weight == 0).sum():,} of "
        "them 0; decision rules and metrics count every document once."
    ]


class _Clock:
    """Seconds of each step, in the order of the steps; their sum is the time that passed."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str, seconds: float | None = None) -> None:
        """Record the time since the last lap, or `seconds` of it."""
        now = time.perf_counter() if seconds is None else self._last + seconds
        self.laps[name], self._last = round(now - self._last, 3), now
