"""The file of a sweep's trials: an Optuna study in SQLite. No other module imports Optuna.

TPE proposes the trials (Watanabe 2023, arXiv 2304.11127), after the head's defaults; in a small search space each
combination is drawn at random, and once. A trial whose score at an epoch or fold is below the median of the finished
ones is pruned. Several processes may use one file at once. A process that is killed leaves a trial without a heartbeat;
another process, or the same command later, runs it again.
"""

import hashlib
import os
import random
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from data.atomic_write import create_atomically, make_folder
from data.errors import EmbedOnceError, ExtraMissing, StorageFailed
from heads.core.hyperparameters import Hyperparameter
from stages.sweep.result import SweepTrial
from stages.sweep.space import SearchSpace
from stages.sweep.trial_scoring import AFTER_EPOCHS, StepCallback

__all__ = ["Study"]

HEARTBEAT, GRACE_PERIOD = 5, 30  # seconds between heartbeats, and after the last one until a trial counts as stale
STARTUP_TRIALS, WARMUP_EPOCHS = 5, 3  # finished trials before any is pruned, and epochs before a trial is
LOCK_TIMEOUT = 60  # seconds that a process waits for another that writes
MIN_SCORED = 6  # scored trials below which importance says nothing
ENUMERABLE = 200  # combinations of a small search space, each of which is drawn at most once
REMEDIES = {  # by a part of SQLite's message
    "disk is full": "Make room",
    "readonly": "Make it writable",
    "unable to open": "Make it writable",
    "not a database": "Remove the file",
    "malformed": "Remove the file",
}
TAKEN_STATES = ("COMPLETE", "PRUNED", "RUNNING", "WAITING")  # of trials whose combination need not be tried again

ScoreFunction = Callable[[Mapping[str, Any], StepCallback], float]


