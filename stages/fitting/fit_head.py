"""Stage two: features and labels in, a run out.

The order of the steps makes the metrics honest. The head is fitted on the folds of the training split; its out-of-fold
scores choose the decision rule; a last fit uses the whole training split; and only then is the test split scored, once.
`HeldOut` makes it unreadable before that.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import check_writable
from data.splits import Split
from data.target import Target
from data.text_format import plural
from featurestore import CorpusTable, FeatureSource
from heads.core.head import Head
from heads.core.hyperparameters import to_json
from heads.evaluation.calibration import FULL_SAMPLE, fit_calibration
from heads.evaluation.decisions import Decision
from heads.evaluation.decisions.heldout import HeldOutResult
from heads.evaluation.metrics import scorecard
from stages.fitting import runs
from stages.fitting.cross_fitting import (
    CrossFitResult,
    FitJob,
    FitProgress,
    FitProgressCallback,
    cross_fit,
    prepare_task,
    resolve_jobs,
)
from stages.fitting.diagnostics import FitDiagnostics, count_training, draw_sample
from stages.fitting.encoder_exposure import exposure_notes
from stages.fitting.fit_checkpoint import FitCheckpoint
from stages.fitting.fold_count import FOLDS, fold_count_note
from stages.fitting.plan import FitPlan
from stages.fitting.pooled_features import PooledFeatures
from stages.fitting.predictions import Predictions
from stages.fitting.sample_weights import align_weights
from stages.fitting.saving import save
from stages.fitting.stacking_inputs import stacking_notes
from stages.fitting.task import Task, count_duplicates, count_unlabeled, rare_label_notes, resolve_layer

SCORED_DOCUMENTS = 1_000  # to measure the time per document if there is no test split
VALIDATED_ON = {"folds": "out_of_fold", "split": "validation"}  # the name of the metrics
MAX_PROBE = 2**26  # bytes that are written before a fit, to find out whether the run can be


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
    pooled: PooledFeatures | None = None,
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
        pooled: the features that several heads share; None for this head alone.

    Returns:
        The run, and whether it is new.

    Raises:
        EmbedOnceError: what `prepare_task`, `cross_fit` and `save` raise.
    """
    task, plan = prepare_task(store, table, plan, folder)
    run_folder = folder / f"{plan.head.name}-{plan.identity(store, task)}"
    if run_folder.exists():
        return runs.load(run_folder), False
    check_writable(folder, _expected_bytes(task))
    clock, show, checkpoint = Clock(), on_progress or (lambda _: None), FitCheckpoint(run_folder)
    job = FitJob(store, table, plan, run_folder)
    run_notes = [*stacking_notes(task.base_runs), *notes, *checkpoint.notes()]
    with PooledFeatures(folder) if pooled is None else nullcontext(pooled) as shared:
        show(FitProgress(plan.head.name, 0, plan.fits + 1, "reading the features"))
        task = shared.attach(task, plan.head, plan.features_identity(store, task))
        fitted = cross_fit(job, task, resolve_jobs(plan, task, jobs), show)
        clock.lap("fit", fitted.seconds)
        clock.lap("out_of_fold")
        show(FitProgress(plan.head.name, plan.fits, plan.fits + 1, "choosing the decision rule"))
        corpus_notes = [*task.notes, *_weight_notes(plan, task), *_plan_notes(plan, task)]
        run = complete_run(job, task, fitted, clock, corpus_notes, run_notes, command=command)
        checkpoint.remove()
    return run, True


def complete_run(
    job: FitJob,
    task: Task,
    fitted: CrossFitResult,
    clock: "Clock",
    corpus_notes: Sequence[str],
    run_notes: Sequence[str],
    *,
    command: str,
    settings: Mapping[str, Any] | None = None,
) -> runs.Run:
    """Choose the decision rule of a fitted head, score the test split once, and write the run.

    Args:
        job: what was fitted, and where the run is written.
        task: its documents.
        fitted: the head, and its scores of documents that it was not fitted on.
        clock: has the seconds of the fits.
        corpus_notes: on the corpus and how it is used.
        run_notes: on this run, in addition to those of the head.
        command: the command line, for the record.
        settings: hyperparameters that are not those of the head, for the record.

    Returns:
        The run.

    Raises:
        StorageFailed: it cannot be written.
    """
    plan = job.plan
    target, ordered, hierarchy = task.target[fitted.rows], task.target.is_ordinal, task.target.hierarchy
    decision = _decide(plan, target, task.groups[fitted.rows], fitted.scores)
    clock.lap("decision")
    validated = scorecard(
        target.y,
        decision.out_of_fold,
        task.labels,
        plan.seed,
        ordinal=ordered,
        hierarchy=hierarchy,
        probabilities=decision.corpus_probabilities(fitted.scores, decision.calibration.folds),
    )
    scorecards = {VALIDATED_ON[plan.validate_on]: validated}
    test = task.held_out.score(fitted.head, decision, task.labels, seed=plan.seed) if plan.test else None
    if test is not None:
        scorecards["test"] = test.scorecard
        clock.lap("test")
    record = _record(job, task, fitted, clock.laps, test)
    record = replace(record, command=command, corpus_notes=corpus_notes, run_notes=[*run_notes, *fitted.head.notes_])
    record = replace(record, hyperparameters={**record.hyperparameters, **(settings or {})})
    record = replace(record, diagnostics=_diagnose(plan, task, fitted).to_json())
    predictions = _predictions(plan, task, decision, fitted, test)
    groups, folds = task.groups[fitted.rows], fitted.fold_of
    return save(job.run_folder, record, fitted.head, decision, predictions, scorecards, groups, folds)


def _diagnose(plan: FitPlan, task: Task, fitted: CrossFitResult) -> FitDiagnostics:
    if plan.validate_on == "split":
        return FitDiagnostics()
    sample = draw_sample(np.arange(len(fitted.rows)), plan.seed)
    rows = fitted.rows[sample]
    training = count_training(task.scores(fitted.head, rows), fitted.scores[sample], task.target[rows])
    return FitDiagnostics(training, fitted.views)


def _expected_bytes(task: Task) -> int:
    """The size of the scores of the finished folds and of the run, as float32; at most MAX_PROBE."""
    train, test = len(task.train_ids), len(task.test_ids)
    return min(4 * (2 * train + test) * len(task.labels), MAX_PROBE)


def _decide(plan: FitPlan, target: Target, groups: NDArray[np.int64], scores: NDArray[np.float32]) -> Decision:
    """The decision rule and the calibration."""
    decision = (
        plan.decision.tune(scores, target, groups, plan.seed) if plan.tune else plan.decision.decide(scores, target)
    )
    method, hierarchy = plan.calibration, target.hierarchy
    calibration = fit_calibration(scores, target.y, groups, plan.seed, method=method, hierarchy=hierarchy)
    return replace(decision, calibration=calibration)


def _predictions(
    plan: FitPlan, task: Task, decision: Decision, fitted: CrossFitResult, test: HeldOutResult | None
) -> Predictions:
    """The predictions of the test split, if it is scored, then those of training documents."""
    split = Split.VALIDATION if plan.validate_on == "split" else Split.TRAIN
    tested, documents = ([], 0) if test is None else ([test], len(task.test_ids))
    folds = np.append(np.full(documents, FULL_SAMPLE, dtype=np.int8), decision.calibration.folds)
    return Predictions(
        ids=[*task.test_ids[:documents], *(task.train_ids[row] for row in fitted.rows.tolist())],
        splits=[Split.TEST.value] * documents + [split.value] * len(fitted.rows),
        truth=np.concatenate([task.test_target.y[:documents], task.target.y[fitted.rows]]),
        predicted=np.concatenate([*(each.predicted for each in tested), decision.out_of_fold]),
        scores=np.concatenate([*(each.scores for each in tested), fitted.scores]),
        decision=decision,
        calibration_folds=folds if decision.calibration.of_folds else None,
    )


