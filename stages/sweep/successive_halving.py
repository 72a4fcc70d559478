"""A time budget for several heads by successive halving: the better half stays, until the best head is left."""

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from math import ceil, inf, log2
from pathlib import Path

from sklearn.base import clone

from data.errors import CallError, EmbedOnceError
from data.splits import nested_subsets
from featurestore import CorpusTable, FeatureSource
from stages.fitting.plan import configure_head
from stages.fitting.sample_weights import align_weights
from stages.sweep.result import SweepResult, SweepTrial
from stages.sweep.search import (
    SweepContext,
    SweepProgress,
    SweepProgressCallback,
    TrialRunner,
    best_score,
    mean_seconds,
)
from stages.sweep.space import SearchSpace
from stages.sweep.study import Study

__all__ = ["parse_duration", "sweep_all"]

FINALISTS = 2  # heads of the last round, which are fitted as runs; the second one if time is left
MAX_TRIAL_SHARE = 0.25  # of the whole budget, which one trial of a head may take
PROBE_DOCUMENTS = 500  # documents of the larger fit that predicts the time of a trial
RUN_SHARE = 0.2  # of the whole budget, reserved for a run until the time of a fit is known


def parse_duration(text: str) -> float:
    """ "90s", "10m" or "1.5h" in seconds. Raises CallError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if not match or not float(match[1]):
        raise CallError(f"--time-budget is '{text}': write a time such as 90s, 10m or 1.5h.")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def sweep_all(
    store: FeatureSource,
    table: CorpusTable,
    spaces: Sequence[SearchSpace],
    folder: Path,
    *,
    seconds: float,
    max_trials: float = inf,
    command: str = "",
    on_progress: SweepProgressCallback | None = None,
    runner: TrialRunner | None = None,
) -> list[SweepResult]:
    """Spend a time budget on several heads by successive halving, and fit the best one or two as runs.

    Each head gets an equal share of a round's time and at least one trial. The better half stays for the next round,
    which has the same time for fewer heads (Jamieson & Talwalkar 2016, arXiv 1502.07943, with trials as the pulls of an
    arm). Time for the run of the best head is reserved. A trial that was started is finished, so a small budget may be
    exceeded.

    Args:
        store: the features.
        table: the corpus.
        spaces: one search space per head.
        folder: the folder of the runs.
        seconds: the budget. A head is left out, with a note, if one trial would take more than a quarter of it.
        max_trials: the most trials per head.
        command: the command line, for the record of the runs.
        on_progress: called before each step.
        runner: runs the trials and the last fits; None for this process.

    Returns:
        One result per head, the best head first.

    Raises:
        CallError: if no head can be tried; and what `fit_head` and `Study` raise.
    """
    start, show = time.monotonic(), on_progress or (lambda _: None)
    context, runner = SweepContext.of(store, table, spaces[0], folder, command), runner or TrialRunner()
    end = start + seconds

    def show_head(head: str, trials: Sequence[SweepTrial], activity: str) -> None:
        show(SweepProgress(head, min(time.monotonic() - start, seconds), seconds, best_score(trials), activity))

    with ExitStack() as open_studies:
        studies, notes = _open_studies(context, spaces, seconds, open_studies)
        if not studies:
            raise CallError(f"No head can be tried in {seconds:g} s. {' '.join(notes)}")
        remaining, ranked = list(studies), list(studies)
        for rounds_left in range(max(1, ceil(log2(len(studies)))), 0, -1):
            now = time.monotonic()
            round_end = now + max(0.0, end - _run_seconds(remaining, seconds) - now) / rounds_left
            for position, study in enumerate(remaining):
                now = time.monotonic()
                deadline = now + (round_end - now) / (len(remaining) - position)
                most = min(max_trials, study.space.size)
                runner.run_trials(context, study, most, deadline, partial(show_head, study.head))
            remaining.sort(key=lambda study: -(best_score(study.trials) or 0))
            ranked[: len(remaining)] = remaining
            if len(remaining) > FINALISTS:
                remaining = remaining[: ceil(len(remaining) / 2)]
        results = [context.summarize(study, notes) for study in ranked]
        for position, study in enumerate(remaining[:FINALISTS]):
            if position == 0 or time.monotonic() + _run_seconds([study], seconds) < end:
                show_head(study.head, results[position].trials, "fitting the best as a run")
                results[position] = runner.fit_best(context, results[position], study.space)
    return results


def _open_studies(
    context: SweepContext, spaces: Sequence[SearchSpace], seconds: float, open_studies: ExitStack
) -> tuple[list[Study], tuple[str, ...]]:
    """The opened studies of the heads that fit into the budget, and a note on each other head."""
    studies, notes = [], []
    for requested in spaces:
        study = open_studies.enter_context(context.open_study(requested))
        space, name = study.space, study.head
        try:
            trial = mean_seconds(study.trials) if study.trials else _predict_trial_seconds(context, space, seconds)
        except EmbedOnceError as error:
            notes.append(f"{name} is left out: {error}")
            continue
        if trial > MAX_TRIAL_SHARE * seconds:
            notes.append(f"{name} is left out: one trial would take about {trial:.0f} s. Raise --time-budget for it.")
            continue
        studies.append(study)
    return studies, tuple(notes)


def _predict_trial_seconds(context: SweepContext, space: SearchSpace, seconds: float) -> float:
    """Predict the seconds of a trial by the line through the times of two fits on few documents.

    One fit is enough if a trial that takes the same time per document would be short enough. The first fit of a head
    also takes the time to import a library, which makes the line flatter; then the head is tried.
    """
    task, head = context.task, configure_head(space.make_head(space.defaults), context.task.target)
    weight = align_weights(space.plan.weights, task.train_ids)
    trial_documents, times, sizes = (1 - 1 / space.plan.fold_count) * len(task.train), list[float](), list[int]()
    subset_sizes = [PROBE_DOCUMENTS // 2, PROBE_DOCUMENTS]
    for rows in nested_subsets(task.target.strata, task.groups.tolist(), subset_sizes, space.plan.seed):
        start = time.monotonic()
        task.fit(clone(head), rows, weight)
        times.append(time.monotonic() - start)
        sizes.append(len(rows))
        upper = space.scored_folds * times[0] * max(1.0, trial_documents / sizes[0])
        if upper <= MAX_TRIAL_SHARE * seconds:
            return upper
    slope = max(0.0, times[1] - times[0]) / max(1, sizes[1] - sizes[0])
    return space.scored_folds * (times[1] + slope * max(0.0, trial_documents - sizes[1]))


def _run_seconds(ranked: Sequence[Study], seconds: float) -> float:
    """The expected seconds of a run of the first study: one fit per fold and one more."""
    space, trials = ranked[0].space, ranked[0].trials
    fits = [trial.seconds / space.scored_folds for trial in trials if trial.score is not None]
    return space.plan.fits * max(fits) if fits else RUN_SHARE * seconds
