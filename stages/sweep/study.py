"""The file that a sweep's trials are kept in: an SQLite study of Optuna's, the one place where Optuna is imported.

Trials are drawn by TPE (Watanabe 2023, arXiv 2304.11127), the head's defaults first; where there are few settings in
all, each at random and once. A trial that is below the median of the finished ones at its epoch or fold is given up.
Several processes may work on one file at once. One that is killed leaves a trial without a heartbeat, which another
process, or the same command later, takes up again.
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
from stages.sweep.trial_scoring import AFTER_EPOCHS

__all__ = ["Study"]

BEAT, GRACE = 5, 30  # seconds between two heartbeats, and after the last one until a trial counts as left
PATIENCE_TRIALS, PATIENCE_EPOCHS = 5, 3  # finished trials before any is given up, and epochs before that one is
LOCKED = 60  # seconds that a process waits for another that writes
FEWEST = 6  # scored trials before importance says anything
COUNTABLE = 200  # settings in all, of which none is drawn twice
ONCE = ("COMPLETE", "PRUNED", "RUNNING", "WAITING")  # states of trials whose setting need not be tried again

Score = Callable[[Mapping[str, Any], Callable[[int, float], None]], float]


class Study:
    """The trials of one space in the file `path`, made if it is not there.

    Raises ExtraMissing without Optuna, StorageFailed for a file that cannot be read or written.
    """

    def __init__(self, path: Path, space: SearchSpace) -> None:
        self.path, self.space, self.head = path, space, space.plan.head.name
        self._optuna = _optuna()
        make_folder(path.parent)
        if not path.exists():
            self._make()
        with self._told():
            self._study = self._open(path)
        if self.space.defaults not in map(self._values, self._in(*ONCE)):  # the trial of them ended with an error
            self._queue(self.space.defaults)

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *_: object) -> None:
        _close(self._study)

    @property
    def trials(self) -> tuple[SweepTrial, ...]:
        """The finished ones, in the order in which they were begun."""
        return tuple(
            SweepTrial(
                number,
                {name: each.params[name] for name in self.space.searched},
                each.value if each.state.name == "COMPLETE" else None,
                round(each.duration.total_seconds(), 3),
                each.user_attrs["process"],
            )
            for number, each in enumerate(self._in("COMPLETE", "PRUNED"), start=1)
        )

    @property
    def running_count(self) -> int:
        """How many trials some process is at; those that a dead one left are put back to be made again."""
        with self._told(), warnings.catch_warnings():
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            self._optuna.storages.fail_stale_trials(self._study)
        # one without a process was left before its heart beat once, and would seem to run for ever
        return sum("process" in each.user_attrs for each in self._in("RUNNING"))

    @property
    def importance(self) -> dict[str, float]:
        """Each parameter's share in what made trials good, the largest first, by PED-ANOVA (Watanabe et al. 2023,
        arXiv 2304.10255); empty where too few trials were scored to tell."""
        scored = self._in("COMPLETE")
        if len(scored) < FEWEST or len({each.value for each in scored}) < 2:
            return {}
        varied = [name for name in self.space.searched if len({str(each.params[name]) for each in scored}) > 1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self._optuna.importance.get_param_importances(self._study, params=varied) if varied else {}
        return {name: round(float(share), 4) for name, share in found.items()}

    def run_trial(self, score: Score) -> None:
        """Draw a trial, score it and keep it; `score` takes values, and whom to tell of each step.

        A setting that was tried before is not scored again. One with which the head cannot be fitted, because memory is
        short or it is refused, is kept as bad, unless it is the defaults or the fault is elsewhere: an extra that is
        missing, a disk that is full. Ctrl-C puts the trial back.
        """

        def objective(trial: Any) -> float:
            trial.set_user_attr("process", f"{socket.gethostname()}-{os.getpid()}")
            values = {name: _drawn(trial, each) for name, each in self.space.searched.items()}
            for each in self._in("COMPLETE", "PRUNED"):
                if each.params == trial.params:
                    return self._again(each)
            try:
                return score(values, lambda step, metric: self._reached(trial, step, metric))
            except KeyboardInterrupt:
                self._retry(self._study, self._study.trials[trial.number])
                raise
            except (EmbedOnceError, MemoryError, RuntimeError) as error:
                if not _of_the_setting(error) or values == self.space.defaults:
                    raise
                trial.set_user_attr("refused", str(error))
                raise self._optuna.TrialPruned from error

        if self.space.size <= COUNTABLE and not self._in("WAITING"):
            self._queue_another()
        with self._told():
            self._study.sampler = self._optuna.samplers.TPESampler(seed=self._seed())
            self._study.optimize(objective, n_trials=1)

    def _seed(self) -> int:
        """Of the next trial: a sweep that goes on draws none again that it drew before it was interrupted."""
        put_back = {number for each in self._in(*ONCE) for number in each.system_attrs.get("retry_history", ())}
        failed = sum(each.number not in put_back for each in self._in("FAIL"))
        begun = len(self._in("COMPLETE", "PRUNED", "RUNNING")) + failed
        return int(hashlib.sha256(f"{self.space.plan.seed} {begun}".encode()).hexdigest()[:8], 16)

    def _queue_another(self) -> None:
        """Of few settings one that no trial has, to be the next; nothing where all have been tried."""
        drawn = {name: each.search.choices for name, each in self.space.searched.items() if each.search is not None}
        every = [dict(zip(drawn, each, strict=True)) for each in product(*drawn.values())]
        tried = [self._values(each) for each in self._in(*ONCE)]
        left = [values for values in every if values not in tried]
        if left:
            self._queue(random.Random(self._seed()).choice(left))

    def _queue(self, values: Mapping[str, Any]) -> None:
        with self._told():
            self._study.enqueue_trial(dict(values))

    def _values(self, trial: Any) -> dict[str, Any]:
        """What a trial has, or will have when its turn comes."""
        return dict(trial.params or trial.system_attrs.get("fixed_params", {}))

    def _again(self, before: Any) -> float:
        if before.state.name == "PRUNED":
            raise self._optuna.TrialPruned
        return float(before.value)

    def _reached(self, trial: Any, step: int, metric: float) -> None:
        trial.report(metric, step)
        if step < AFTER_EPOCHS:
            worse = trial.should_prune()
        else:  # the pruner would hold the best epoch against others' folds
            steps = [each.intermediate_values for each in self._in("COMPLETE")]
            others = [values[step] for values in steps if step in values]
            worse = len(others) >= PATIENCE_TRIALS and metric < median(others)
        if worse:
            raise self._optuna.TrialPruned

    def _in(self, *states: str) -> list[Any]:
        known = self._optuna.trial.TrialState
        with self._told():
            found: list[Any] = self._study.get_trials(deepcopy=False, states=[known[state] for state in states])
        return found

    def _make(self) -> None:
        """A whole file or none, so that of several processes that begin together one makes it."""
        with create_atomically(self.path, next_step="Make room.") as temporary, self._told():
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
                engine_kwargs={"connect_args": {"timeout": LOCKED}},
                heartbeat_interval=BEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=self._retry,
            )
        return optuna.create_study(
            storage=storage,
            study_name=self.head,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(PATIENCE_TRIALS, PATIENCE_EPOCHS),
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors as a sentence."""
        from sqlalchemy.exc import DBAPIError

        try:
            yield
        except (DBAPIError, self._optuna.exceptions.StorageInternalError) as error:
            cause = str(error.__cause__ or error).partition("\n")[0]
            raise StorageFailed(
                f"{self.path} cannot be read or written ({cause}). Make room, or remove the file and sweep again."
            ) from error


def _of_the_setting(error: Exception) -> bool:
    """Whether another setting may do where this one failed."""
    if isinstance(error, EmbedOnceError):
        return not isinstance(error, ExtraMissing | StorageFailed)
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's, of a card


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ExtraMissing("A sweep is made by Optuna, which is missing: pip install 'embedonce[sweep]'.") from error
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna


def _close(study: Any) -> None:
    study._storage.remove_session()
    backend = getattr(study._storage, "_backend", study._storage)
    backend.engine.dispose()


def _drawn(trial: Any, parameter: Hyperparameter) -> Any:
    search = parameter.search
    assert search is not None
    if search.low is None or search.high is None:
        return trial.suggest_categorical(parameter.name, list(search.choices))
    if parameter.whole:
        return trial.suggest_int(parameter.name, int(search.low), int(search.high), log=search.log)
    return trial.suggest_float(parameter.name, search.low, search.high, log=search.log)
