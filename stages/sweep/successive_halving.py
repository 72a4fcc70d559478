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
from data.text_format import format_duration
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
)
from stages.sweep.space import SearchSpace
from stages.sweep.study import Study

__all__ = ["parse_duration", "sweep_all"]

FINALISTS = 2  # heads of the last round, which are fitted as runs; the second one if time is left
# documents of the smaller fit that predicts the time of a trial: an eighth of those of the trial, within these limits
PROBE_SHARE, LEAST_PROBE, MOST_PROBE = 1 / 8, 50, 250


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

    Each head gets an equal share of a round's time, and in the first round at least one trial if that and a run with
    its hyperparameters fit into the time that is left. The better half stays for the next round, which has the same
    time for fewer heads (Jamieson & Talwalkar 2016, arXiv 1502.07943, with trials as the pulls of an arm). Time for the
    run of the best head is reserved. A trial that was started is finished, so the budget may be exceeded by one.

    Args:
        store: the features.
        table: the corpus.
        spaces: one search space per head.
        folder: the folder of the runs.
        seconds: the budget. A head for which the time is too short is left out, with a note.
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

        def run_share(study: Study, round_end: float, heads: int) -> None:
            """Run trials of a head in its share of a round, in which this many heads, itself included, still come."""
            now = time.monotonic()
            most, deadline = min(max_trials, study.space.size), now + (round_end - now) / heads
            runner.run_trials(context, study, most, deadline, partial(show_head, study.head))

        rounds, remaining, notes = _count_rounds(spaces), list[Study](), list[str]()
        for position, requested in enumerate(spaces):
            study = open_studies.enter_context(context.open_study(requested))
            reserved = _run_seconds(min(remaining, key=_rank)) if remaining else 0.0
            try:
                reserved = max(reserved, _admit(context, study, end, reserved))
            except EmbedOnceError as error:
                notes.append(f"{study.head} is left out: {error}")
                continue
            run_share(study, start + (end - reserved - start) / rounds, len(spaces) - position)
            remaining.append(study)
        if not remaining:
            raise CallError(f"No head can be tried in {seconds:g} s. {' '.join(notes)}")
        remaining.sort(key=_rank)
        ranked = list(remaining)
        # heads that were left out leave their time, and a round for it
        for rounds_left in range(max(_count_rounds(remaining) - 1, int(len(remaining) < len(spaces))), 0, -1):
            if len(remaining) > FINALISTS:
                remaining = remaining[: ceil(len(remaining) / 2)]
            now = time.monotonic()
            round_end = now + max(0.0, end - _run_seconds(remaining[0]) - now) / rounds_left
            for position, study in enumerate(remaining):
                run_share(study, round_end, len(remaining) - position)
            remaining.sort(key=_rank)
            ranked[: len(remaining)] = remaining
        results = [context.summarize(study, tuple(notes)) for study in ranked]
        for position, study in enumerate(remaining[:FINALISTS]):
            if position == 0 or time.monotonic() + _run_seconds(study) < end:
                show_head(study.head, results[position].trials, "fitting the best as a run")
                results[position] = runner.fit_best(context, results[position], study.space)
    return results


def _count_rounds(heads: Sequence[object]) -> int:
    return max(1, ceil(log2(len(heads))))


def _rank(study: Study) -> float:
    """Sorts the best head first, and one without a scored trial last."""
    best = best_score(study.trials)
    return inf if best is None else -best


def _admit(context: SweepContext, study: Study, end: float, reserved: float) -> float:
    """The expected seconds of a run of a head whose first trial fits into the time, together with a run.

    Args:
        context: the documents.
        study: of the head; one that has trials is always admitted.
        end: of the time, as of `time.monotonic`.
        reserved: seconds of a run of the best head so far.

    Raises:
        CallError: the time is too short.
        EmbedOnceError: the head refuses the documents.
    """
    if study.trials:
        return _run_seconds(study)
    space, left = study.space, end - time.monotonic()
    if left <= 0:
        raise CallError("the time was over before it was tried. Raise --time-budget for it.")
    trial = _predict_trial_seconds(context, space, left / (1 + space.plan.fits / space.scored_folds))
    run, left = _run_seconds(study, trial), end - time.monotonic()
    if trial + max(run, reserved) > left:
        raise CallError(
            f"one trial would take about {format_duration(trial)} and a run about {format_duration(run)}, of which "
            f"{format_duration(max(left, 0))} are left. Raise --time-budget for it."
        )
    return run


def _predict_trial_seconds(context: SweepContext, space: SearchSpace, most: float) -> float:
    """Predict the seconds of a trial by the line through the times of two fits on few documents.

    One fit is enough if a trial that takes the same time per document would take no more than `most` seconds. The first
    fit of a head also takes the time to import a library, which makes the line flatter; then the head is tried.
    """
    task, head = context.task, configure_head(space.make_head(space.defaults), context.task.target)
    weight = align_weights(space.plan.weights, task.train_ids)
    trial_documents, times, sizes = (1 - 1 / space.plan.fold_count) * len(task.train), list[float](), list[int]()
    smaller = round(min(max(LEAST_PROBE, PROBE_SHARE * trial_documents), MOST_PROBE))
    for rows in nested_subsets(task.target.strata, task.groups.tolist(), [smaller, 2 * smaller], space.plan.seed):
        start = time.monotonic()
        task.fit(clone(head), rows, weight)
        times.append(time.monotonic() - start)
        sizes.append(len(rows))
        upper = space.scored_folds * times[0] * max(1.0, trial_documents / sizes[0])
        if upper <= most:
            return upper
    slope = max(0.0, times[1] - times[0]) / max(1, sizes[1] - sizes[0])
    return space.scored_folds * (times[1] + slope * max(0.0, trial_documents - sizes[1]))


def _run_seconds(study: Study, trial: float = 0.0) -> float:
    """The expected seconds of a run of a head: one fit per fold and one more. trial: of one, if none was scored."""
    space = study.space
    trials = [each.seconds for each in study.trials if each.score is not None] or [trial]
    return space.plan.fits * max(trials) / space.scored_folds