class Study:
    """The trials of one search space in the file `path`, which is created if it is missing.

    Raises ExtraMissing without Optuna, StorageFailed for a file that cannot be read or written.
    """

    def __init__(self, path: Path, space: SearchSpace) -> None:
        self.path, self.space, self.head = path, space, space.plan.head.name
        self._optuna = _import_optuna()
        make_folder(path.parent)
        if not path.exists():
            self._create()
        with self._storage_errors():
            self._study = self._open(path)
        if self.space.defaults not in map(self._values, self._trials_in(*TAKEN_STATES)):  # their trial raised an error
            self._enqueue(self.space.defaults)

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *_: object) -> None:
        _close(self._study)

    @property
    def trials(self) -> tuple[SweepTrial, ...]:
        """The finished trials, in the order in which they were started."""
        return tuple(
            SweepTrial(
                number,
                {name: trial.params[name] for name in self.space.hyperparameters},
                trial.value if trial.state.name == "COMPLETE" else None,
                round(trial.duration.total_seconds(), 3),
                trial.user_attrs["process"],
            )
            for number, trial in enumerate(self._trials_in("COMPLETE", "PRUNED"), start=1)
        )

    @property
    def running_count(self) -> int:
        """How many trials some process runs now; stale ones are put back to be run again."""
        with self._storage_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            self._optuna.storages.fail_stale_trials(self._study)
        # a trial without a process stopped before its first heartbeat, and would count as running for ever
        return sum("process" in trial.user_attrs for trial in self._trials_in("RUNNING"))

    @property
    def importance(self) -> dict[str, float]:
        """The importance of each hyperparameter by PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255), largest first.

        Empty if too few trials were scored to tell.
        """
        scored = self._trials_in("COMPLETE")
        if len(scored) < MIN_SCORED or len({trial.value for trial in scored}) < 2:
            return {}
        varied = [name for name in self.space.hyperparameters if len({str(trial.params[name]) for trial in scored}) > 1]
        if not varied:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importances = self._optuna.importance.get_param_importances(self._study, params=varied)
        return {name: round(float(share), 4) for name, share in importances.items()}

    def run_trial(self, score: ScoreFunction) -> None:
        """Draw a combination of hyperparameters, score it and store the trial.

        A combination that was tried before is not scored again. If the head cannot be fitted with it, because memory
        runs out or the head refuses it, the trial counts as pruned. The error is raised instead for the defaults, and
        if it has another cause: a missing extra, a full disk. Ctrl-C puts the trial back.

        Args:
            score: gets the values and a callback for each step, and returns the score.

        Raises:
            EmbedOnceError: what `score` raises for the defaults, or whatever the values are.
        """

        def objective(trial: Any) -> float:
            trial.set_user_attr("process", f"{socket.gethostname()}-{os.getpid()}")
            values = {name: _suggest(trial, item) for name, item in self.space.hyperparameters.items()}
            for earlier in self._trials_in("COMPLETE", "PRUNED"):
                if earlier.params == trial.params:
                    return self._repeat(earlier)
            try:
                return score(values, lambda step, value: self._report(trial, step, value))
            except KeyboardInterrupt:
                self._retry(self._study, self._study.trials[trial.number])
                raise
            except (EmbedOnceError, MemoryError, RuntimeError) as error:
                if not _is_caused_by_values(error) or values == self.space.defaults:
                    raise
                trial.set_user_attr("refused", str(error))
                raise self._optuna.TrialPruned from error

        if self.space.size <= ENUMERABLE and not self._trials_in("WAITING"):
            self._enqueue_untried()
        with self._storage_errors():
            self._study.sampler = self._optuna.samplers.TPESampler(seed=self._next_seed())
            self._study.optimize(objective, n_trials=1)

    def _next_seed(self) -> int:
        """The seed of the next trial: a sweep that resumes does not draw again what it drew before."""
        put_back = {
            number for trial in self._trials_in(*TAKEN_STATES) for number in trial.system_attrs.get("retry_history", ())
        }
        failed = sum(trial.number not in put_back for trial in self._trials_in("FAIL"))
        started = len(self._trials_in("COMPLETE", "PRUNED", "RUNNING")) + failed
        return int(hashlib.sha256(f"{self.space.plan.seed} {started}".encode()).hexdigest()[:8], 16)

    def _enqueue_untried(self) -> None:
        """Make a random combination that no trial has the next one; nothing if all have been tried."""
        choices = {
            name: item.search.choices for name, item in self.space.hyperparameters.items() if item.search is not None
        }
        combinations = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
        tried = [self._values(trial) for trial in self._trials_in(*TAKEN_STATES)]
        untried = [values for values in combinations if values not in tried]
        if untried:
            self._enqueue(random.Random(self._next_seed()).choice(untried))

    def _enqueue(self, values: Mapping[str, Any]) -> None:
        with self._storage_errors():
            self._study.enqueue_trial(dict(values))

    def _values(self, trial: Any) -> dict[str, Any]:
        """The hyperparameters that a trial has, or will have once it is started."""
        return dict(trial.params or trial.system_attrs.get("fixed_params", {}))

    def _repeat(self, earlier: Any) -> float:
        if earlier.state.name == "PRUNED":
            raise self._optuna.TrialPruned
        return float(earlier.value)

    def _report(self, trial: Any, step: int, score: float) -> None:
        trial.report(score, step)
        if step < AFTER_EPOCHS:
            prune = trial.should_prune()
        else:  # Optuna's pruner would compare the best epoch with the folds of other trials
            steps = [other.intermediate_values for other in self._trials_in("COMPLETE")]
            others = [scores[step] for scores in steps if step in scores]
            prune = len(others) >= STARTUP_TRIALS and score < median(others)
        if prune:
            raise self._optuna.TrialPruned

    def _trials_in(self, *states: str) -> list[Any]:
        known = self._optuna.trial.TrialState
        with self._storage_errors():
            trials: list[Any] = self._study.get_trials(deepcopy=False, states=[known[state] for state in states])
        return trials

    def _create(self) -> None:
        """Create the file whole or not at all, so that of several processes that start together one creates it."""
        with create_atomically(self.path, next_step=" and sweep again.") as temporary, self._storage_errors():
            study = self._open(temporary)
            study.enqueue_trial(self.space.defaults)
            _close(study)

    def _open(self, path: Path) -> Any:
        from sqlalchemy import URL

        optuna = self._optuna
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
            storage = optuna.storages.RDBStorage(
                URL.create("sqlite", database=str(path)).render_as_string(),
                engine_kwargs={"connect_args": {"timeout": LOCK_TIMEOUT}},
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE_PERIOD,
                heartbeat_stale_trial_callback=self._retry,
            )
        return optuna.create_study(
            storage=storage,
            study_name=self.head,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, WARMUP_EPOCHS),
        )

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        """Raise StorageFailed for errors of SQLite."""
        from sqlalchemy.exc import DBAPIError

        try:
            yield
        except (DBAPIError, self._optuna.exceptions.StorageInternalError) as error:
            cause = str(error.__cause__ or error).partition("\n")[0]
            remedy = next((text for part, text in REMEDIES.items() if part in cause), "Make room, or remove the file")
            raise StorageFailed(
                f"{self.path} cannot be read or written ({cause}). {remedy} and sweep again."
            ) from error


def _is_caused_by_values(error: Exception) -> bool:
    """Whether other values of the hyperparameters may succeed."""
    if isinstance(error, EmbedOnceError):
        return not isinstance(error, ExtraMissing | StorageFailed)
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's, on a GPU


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ExtraMissing("A sweep needs Optuna, which is missing: pip install 'embedonce[sweep]'.") from error
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna


def _close(study: Any) -> None:
    study._storage.remove_session()
    backend = getattr(study._storage, "_backend", study._storage)
    backend.engine.dispose()


def _suggest(trial: Any, hyperparameter: Hyperparameter) -> Any:
    search = hyperparameter.search
    assert search is not None
    if search.low is None or search.high is None:
        return trial.suggest_categorical(hyperparameter.name, list(search.choices))
    if hyperparameter.whole:
        return trial.suggest_int(hyperparameter.name, int(search.low), int(search.high), log=search.log)
    return trial.suggest_float(hyperparameter.name, search.low, search.high, log=search.log)
