"""The fits of a run: one without each fold, and one on the whole training split; several at once where that pays.

No fit waits for another, and a second thread brings a small head next to nothing, so each may have a process of its
own (by joblib) with its share of the cores. A process reads the documents itself: a task, which holds the test split,
is neither copied nor pickled.
"""

import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import PicklingError

import joblib
import numpy as np
from joblib.externals.loky.process_executor import TerminatedWorkerError
from numpy.typing import NDArray
from sklearn.base import clone

from data.errors import EmbedOnceError
from featurestore import CorpusTable, FeatureSource, share_memory
from heads.core.head import Head
from heads.evaluation.score_matrix import align_scores
from heads.registry import STACKING_HEADS
from stages.fitting.fit_checkpoint import FitCheckpoint
from stages.fitting.plan import FitPlan, configure_head
from stages.fitting.sample_weights import align_weights
from stages.fitting.stacking_inputs import build_stacking_task
from stages.fitting.task import Task, load_task, resolve_layer

__all__ = ["CrossFitResult", "FitJob", "FitProgress", "Report", "cross_fit", "prepare_task", "resolve_jobs"]

PARALLEL_MIN_DOCUMENTS = 2_000  # training documents: below, fits take less time than processes to start


@dataclass(frozen=True)
class FitProgress:
    """Where a fit stands: `step` of `steps` is done, and what comes next."""

    head: str
    step: int
    steps: int
    activity: str


Report = Callable[[FitProgress], None]


@dataclass(frozen=True)
class FitJob:
    """What a process must know to make any fit of a run. plan: as `prepare_task` gives it; place: the run's folder."""

    store: FeatureSource
    table: CorpusTable
    plan: FitPlan
    place: Path


@dataclass(frozen=True, eq=False)
class CrossFitResult:
    """What the fits gave.

    scores: float32 (documents, labels) of each training document by a head that never saw it nor its group, -inf in the
    columns of labels that this head never saw. head: fitted on all of them, which took `seconds`.
    """

    scores: NDArray[np.float32]
    head: Head
    seconds: float


def prepare_task(store: FeatureSource, table: CorpusTable, plan: FitPlan, folder: Path) -> tuple[Task, FitPlan]:
    """The documents as the plan's head reads them, and the plan with a head that suits them and the names of its runs.

    folder: where runs are. Raises as `task`, `build_stacking_task` and `configure_head` do.
    """
    skip = plan.skip_unlabelled
    found = load_task(store, table, layer=resolve_layer(plan.head, plan.layer), skip_unlabelled=skip, order=plan.order)
    if plan.head.name in STACKING_HEADS:
        found = build_stacking_task(found, plan, store, folder)
        plan = replace(plan, runs=[run.name for run in found.base_runs])
    return found, replace(plan, head=configure_head(plan.head, found.target))


def resolve_jobs(plan: FitPlan, found: Task, asked: int | None) -> int:
    """How many fits to make at once: as many as asked; else as many as threads may run here, 1 where that is no gain.

    A card serves one fit at a time; few documents, or the scores of runs, are learned before a process has started.
    """
    fits = plan.folds + 1
    if asked is not None:
        return min(asked, fits)
    if len(found.train) < PARALLEL_MIN_DOCUMENTS or found.base_runs or _on_a_card(plan.head):
        return 1
    return min(_threads(), fits)


