"""The sweep of one head: trials until there are enough or the time is over, then the best as a run."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from data.atomic_write import check_writable
from data.errors import CallError
from featurestore import CorpusTable, FeatureSource
from heads.registry import shown_names
from stages.fitting.cross_fitting import FitProgressCallback
from stages.fitting.encoder_exposure import exposure_notes
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import load_planned_task
from stages.fitting.saving import replace_run_notes
from stages.fitting.task import Task
from stages.sweep import trial_scoring
from stages.sweep.result import SweepResult, SweepTrial
from stages.sweep.space import SearchSpace
from stages.sweep.study import Study
from stages.sweep.trial_scoring import AFTER_EPOCHS, StepCallback

__all__ = [
    "Show",
    "SweepContext",
    "SweepProgress",
    "SweepProgressCallback",
    "TrialRunner",
    "best_score",
    "is_late",
    "mean_seconds",
    "sweep",
]

FOLDER = "sweeps"
NOTE_START = "Its hyperparameters are the best of"  # of the note on a run that a sweep chose
POLL = 0.5  # seconds between two looks at a study in which another command runs the last trials


@dataclass(frozen=True)
class SweepProgress:
    """What is done, `done` of `total`: trials of one head, or seconds that heads share. best: the highest score."""

    head: str
    done: float
    total: float
    best: float | None
    activity: str


SweepProgressCallback = Callable[[SweepProgress], None]
Show = Callable[[Sequence[SweepTrial], str], None]  # the finished trials, and what is done now


@dataclass(frozen=True)
class SweepContext:
    """What all trials of a sweep share: the documents, and the folder of the runs."""

    store: FeatureSource
    table: CorpusTable
    task: Task
    folder: Path
    command: str = ""

    @classmethod
    def of(
        cls, store: FeatureSource, table: CorpusTable, space: SearchSpace, folder: Path, command: str
    ) -> "SweepContext":
        """Load the documents of `table` as the space's plan reads them."""
        check_writable(folder)
        task = load_planned_task(store, table, space.plan)
        return cls(store, table, task, folder, command)

    def open_study(self, space: SearchSpace) -> Study:
        """Open the study of a search space, whose plan gets its folds. Raises CallError if trials need more folds."""
        space = replace(space, plan=space.plan.for_task(self.task))
        if space.scored_folds > space.plan.fold_count:
            raise CallError(
                f"--trial-folds is {space.scored_folds}, but --folds is only {space.plan.fold_count}. Lower it, or "
                "raise --folds."
            )
        name = f"{space.plan.head.name}-{space.identity(self.store, self.task)}.db"
        return Study(self.folder / FOLDER / name, space)

    def summarize(self, study: Study, notes: tuple[str, ...] = ()) -> SweepResult:
        """The result of the trials so far."""
        space, has_folds = study.space, study.space.plan.validate_on == "folds"
        shown = shown_names(space.plan.head)
        documents = int((self.task.exposure.is_scored if has_folds else self.task.is_validation).sum())
        scored = f"{_describe_scored(space)} of {documents:,} {'training ' if has_folds else ''}documents"
        return SweepResult(
            head=space.plan.head.name,
            store=self.store.name,
            corpus=self.table.name,
            metric=space.metric.attribute,
            study=str(study.path),
            trials=study.trials,
            defaults=space.defaults,
            importance=study.importance,
            names={name: shown[name] for name in space.hyperparameters},
            notes=(
                f"A trial is scored on {scored}, with the default decision rule; the test split was not read for it.",
                *exposure_notes(self.task.exposure, 0, folds=has_folds),
                *notes,
            ),
        )

    def run_trial(self, study: Study, show_step: Callable[[int], None] = lambda _: None) -> None:
        """Run one trial. show_step: called with each epoch, and each fold as in `score_trial`."""
        study.run_trial(partial(_score_trial, self, study.space, show_step))

    def fit_best(
        self, result: SweepResult, space: SearchSpace, on_progress: FitProgressCallback | None = None
    ) -> SweepResult:
        """Fit the best hyperparameters as a run, whose name the returned result has."""
        plan = replace(space.plan, head=space.make_head(result.best.values))
        metrics = "out-of-fold metrics" if plan.validate_on == "folds" else "validation metrics"
        note = (
            f"{NOTE_START} {len(result.trials)} trials by {result.metric} on {_describe_scored(space)}, which makes "
            f"the {metrics} slightly too high; the test split chose nothing."
        )
        run, _ = fit_head(
            self.store, self.table, plan, self.folder, command=self.command, notes=(note,), on_progress=on_progress
        )
        search = [each.to_json() for each in space.searched_ranges(result.best.values)]
        if note not in run.record.run_notes or search != list(run.record.search):
            # the run is new, or was chosen among fewer trials or none
            others = [text for text in run.record.run_notes if not text.startswith(NOTE_START)]
            run = replace_run_notes(run, [*others, note], search)
        return replace(result, run=run.name)


