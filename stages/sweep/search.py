"""The sweep of one head: trials until there are enough or time is over, then the best as a run."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import CallError
from featurestore import CorpusTable, FeatureSource
from stages.fitting import runs
from stages.fitting.cross_fitting import FitProgress
from stages.fitting.fit_head import fit_head
from stages.fitting.task import Task, load_task, resolve_layer
from stages.sweep import trial_scoring as trials
from stages.sweep.result import SweepResult, SweepTrial
from stages.sweep.space import SearchSpace
from stages.sweep.study import Study

__all__ = ["Report", "SweepContext", "SweepProgress", "best_score", "make_trials", "seconds_of", "sweep"]

FOLDER = "sweeps"
CHOSEN = "Its parameters are the best of"  # how the note of a run that a sweep chose begins
POLL = 0.5  # seconds


@dataclass(frozen=True)
class SweepProgress:
    """What is done, `done` of `total`: trials of one head, or seconds that heads share. best: the highest score."""

    head: str
    done: float
    total: float
    best: float | None
    activity: str


Report = Callable[[SweepProgress], None]
Told = Callable[[Sequence[SweepTrial], str], None]  # the trials that were made, and what is done now


@dataclass(frozen=True)
class SweepContext:
    """Where trials are made: the documents, and the folder of the runs."""

    store: FeatureSource
    table: CorpusTable
    found: Task
    folder: Path
    command: str = ""

    @classmethod
    def of(
        cls, store: FeatureSource, table: CorpusTable, space: SearchSpace, folder: Path, command: str
    ) -> "SweepContext":
        """The documents of `table` as the space's plan wants them."""
        layer = resolve_layer(space.plan.head, space.plan.layer)
        found = load_task(store, table, layer=layer, skip_unlabelled=space.plan.skip_unlabelled, order=space.plan.order)
        return cls(store, table, found, folder, command)

    def study(self, space: SearchSpace) -> Study:
        """The study of a space, opened."""
        name = f"{space.plan.head.name}-{space.identity(self.store, self.found)}.db"
        return Study(self.folder / FOLDER / name, space)

    def outcome(self, study: Study, notes: tuple[str, ...] = ()) -> SweepResult:
        """What the study has come to."""
        return SweepResult(
            head=study.space.plan.head.name,
            store=self.store.name,
            corpus=self.table.name,
            metric=study.space.metric,
            study=str(study.path),
            trials=study.trials,
            defaults=study.space.defaults,
            importance=study.importance,
            notes=(*_notes(study.space, self.found), *notes),
        )

    def fit_best(
        self, outcome: SweepResult, space: SearchSpace, report: Callable[[FitProgress], None] | None = None
    ) -> SweepResult:
        """Fit the best parameters as a run, whose name the outcome then has."""
        plan = replace(space.plan, head=space.head(outcome.best.values))
        note = (
            f"{CHOSEN} {len(outcome.trials)} trials by {outcome.metric} on {space.scored_folds} of "
            f"{plan.folds} folds, which makes figures out of fold a little too good; the test split chose nothing."
        )
        run, _ = fit_head(self.store, self.table, plan, self.folder, command=self.command, notes=(note,), report=report)
        if note not in run.record.notes:  # the run was there before, chosen among fewer trials or among none
            run = runs.replace_notes(run, [*(each for each in run.record.notes if not each.startswith(CHOSEN)), note])
        return replace(outcome, run=run.name)


def sweep(
    store: FeatureSource,
    table: CorpusTable,
    space: SearchSpace,
    folder: Path,
    *,
    most: int,
    seconds: float = inf,
    command: str = "",
    report: Report | None = None,
) -> SweepResult:
    """Make trials of one head until its study has `most`, or `seconds` are over; then fit the best as a run.

    Trials that the study in `folder` has already count. Several processes may call this at once: each makes trials
    until there are enough, waits for those that others are at, and finds the same run.
    Raises as `fit_head` and `Study` do, CallError for a head that has nothing to search.
    """
    if not space.searched:
        raise CallError(f"{space.plan.head.name} has no parameter to search. Fit it with fit-head.")
    begun, tell = time.monotonic(), report or (lambda _: None)
    bench, most = SweepContext.of(store, table, space, folder, command), int(min(most, space.size))

    def told(made: Sequence[SweepTrial], activity: str) -> None:
        tell(SweepProgress(space.plan.head.name, len(made), most, best_score(made), activity))

    with bench.study(space) as study:
        make_trials(bench, study, most, begun + seconds, told)
        found = bench.outcome(study)
    return bench.fit_best(found, space, lambda now: told(found.trials, f"the best as a run, {now.activity}"))


def make_trials(bench: SweepContext, study: Study, most: float, until: float, told: Told) -> None:
    """Trials until there are `most`, or until another would end after `until` (of `time.monotonic`); at least one."""
    while True:
        made, running = study.trials, study.running_count
        late = made and time.monotonic() + seconds_of(made) / 2 > until
        if late or len(made) >= most:
            return
        if len(made) + running >= most:
            told(made, "another process is at the last ones")
            time.sleep(POLL)
            continue
        step = partial(_step, told, made, len(made) + running + 1)
        step(0)
        study.run_trial(partial(_scored, bench, study.space, step))


def _scored(
    bench: SweepContext,
    space: SearchSpace,
    step: Callable[[int], None],
    values: Mapping[str, Any],
    reached: trials.Reached,
) -> float:
    def both(at: int, metric: float) -> None:
        step(at)
        reached(at, metric)

    return trials.score(space, bench.found, values, both)


def _step(told: Told, made: Sequence[SweepTrial], number: int, step: int) -> None:
    fold = step - trials.AFTER_EPOCHS
    told(made, f"trial {number}" + (f", fold {fold + 2}" if fold >= 0 else f", epoch {step}" if step else ""))


def best_score(made: Sequence[SweepTrial]) -> float | None:
    """The highest score, None before there is one."""
    return max((each.score for each in made if each.score is not None), default=None)


def seconds_of(made: Sequence[SweepTrial]) -> float:
    """What one more trial is likely to take: the mean of those that were made, at least one."""
    return float(np.mean([each.seconds for each in made]))


def _notes(space: SearchSpace, found: Task) -> tuple[str, ...]:
    share = f"{space.scored_folds} of {space.plan.folds} folds of {len(found.train):,} training documents"
    return (f"A trial is scored on {share}, by the plain decision; the test split was not read for it.",)
