"""The fits of a run: one without each fold, and one on the whole training split; several in parallel if that is faster.

No fit depends on another, and a second thread speeds up a small head very little. So each fit may have its own process
(started by joblib) with its share of the cores. It receives the training documents without the test split: the
locations of their vectors, and large arrays through a file that joblib maps into all processes.
"""

import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from pickle import PicklingError

import joblib
import numpy as np
from joblib.externals.loky.process_executor import TerminatedWorkerError
from numpy.typing import NDArray
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from data.errors import EmbedOnceError
from data.ranges import MAX_COUNT, check_whole_number
from featurestore import CorpusTable, FeatureSource, share_memory
from heads.core.head import Head
from heads.registry import STACKING_HEADS
from stages.fitting.diagnostics import ViewUse, draw_sample
from stages.fitting.fit_checkpoint import FitCheckpoint
from stages.fitting.labeled_bags import LabeledBags
from stages.fitting.plan import FitPlan, configure_head, load_planned_task
from stages.fitting.sample_weights import align_weights
from stages.fitting.stacking_inputs import build_stacking_task
from stages.fitting.task import Task

__all__ = [
    "CrossFitResult",
    "FitJob",
    "FitProgress",
    "FitProgressCallback",
    "Jobs",
    "cross_fit",
    "prepare_task",
    "resolve_jobs",
]

WHOLE = "fitting on the whole training split"
# with fewer training documents, fits run one at a time until the remaining ones are expected to take more seconds than
# starting processes
PARALLEL_MIN_DOCUMENTS = 2_000
PARALLEL_MIN_SECONDS = 10.0


@dataclass(frozen=True)
class FitProgress:
    """How far a fit is: `step` of `steps` are done, and what it does now."""

    head: str
    step: int
    steps: int
    activity: str


FitProgressCallback = Callable[[FitProgress], None]


@dataclass(frozen=True)
class FitJob:
    """A run to be made.

    plan: as returned by `prepare_task`. run_folder: where the run will be.
    """

    store: FeatureSource
    table: CorpusTable
    plan: FitPlan
    run_folder: Path