def cross_fit(work: FitJob, found: Task, jobs: int, tell: Report) -> CrossFitResult:
    """Every fit of `work`, so many at once; folds whose scores are kept from a start before are not fitted again.

    found: the documents of `work`. Raises what a fit raises, and EmbedOnceError where a process was killed.
    """
    part, plan, unfinished = work.plan.assign_folds(found), work.plan, FitCheckpoint(work.place)
    scores = np.full((len(found.train), len(found.labels)), -np.inf, dtype=np.float32)
    left: list[int | None] = []
    for fold in np.unique(part).tolist():
        rows = np.flatnonzero(part == fold)
        known = unfinished.scores(fold, (len(rows), len(found.labels)))
        if known is None:
            left.append(fold)
        else:
            scores[rows] = known

    def said(done: int, activity: str) -> None:
        tell(FitProgress(plan.head.name, plan.folds + 1 - len(left) + done, plan.folds + 2, activity))

    left.append(None)
    one_by_one = jobs == 1 or len(left) == 1
    made = _one_by_one(work, found, part, left, said) if one_by_one else _at_once(work, left, jobs, said)
    head, seconds = plan.head, 0.0
    for fold, result, took in made:
        if isinstance(result, Head):
            head, seconds = result, took
        else:
            scores[part == fold] = result
    return CrossFitResult(scores, head, seconds)


Made = tuple[int | None, NDArray[np.float32] | Head, float]  # fold, what came of it, seconds
Said = Callable[[int, str], None]


def _one_by_one(
    work: FitJob, found: Task, part: NDArray[np.int8], left: Sequence[int | None], said: Said
) -> Iterator[Made]:
    for done, fold in enumerate(left):
        whole = "fitting on the whole training split"
        said(done, whole if fold is None else f"fold {fold + 1} of {work.plan.folds}")
        yield _fit(work, found, part, fold)


def _at_once(work: FitJob, left: Sequence[int | None], jobs: int, said: Said) -> Iterator[Made]:
    jobs = min(jobs, len(left))
    activity = f"{jobs} fits at once, a process each"
    said(0, activity)
    run = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    results = run(joblib.delayed(_elsewhere)(work, fold, jobs) for fold in left)
    try:
        for done, made in enumerate(results, 1):
            said(done, activity)
            yield made
    except (BrokenProcessPool, PicklingError) as error:
        killed = isinstance(error, TerminatedWorkerError)
        cause = "was killed, most likely because memory ran out" if killed else f"could not be begun ({error})"
        raise EmbedOnceError(
            f"A process that fits {work.plan.head.name} {cause}. Run the same command with --jobs 1: folds that were "
            "finished are kept."
        ) from error
    finally:
        with warnings.catch_warnings(action="ignore"):  # that results were not waited for
            results.close()


def _elsewhere(work: FitJob, fold: int | None, jobs: int) -> Made:
    """In a process of its own, one of `jobs`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the one that waits ends the others
    share_memory(jobs)
    found, _ = prepare_task(work.store, work.table, work.plan, work.place.parent)
    return _fit(work, found, work.plan.assign_folds(found), fold)


def _fit(work: FitJob, found: Task, part: NDArray[np.int8], fold: int | None) -> Made:
    """A head fitted on all documents; of one fitted without a fold the scores of that, which are kept."""
    plan, unfinished, begun = work.plan, FitCheckpoint(work.place), time.perf_counter()
    rows = np.arange(len(found.train)) if fold is None else np.flatnonzero(part != fold)
    weight = align_weights(plan.weights, found.train_ids)
    head = unfinished.watched(clone(plan.head))
    head = head.fit(
        found.train[rows], found.target.names[rows], None if weight is None else weight[rows], found.groups[rows]
    )
    if fold is None:
        return None, head, time.perf_counter() - begun
    scores = align_scores(head.decision_function(found.train[part == fold]), head.classes_, found.labels)
    unfinished.keep(fold, scores)
    return fold, scores, time.perf_counter() - begun


def _on_a_card(head: Head) -> bool:
    """Whether what this head computes would be on a device of which there is one; its defaults are spelled out."""
    devices = [value for name, value in head.get_params().items() if name.rpartition("__")[2] == "device"]
    if not devices:
        return False
    from heads.training.loop import Training

    return any(Training(device=each).place().type != "cpu" for each in devices)


def _threads() -> int:
    """How many threads may run: the cores that this process may use, or fewer where OMP_NUM_THREADS says so."""
    asked, cores = os.environ.get("OMP_NUM_THREADS", "").split(",")[0], int(joblib.cpu_count())
    return min(cores, int(asked)) if asked.isdecimal() and int(asked) else cores
