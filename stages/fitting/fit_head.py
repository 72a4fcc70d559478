"""Stage two: features and labels in, a run out.

The order of things is what makes the figures honest. The head is fitted on folds of the training split; its scores on
the documents that each fold left out choose the decision rule; a last fit takes the whole training split; and only then
is the test split scored, once. `HeldOut` keeps it out of reach before that.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
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
from heads.evaluation.score_matrix import scores_to_probabilities
from stages.fitting import runs
from stages.fitting.cross_fitting import FitJob, FitProgress, Report, cross_fit, prepare_task, resolve_jobs
from stages.fitting.fit_checkpoint import FitCheckpoint
from stages.fitting.plan import FitPlan
from stages.fitting.sample_weights import align_weights
from stages.fitting.task import Task, rare_label_notes, resolve_layer


def fit_head(
    store: FeatureSource,
    table: CorpusTable,
    plan: FitPlan,
    folder: Path,
    *,
    command: str = "",
    notes: Sequence[str] = (),
    report: Report | None = None,
    jobs: int | None = None,
) -> tuple[runs.Run, bool]:
    """Fit, decide, score once, and write the run into `folder`.

    notes: what the run shall say of itself beside what is said of every run.
    jobs: fits at once, each in a process; None is as many as there are cores where that is a gain (`resolve_jobs`).

    Returns the run, and whether it is new: the same plan on the same documents finds the run that it made before, and
    goes on with one that was cut off.
    """
    found, plan = prepare_task(store, table, plan, folder)
    place = folder / f"{plan.head.name}-{plan.identity(store, found)}"
    if place.exists():
        return runs.load(place), False
    clock, tell, unfinished = _Clock(), report or (lambda _: None), FitCheckpoint(place)
    found = replace(found, notes=(*found.notes, *notes, *unfinished.notes()))
    made = cross_fit(FitJob(store, table, plan, place), found, resolve_jobs(plan, found, jobs), tell)
    clock.lap("fit", made.seconds)
    clock.lap("out_of_fold")
    tell(FitProgress(plan.head.name, plan.folds + 1, plan.folds + 2, "choosing the decision rule"))
    decision = _decide(plan, found, made.scores)
    clock.lap("decision")
    tested = found.held_out.score(made.head, decision.rule, found.labels, seed=plan.seed)
    clock.lap("test")
    record = _record(store, table, found, plan, made.head, clock, tested, command)
    ordered = found.target.is_ordinal
    held = scorecard(found.target.y, decision.out_of_fold, found.labels, plan.seed, ordinal=ordered)
    cards = {"out_of_fold": held, "test": tested.scorecard}
    said = _predictions(found, decision, made.scores, tested)
    run = runs.save(place, record, made.head, decision, said, cards)
    unfinished.remove()
    return run, True


def _decide(plan: FitPlan, found: Task, scores: NDArray[np.float32]) -> Decision:
    y, ordered = found.target.y, found.target.is_ordinal
    if plan.tune:
        return tune_decision(scores, y, groups=found.groups, seed=plan.seed, ordinal=ordered)
    return default_decision(scores, y, ordinal=ordered)


def _predictions(
    found: Task, decision: Decision, scores: NDArray[np.float32], tested: HeldOutResult
) -> runs.Predictions:
    multilabel = found.target.kind == "multilabel"
    return runs.Predictions(
        ids=[*found.test_ids, *found.train_ids],
        splits=[Split.TEST.value] * len(found.test_ids) + [Split.TRAIN.value] * len(found.train_ids),
        truth=np.concatenate([found.test_target.y, found.target.y]),
        predicted=np.concatenate([tested.predicted, decision.out_of_fold]),
        probabilities=np.concatenate(
            [
                scores_to_probabilities(tested.scores, multilabel=multilabel),
                scores_to_probabilities(scores, multilabel=multilabel),
            ]
        ),
    )


def _record(
    store: FeatureSource,
    table: CorpusTable,
    found: Task,
    plan: FitPlan,
    head: Head,
    clock: "_Clock",
    tested: HeldOutResult,
    command: str,
) -> runs.Record:
    return runs.Record(
        head=head.name,
        hyperparameters=to_json(head)["nested"],
        inputs=[run.name for run in found.base_runs] or head.reads,
        base_runs=[run.name for run in found.base_runs],
        layer=resolve_layer(plan.head, plan.layer),
        seed=plan.seed,
        folds=plan.folds,
        tuned=plan.tune,
        store=store.name,
        recipe=store.recipes[0].to_json(),
        further_recipes=[recipe.to_json() for recipe in store.recipes[1:]],
        shards=[shard.name for shard in store.shards()],
        corpus=table.name,
        documents={"train": len(found.train_ids), "test": len(found.test_ids)},
        documents_hash=found.documents_hash,
        kind=found.target.kind,
        labels=found.labels,
        parameter_count=int(head.parameter_count_),
        seconds=clock.laps,
        predict_milliseconds=1000 * tested.seconds / len(found.test_ids)
        + sum(run.record.predict_milliseconds for run in found.base_runs),
        notes=[*found.notes, *_weighted(plan, found), *rare_label_notes(found.target, plan.folds), *head.notes_],
        command=command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=runs.versions(),
    )


def _weighted(plan: FitPlan, found: Task) -> list[str]:
    weight = align_weights(plan.weights, found.train_ids)
    if weight is None:
        return []
    return [
        f"Training documents count from {weight.min():g} to {weight.max():g}, {(weight == 0).sum():,} of them not at "
        "all; rules and figures count each once."
    ]


class _Clock:
    """Seconds of each step, in the order in which they were run; together they are what passed."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str, seconds: float | None = None) -> None:
        """What passed since the last lap, or so much of it."""
        now = time.perf_counter() if seconds is None else self._last + seconds
        self.laps[name], self._last = round(now - self._last, 3), now