@dataclass(frozen=True, eq=False)
class CrossFitResult:
    """The result of all fits of a run.

    rows: int64, the training documents that have scores: all that no encoder saw, or those of the validation split.
    scores: float32 (rows, labels), of each of these documents by a head that saw neither it nor its group; -inf in the
        columns of labels that this head never saw.
    head: the head fitted on the whole training split, or on all of it but the validation split.
    seconds: how long that last fit took.
    fold_of: int32 (rows,), the fold of each of these documents; None without folds.
    views: what each view contributes to the predictions of the first fold.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    head: Head
    seconds: float
    fold_of: NDArray[np.int32] | None = None
    views: ViewUse = field(default_factory=ViewUse)


@dataclass(frozen=True, eq=False)
class RunFits:
    """What a process needs to make any fit of a run.

    head: configured, not fitted.
    fold_of: int32 (training documents,), -1 for a document that is never scored.
    sample_weight: float64 (training documents,), or None.
    run_folder: where the run will be; finished folds are saved next to it.
    start: the head fitted on all documents, from whose solution the fits of folds start; None starts them anew.
    """

    head: Head
    documents: LabeledBags
    fold_of: NDArray[np.int32]
    sample_weight: NDArray[np.float64] | None
    run_folder: Path
    start: Head | None = None

    @classmethod
    def of(cls, job: FitJob, task: Task) -> "RunFits":
        """The fits of a run that is validated on folds."""
        weight = align_weights(job.plan.weights, task.train_ids)
        fold_of = job.plan.assign_folds(task)
        return cls(job.plan.head, task.labeled_bags(), fold_of, weight, job.run_folder)


@dataclass(frozen=True, eq=False)
class _FitResult:
    """One fit. fold: the held-out fold, None for the whole training split. result: its scores, or the fitted head.

    views: what each view contributes, of the first fold.
    """

    fold: int | None
    result: NDArray[np.float32] | Head
    seconds: float
    views: ViewUse = field(default_factory=ViewUse)


def prepare_task(store: FeatureSource, table: CorpusTable, plan: FitPlan, folder: Path) -> tuple[Task, FitPlan]:
    """Load the documents as the plan's head reads them, and complete the plan.

    Args:
        store: the features.
        table: the corpus.
        plan: what to fit.
        folder: the folder of the runs.

    Returns:
        The task; and the plan with a configured head, the names of its base runs and the folds of the encoder.

    Raises:
        EmbedOnceError: what `load_planned_task`, `build_stacking_task` and `configure_head` raise.
    """
    task = load_planned_task(store, table, plan)
    plan = plan.for_task(task)
    if plan.head.name in STACKING_HEADS:
        task = build_stacking_task(task, plan, store, folder)
        plan = replace(plan, base_runs=[run.name for run in task.base_runs])
    return task, replace(plan, head=configure_head(plan.head, task.target))


@dataclass(frozen=True)
class Jobs:
    """The number of parallel fits, one process each; 1 fits in this process.

    min_seconds: fits run one at a time, in this process and with one job's share of the cores, until the remaining ones
    are expected to take so long; 0 for parallel fits from the start.
    """

    count: int
    min_seconds: float = 0.0

    def are_faster(self, seconds: Sequence[float], left: int) -> bool:
        """Whether processes are worth their start. seconds: of each fit until now. left: the number of other fits."""
        if self.count == 1 or left == 1:
            return False
        if self.min_seconds == 0:
            return True
        # the first fit also imports libraries
        return len(seconds) > 1 and seconds[-1] * left >= self.min_seconds


def resolve_jobs(plan: FitPlan, task: Task, jobs: int | None) -> Jobs:
    """As many parallel fits as `jobs` says, else one per usable thread, or 1 if that is not faster.

    It is not faster on a GPU, which serves one fit at a time, and for a stacking ensemble, which is fitted before a
    process has started. With few documents, the first two fits show whether it is. Raises CallError for fewer than one.
    """
    if jobs is not None:
        check_whole_number("jobs", jobs, 1, MAX_COUNT)
        return Jobs(min(jobs, plan.fits))
    if task.base_runs or _uses_gpu(plan.head):
        return Jobs(1)
    has_few = len(task.train) < PARALLEL_MIN_DOCUMENTS
    return Jobs(min(_thread_count(), plan.fits), PARALLEL_MIN_SECONDS if has_few else 0.0)


def cross_fit(job: FitJob, task: Task, jobs: Jobs, on_progress: FitProgressCallback) -> CrossFitResult:
    """Make every fit of a run, except those that a checkpoint has.

    Args:
        job: the run.
        task: the documents of `job`.
        jobs: the number of parallel fits.
        on_progress: called before each fit.

    Returns:
        The scores of training documents that a head was not fitted on, and the head of the run.

    Raises:
        EmbedOnceError: if a process was killed or could not be started; and what a fit raises.
    """
    if job.plan.validate_on == "split":
        return _fit_without_validation(job, task, on_progress)
    fits = RunFits.of(job, task)
    scores, open_folds = _load_finished_folds(fits)
    head, seconds, steps = fits.head, 0.0, job.plan.fits + 1
    views = FitCheckpoint(fits.run_folder).load_views()

    def show(left: int, activity: str) -> None:
        on_progress(FitProgress(fits.head.name, job.plan.fits - left, steps, activity))

    with _ignore_worker_restarts():
        for fit in _fit_missing(fits, open_folds, jobs, show):
            if isinstance(fit.result, Head):
                head, seconds = fit.result, fit.seconds
            else:
                scores[fits.fold_of == fit.fold] = fit.result
                views = fit.views if fit.views.alone else views
    rows = np.flatnonzero(fits.fold_of >= 0)
    return CrossFitResult(rows, scores[rows], head, seconds, fits.fold_of[rows], views)


def _load_finished_folds(fits: RunFits) -> tuple[NDArray[np.float32], list[int]]:
    """The scores of training documents, -inf where a fold is not finished, and the folds that are not."""
    checkpoint, fold_of, labels = FitCheckpoint(fits.run_folder), fits.fold_of, len(fits.documents.labels)
    scores, open_folds = np.full((len(fold_of), labels), -np.inf, dtype=np.float32), []
    for fold in np.unique(fold_of[fold_of >= 0]).tolist():
        rows = np.flatnonzero(fold_of == fold)
        saved = checkpoint.load_scores(fold, (len(rows), labels))
        if saved is None:
            open_folds.append(fold)
        else:
            scores[rows] = saved
    return scores, open_folds


def _fit_without_validation(job: FitJob, task: Task, on_progress: FitProgressCallback) -> CrossFitResult:
    """The only fit of a run that is validated on the validation split."""
    name, start = job.plan.head.name, time.perf_counter()
    on_progress(FitProgress(name, 0, 2, "fitting on the training split without the validation split"))
    rows, validation = np.flatnonzero(~task.is_validation), np.flatnonzero(task.is_validation)
    head = FitCheckpoint(job.run_folder).attach(clone(job.plan.head))
    head = task.fit(head, rows, align_weights(job.plan.weights, task.train_ids), validation)
    seconds = time.perf_counter() - start
    return CrossFitResult(validation, task.scores(head, validation), head, seconds)


_Show = Callable[[int, str], None]  # called with the number of fits that are left


def _fit_missing(fits: RunFits, open_folds: Sequence[int], jobs: Jobs, show: _Show) -> Iterator[_FitResult]:
    """Fit the open folds and the whole training split, that one first if folds can start from its solution."""
    if not hasattr(fits.head, "warm_start_from"):
        yield from _fit_all(fits, [*open_folds, None], jobs, show)
        return
    checkpoint = FitCheckpoint(fits.run_folder)
    head, seconds = checkpoint.load_head(type(fits.head)), 0.0
    if head is None:
        show(len(open_folds) + 1, WHOLE)
        start = time.perf_counter()
        head = _fit_head(fits, None)
        seconds = time.perf_counter() - start
        checkpoint.save_head(head)
    yield _FitResult(None, head, seconds)
    yield from _fit_all(replace(fits, start=head), open_folds, jobs, show)


def _fit_all(fits: RunFits, folds: Sequence[int | None], jobs: Jobs, show: _Show) -> Iterator[_FitResult]:
    """Fit without each of `folds`, None for the whole training split: here, or in processes of their own."""
    number, left = fits.fold_of.max() + 1, list(folds)
    share = max(_thread_count() // jobs.count, 1) if jobs.count > 1 else None
    seconds: list[float] = []
    while left and not jobs.are_faster(seconds, len(left)):
        fold = left.pop(0)
        show(len(left) + 1, WHOLE if fold is None else f"fold {fold + 1} of {number}")
        with threadpool_limits(share):
            fit = fit_one(fits, fold)
        seconds.append(fit.seconds)
        yield fit
    if left:
        yield from _fit_in_parallel(fits, left, jobs.count, show)


def _fit_in_parallel(fits: RunFits, folds: Sequence[int | None], jobs: int, show: _Show) -> Iterator[_FitResult]:
    jobs = min(jobs, len(folds))
    activity = f"{jobs} fits in parallel, one process per fit"
    show(len(folds), activity)
    run = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    results = run(joblib.delayed(_fit_in_process)(fits, fold, jobs) for fold in folds)
    try:
        for done, result in enumerate(results, 1):
            show(len(folds) - done, activity)
            yield result
    except (BrokenProcessPool, PicklingError) as error:
        killed = isinstance(error, TerminatedWorkerError)
        cause = "was killed, most likely because memory ran out" if killed else f"could not be started ({error})"
        raise EmbedOnceError(
            f"A process that fits {fits.head.name} {cause}. Run the same command again: finished folds are kept. "
            "`fit-head --jobs 1` fits one at a time."
        ) from error
    finally:
        with warnings.catch_warnings(action="ignore"):  # joblib warns that some results were not waited for
            results.close()
        FitCheckpoint(fits.run_folder).remove_temporary_files()  # of processes that were killed


@contextmanager
def _ignore_worker_restarts() -> Iterator[None]:
    """Hide the warning of loky that it replaces a worker process, which loses no fit.

    joblib keeps its processes from one head to the next. A process that uses 300 MB more after a fit than after its
    first one (it has imported torch for the second head) ends itself, and loky starts another one for the fits that
    wait. A process that is killed raises TerminatedWorkerError instead.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor", UserWarning)
        yield


