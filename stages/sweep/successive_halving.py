"""A time spent on several heads: the better half of them goes on, until the best is left."""

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
from stages.sweep.result import SweepResult, SweepTrial
from stages.sweep.search import Report, SweepContext, SweepProgress, best_score, make_trials, seconds_of
from stages.sweep.space import SearchSpace
from stages.sweep.study import Study

__all__ = ["parse_duration", "sweep_all"]

FINALISTS = 2  # heads of the last round, which leave runs; the second one where time allows
TOO_LONG = 0.25  # share of all the time that one trial of a head may take
PROBED = 500  # documents by which a trial's time is foretold
KEPT = 0.2  # share of all the time that is kept for runs until it is known what these take


def parse_duration(text: str) -> float:
    """ "90s", "10m" or "1.5h" in seconds. Raises CallError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if not found or not float(found[1]):
        raise CallError(f"--time-budget is '{text}': write a time such as 90s, 10m or 1.5h.")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def sweep_all(
    store: FeatureSource,
    table: CorpusTable,
    spaces: Sequence[SearchSpace],
    folder: Path,
    *,
    seconds: float,
    most: float = inf,
    command: str = "",
    report: Report | None = None,
) -> list[SweepResult]:
    """Spend `seconds` on several heads by successive halving, and fit the best one or two as runs; best head first.

    Each head gets an equal share of a round's time and at least one trial, `most` in all; the better half goes on to
    the next round, which has as much time for fewer heads (Jamieson & Talwalkar 2016, arXiv 1502.07943, with trials for
    the pulls of an arm). A head one trial of which would take more than a quarter of all the time is left out and said
    so. Time for the best head's run is kept. A trial that was begun is finished, so a small time may be overrun.

    Raises CallError where no head can be tried.
    """
    begun, tell = time.monotonic(), report or (lambda _: None)
    bench = SweepContext.of(store, table, spaces[0], folder, command)
    end = begun + seconds

    def told(head: str, made: Sequence[SweepTrial], activity: str) -> None:
        tell(SweepProgress(head, min(time.monotonic() - begun, seconds), seconds, best_score(made), activity))

    with ExitStack() as open_studies:
        studies, notes = _tried(bench, spaces, seconds, open_studies)
        if not studies:
            raise CallError(f"No head can be tried in {seconds:g} s. {' '.join(notes)}")
        alive, ranked = list(studies), list(studies)
        for left in range(max(1, ceil(log2(len(studies)))), 0, -1):
            now = time.monotonic()
            close = now + max(0.0, end - _run_seconds(alive, seconds) - now) / left
            for place, study in enumerate(alive):
                now = time.monotonic()
                until = now + (close - now) / (len(alive) - place)
                make_trials(bench, study, min(most, study.space.size), until, partial(told, study.head))
            alive.sort(key=lambda study: -(best_score(study.trials) or 0))
            ranked[: len(alive)] = alive
            if len(alive) > FINALISTS:
                alive = alive[: ceil(len(alive) / 2)]
        outcomes = [bench.outcome(study, notes) for study in ranked]
        for place, study in enumerate(alive[:FINALISTS]):
            if place == 0 or time.monotonic() + _run_seconds([study], seconds) < end:
                told(study.head, outcomes[place].trials, "the best as a run")
                outcomes[place] = bench.fit_best(outcomes[place], study.space)
    return outcomes


def _tried(
    bench: SweepContext, spaces: Sequence[SearchSpace], seconds: float, open_studies: ExitStack
) -> tuple[list[Study], tuple[str, ...]]:
    """The studies of the heads that there is time for, opened, and a sentence for each other head."""
    studies, notes = [], []
    for space in spaces:
        name = space.plan.head.name
        study = open_studies.enter_context(bench.study(space))
        try:
            one = seconds_of(study.trials) if study.trials else _probed(bench, space, TOO_LONG * seconds)
        except EmbedOnceError as error:
            notes.append(f"{name} is left out: {error}")
            continue
        if one > TOO_LONG * seconds:
            notes.append(f"{name} is left out: one trial would take about {one:.0f} s. Raise --time-budget for it.")
            continue
        studies.append(study)
    return studies, tuple(notes)


def _probed(bench: SweepContext, space: SearchSpace, limit: float) -> float:
    """Seconds that a trial is likely to take: two fits on few documents, and the line through them.

    One fit is enough where as much time a document would keep within `limit`.

    What the first fit of a head takes beside, to load a library, makes the line flatter, and the head is tried.
    """
    found, head = bench.found, configure_head(space.head(space.defaults), bench.found.target)
    fitted, took, sizes = (1 - 1 / space.plan.folds) * len(found.train), [], []
    for rows in nested_subsets(found.target.y, found.groups.tolist(), [PROBED // 2, PROBED], space.plan.seed):
        begun = time.monotonic()
        clone(head).fit(found.train[rows], found.target.names[rows], groups=found.groups[rows])
        took.append(time.monotonic() - begun)
        sizes.append(len(rows))
        if (most := space.scored_folds * took[0] * max(1.0, fitted / sizes[0])) <= limit:
            return most
    slope = max(0.0, took[1] - took[0]) / max(1, sizes[1] - sizes[0])
    return space.scored_folds * (took[1] + slope * max(0.0, fitted - sizes[1]))


def _run_seconds(ranked: Sequence[Study], seconds: float) -> float:
    """What the run of the first of `ranked` is likely to take: a fit for each fold and one more."""
    plan, trials = ranked[0].space.plan, ranked[0].trials
    fits = [each.seconds / ranked[0].space.scored_folds for each in trials if each.score is not None]
    return (plan.folds + 1) * max(fits) if fits else KEPT * seconds