def _describe_scored(space: SearchSpace) -> str:
    if space.plan.validate_on == "split":
        return "the validation split"
    return f"{space.scored_folds} of {space.plan.fold_count} folds"


def is_late(trials: Sequence[SweepTrial], deadline: float) -> bool:
    """Whether one more trial than these would end after the deadline, of `time.monotonic`; never if there are none."""
    return bool(trials) and time.monotonic() + mean_seconds(trials) / 2 > deadline


class TrialRunner:
    """Runs trials, and fits the best of them, in this process; subclasses do it elsewhere."""

    def run_trials(self, context: SweepContext, study: Study, max_trials: float, deadline: float, show: Show) -> None:
        """Run trials until the study has enough, or another would end after the deadline; at least one.

        Args:
            context: the documents.
            study: where the trials are kept.
            max_trials: how many trials are enough.
            deadline: of `time.monotonic`.
            show: called with the finished trials and the activity.
        """
        while True:
            trials, running = study.trials, study.running_count
            if is_late(trials, deadline) or len(trials) >= max_trials:
                return
            if len(trials) + running >= max_trials:
                show(trials, "another process runs the last trials")
                time.sleep(POLL)
                continue
            show_step = partial(_show_step, show, trials, len(trials) + running + 1)
            show_step(0)
            context.run_trial(study, show_step)

    def fit_best(
        self,
        context: SweepContext,
        result: SweepResult,
        space: SearchSpace,
        on_progress: FitProgressCallback | None = None,
    ) -> SweepResult:
        """Fit the best trial of a sweep as a run.

        Args:
            context: the documents.
            result: the sweep.
            space: what it searched.
            on_progress: called before each step.

        Returns:
            The result with the name of the run.
        """
        return context.fit_best(result, space, on_progress)


def sweep(
    store: FeatureSource,
    table: CorpusTable,
    space: SearchSpace,
    folder: Path,
    *,
    max_trials: int,
    seconds: float = inf,
    command: str = "",
    on_progress: SweepProgressCallback | None = None,
    runner: TrialRunner | None = None,
) -> SweepResult:
    """Run trials of one head until its study has enough or the time is over; then fit the best as a run.

    Trials that the study already has count. Several processes may call this at once: each runs trials until there are
    enough, waits for those that other processes run, and returns the same run.

    Args:
        store: the features.
        table: the corpus.
        space: what is searched, and how a trial is scored.
        folder: the folder of the runs; the study is in its folder `sweeps`.
        max_trials: the number of trials of the study after which the sweep ends.
        seconds: the time after which no trial is started.
        command: the command line, for the record of the run.
        on_progress: called before each step.
        runner: runs the trials and the last fit; None for this process.

    Returns:
        The trials, with the name of the run.

    Raises:
        CallError: for a head that has nothing to search; and what `fit_head` and `Study` raise.
    """
    if not space.hyperparameters:
        raise CallError(f"{space.plan.head.name} has no hyperparameter to search. Fit it with fit-head.")
    start, show = time.monotonic(), on_progress or (lambda _: None)
    context, most = SweepContext.of(store, table, space, folder, command), int(min(max_trials, space.size))

    def show_trials(trials: Sequence[SweepTrial], activity: str) -> None:
        show(SweepProgress(space.plan.head.name, len(trials), most, best_score(trials), activity))

    runner = runner or TrialRunner()
    with context.open_study(space) as study:
        runner.run_trials(context, study, most, start + seconds, show_trials)
        result, space = context.summarize(study), study.space

    def show_fit(now: Any) -> None:
        show_trials(result.trials, f"fitting the best as a run, {now.activity}")

    return runner.fit_best(context, result, space, show_fit)


def _score_trial(
    context: SweepContext,
    space: SearchSpace,
    show_step: Callable[[int], None],
    values: Mapping[str, Any],
    on_step: StepCallback,
) -> float:
    def on_step_shown(step: int, score: float) -> None:
        show_step(step)
        on_step(step, score)

    return trial_scoring.score_trial(space, context.task, values, on_step_shown)


def _show_step(show: Show, trials: Sequence[SweepTrial], number: int, step: int) -> None:
    fold = step - AFTER_EPOCHS
    show(trials, f"trial {number}" + (f", fold {fold + 2}" if fold >= 0 else f", epoch {step}" if step else ""))


def best_score(trials: Sequence[SweepTrial]) -> float | None:
    """The highest score, None if no trial has one."""
    return max((trial.score for trial in trials if trial.score is not None), default=None)


def mean_seconds(trials: Sequence[SweepTrial]) -> float:
    """The mean time of at least one trial, which predicts that of the next."""
    return float(np.mean([trial.seconds for trial in trials]))