def _record(
    job: FitJob, task: Task, fitted: CrossFitResult, seconds: dict[str, float], test: HeldOutResult | None
) -> runs.Record:
    """The record without the command line and the notes."""
    store, table, plan, head = job.store, job.table, job.plan, fitted.head
    milliseconds = _scoring_milliseconds(task, head) if test is None else 1000 * test.seconds / len(task.test_ids)
    return runs.Record(
        head=head.name,
        hyperparameters=to_json(head)["nested"],
        inputs=[run.name for run in task.base_runs] or head.reads,
        base_runs=[run.name for run in task.base_runs],
        tabular=head.tabular_labels or _tabular_of_runs(task.base_runs),
        layer=resolve_layer(plan.head, plan.layer),
        seed=plan.seed,
        folds=0 if plan.validate_on == "split" else plan.fold_count,
        validate_on=plan.validate_on,
        tuned=plan.tune,
        objective=plan.decision.for_target(task.target).objective or "",
        rule_options=plan.decision.for_target(task.target).to_json(),
        labels_only=plan.decision.labels_only,
        store=store.name,
        recipe=store.recipes[0].to_json(),
        further_recipes=[recipe.to_json() for recipe in store.recipes[1:]],
        source=table.source,
        spec=table.spec.to_json(),
        shards=[shard.name for shard in store.shards()],
        corpus=table.name,
        sample_of={} if table.sample_of is None else asdict(table.sample_of),
        unlabeled=count_unlabeled(table, with_test=plan.test),
        duplicates=count_duplicates(table),
        documents=_count_documents(plan, task),
        documents_hash=task.documents_hash,
        encoder_trainings=task.exposure.summaries(),
        unscored=task.exposure.documents - len(fitted.rows) if plan.validate_on == "folds" else 0,
        test_texts=task.exposure.test_texts if plan.test else 0,
        fold_stores=[fold.source.name for fold in task.exposure.folds],
        kind=task.target.kind,
        scored_level=plan.scored_level,
        labels=task.labels,
        taxonomy={} if task.target.taxonomy is None else task.target.taxonomy.restricted_to(task.labels).to_json(),
        copies={} if task.copies is None else task.copies.counts,
        weights="" if plan.weights is None else runs.short_hash(plan.weights),
        parameter_count=int(head.parameter_count_),
        training=head.history_.to_json() if hasattr(head, "history_") else {},
        seconds=seconds,
        predict_milliseconds=milliseconds + sum(run.record.predict_milliseconds for run in task.base_runs),
        corpus_notes=(),
        run_notes=(),
        command="",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        package_versions=runs.package_versions(),
    )


def _count_documents(plan: FitPlan, task: Task) -> dict[str, int]:
    validation = int(task.is_validation.sum()) if plan.validate_on == "split" else 0
    counts = {Split.TRAIN: len(task.train_ids) - validation, Split.VALIDATION: validation}
    counts |= {Split.TEST: len(task.test_ids)} if plan.test else {}
    return {split.value: count for split, count in counts.items() if count}


def _scoring_milliseconds(task: Task, head: Head) -> float:
    """The time that the head takes per document, measured on a few training documents."""
    rows = np.arange(min(len(task.train), SCORED_DOCUMENTS))
    start = time.perf_counter()
    task.scores(head, rows)
    return 1000 * (time.perf_counter() - start) / len(rows)


def _plan_notes(plan: FitPlan, task: Task) -> list[str]:
    notes = [] if task.target.detailed is None else [_level_note(plan, task.target, task.target.detailed)]
    notes += [] if plan.test else ["The test split was not read (--no-test): there are no test metrics."]
    notes += exposure_notes(task.exposure, len(task.test_ids) if plan.test else 0, folds=plan.validate_on == "folds")
    if plan.validate_on == "folds":
        if plan.has_chosen_folds and plan.fold_count != FOLDS:
            notes.append(fold_count_note(task.target, plan.fold_count))
        return [*notes, *rare_label_notes(task.target, plan.fold_count)]
    validation = int(task.is_validation.sum())
    return [
        *notes,
        f"Fitted on {len(task.train_ids) - validation:,} training documents and validated on the validation split of "
        f"{plural(validation, 'document')} instead of folds (--validate-on split). It chooses the decision rule and at "
        "which epoch a network stops, which makes a network's validation metrics slightly too high.",
    ]


def _level_note(plan: FitPlan, target: Target, detailed: Target) -> str:
    return (
        f"Scored at level {plan.scored_level} of the taxonomy (--scored-level): {plural(len(target.labels), 'label')} "
        f"instead of {len(detailed.labels):,}."
    )


def _tabular_of_runs(base_runs: Sequence[runs.Run]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for run in base_runs for label in run.record.tabular))


def _weight_notes(plan: FitPlan, task: Task) -> list[str]:
    weight = align_weights(plan.weights, task.train_ids)
    if weight is None:
        return []
    return [
        f"Training documents have sample weights from {weight.min():g} to {weight.max():g}, {(weight == 0).sum():,} of "
        "them 0; decision rules and metrics count every document once."
    ]


class Clock:
    """Seconds of each step, in the order of the steps; their sum is the time that passed."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str, seconds: float | None = None) -> None:
        """Record the time since the last lap, or `seconds` of it."""
        now = time.perf_counter() if seconds is None else self._last + seconds
        self.laps[name], self._last = round(now - self._last, 3), now