def _fit_in_process(fits: RunFits, fold: int | None, jobs: int) -> _FitResult:
    """One fit in a process of its own, one of `jobs`."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach every process, and the waiting one ends the others
        signal.signal(number, signal.SIG_IGN)
    share_memory(jobs)
    return fit_one(fits, fold)


def fit_one(fits: RunFits, fold: int | None) -> _FitResult:
    """A head fitted on all training documents; or the scores of a fold by a head fitted on the others, also saved."""
    start = time.perf_counter()
    if fold is None:
        return _FitResult(None, _fit_head(fits, None), time.perf_counter() - start)
    head, rows, checkpoint = _fit_head(fits, fold), np.flatnonzero(fits.fold_of == fold), FitCheckpoint(fits.run_folder)
    scores, views = fits.documents.scores(head, rows, fold), ViewUse()
    if fold == 0:
        sample, seed = draw_sample(rows, fits.head.seed), fits.head.seed
        views = ViewUse.measure(head, fits.documents.features(fold)[sample], fits.documents.target[sample], seed)
        checkpoint.save_views(views)
    checkpoint.save_scores(fold, scores)
    return _FitResult(fold, scores, time.perf_counter() - start, views)


def _fit_head(fits: RunFits, fold: int | None) -> Head:
    rows = np.arange(len(fits.documents.train)) if fold is None else np.flatnonzero(fits.fold_of != fold)
    head = FitCheckpoint(fits.run_folder).attach(clone(fits.head))
    if fits.start is not None:
        head.warm_start_from = fits.start
    return fits.documents.fit(head, rows, fits.sample_weight, fold=fold)


def _uses_gpu(head: Head) -> bool:
    """Whether the head computes on a device of which there is one; its defaults are explicit."""
    devices = [value for name, value in head.get_params().items() if name.rpartition("__")[2] == "device"]
    if not devices:
        return False
    from heads.training.loop import find_device

    return any(find_device(device).type != "cpu" for device in devices)


def _thread_count() -> int:
    """The cores that this process may use, or fewer if OMP_NUM_THREADS says so."""
    limit, cores = os.environ.get("OMP_NUM_THREADS", "").split(",")[0], int(joblib.cpu_count())
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores
