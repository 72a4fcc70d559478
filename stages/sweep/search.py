"""The sweep of one head: trials until there are enough or time is over, then the best as a run."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np

from data.errors import CallError
from featurestore import CorpusTable, FeatureStore
from stages.fit_head import FitProgress, fit_head
from stages.sweep import trials
from stages.sweep.outcome import Outcome
from stages.sweep.space import Space
from stages.sweep.study import Study
from stages.task import Task, task

__all__ = ["Bench", "Report", "SweepProgress", "make_trials", "sweep"]

FOLDER = "sweeps"
POLL = 0.5  # seconds


@dataclass(frozen=True)
class SweepProgress:
    """What is done, `done` of `total`: trials of one head, seconds where all share a time. best: None before a score."""

    head: str
    done: float
    total: float
    best: float | None
    doing: str


Report = Callable[[SweepProgress], None]


@dataclass(frozen=True)
class Bench:
    """Where trials are made: the documents, and the folder of the runs."""

    store: FeatureStore
    table: CorpusTable
    found: Task
    folder: Path
    command: str = ""

    @classmethod
    def of(cls, store: FeatureStore, table: CorpusTable, space: Space, folder: Path, command: str) -> "Bench":
        """The documents of `table` as the space's plan wants them."""
        found = task(store, table, layer=space.plan.layer, skip_unlabelled=space.plan.skip_unlabelled)
        return cls(store, table, found, folder, command)

    def study(self, space: Space) -> Study:
        """The study of a space, opened."""
        name = f"{space.plan.head.name}-{space.identity(self.store, self.found)}.db"
        return Study(self.folder / FOLDER / name, space)

    def outcome(self, study: Study, notes: tuple[str, ...] = ()) -> Outcome:
        """What the study has come to."""
        return Outcome(
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

    def fitted(self, outcome: Outcome, space: Space, report: Callable[[FitProgress], None] | None = None) -> Outcome:
        """Fit the best parameters as a run, whose name the outcome then has."""
        plan = replace(space.plan, head=space.head(outcome.best.values))
        note = (
            f"Its parameters are the best of {len(outcome.trials)} trials by {outcome.metric} on {space.scored} of "
            f"{plan.folds} folds, which makes figures out of fold a little too good; the test split chose nothing."
        )
        made = fit_head(self.store, self.table, plan, self.folder, command=self.command, notes=(note,), report=report)
        return replace(outcome, run=made[0].name)


def sweep(
    store: FeatureStore,
    table: CorpusTable,
    space: Space,
    folder: Path,
    *,
    most: int,
    seconds: float = inf,
    command: str = "",
    report: Report | None = None,
) -> Outcome:
    """Make trials of one head until its study has `most`, or `seconds` are over; then fit the best as a run.

    Trials that the study in `folder` has already count. Several processes may call this at once: each makes trials
    until there are enough, waits for those that others are at, and finds the same run.
    Raises as `fit_head` and `Study` do, CallError for a head that has nothing to search.
    """
    if not space.searched:
        raise CallError(f"{space.plan.head.name} has no parameter to search. Fit it with fit-head.")
    begun, tell = time.monotonic(), report or (lambda _: None)
    bench, most = Bench.of(store, table, space, folder, command), int(min(most, space.size))
    with bench.study(space) as study:

        def told(doing: str) -> None:
            tell(SweepProgress(space.plan.head.name, len(study.trials), most, best_of(study), doing))

        make_trials(bench, study, most, begun + seconds, told)
        return bench.fitted(bench.outcome(study), space, lambda now: told(f"the best as a run, {now.doing}"))


def make_trials(bench: Bench, study: Study, most: float, until: float, told: Callable[[str], None]) -> None:
    """Trials until there are `most`, or until another would end after `until` (of `time.monotonic`); at least one."""
    while True:
        finished, running = study.trials, study.running
        late = finished and time.monotonic() + seconds_of(study) / 2 > until
        if late or len(finished) >= most:
            return
        if len(finished) + running >= most:
            told("another process is at the last ones")
            time.sleep(POLL)
            continue
        number = len(finished) + running + 1
        told(f"trial {number}")
        study.one_more(
            lambda values, reached, number=number: trials.score(  # type: ignore[misc]  # the number of this one
                study.space, bench.found, values, _aloud(reached, told, number)
            )
        )


def best_of(study: Study) -> float | None:
    """The highest score so far."""
    return max((each.score for each in study.trials if each.score is not None), default=None)


def seconds_of(study: Study) -> float:
    """What one more trial is likely to take: the mean of those that were made, at least one."""
    return float(np.mean([each.seconds for each in study.trials]))


def _aloud(reached: trials.Reached, told: Callable[[str], None], number: int) -> trials.Reached:
    def both(step: int, figure: float) -> None:
        fold = step - trials.AFTER_EPOCHS
        told(f"trial {number}, " + (f"epoch {step}" if fold < 0 else f"fold {fold + 2}"))
        reached(step, figure)

    return both


def _notes(space: Space, found: Task) -> tuple[str, ...]:
    share = f"{space.scored} of {space.plan.folds} folds of {len(found.train):,} training documents"
    return (f"A trial is scored on {share}, by the plain decision; the test split was not read for it.",)
