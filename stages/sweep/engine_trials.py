"""Trials on an engine: an item is one trial, whose values and score go through the study, or the fit of the best."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.text_format import plural
from stages.engines import Engine, run_items
from stages.fitting.cross_fitting import FitProgressCallback
from stages.fitting.engine_fits import HeadInputs, InputsFactory
from stages.sweep.result import SweepResult
from stages.sweep.search import POLL, Show, SweepContext, TrialRunner, is_late
from stages.sweep.space import SearchSpace
from stages.sweep.study import Study

__all__ = ["EngineTrials", "SweepInputs"]


@dataclass(frozen=True, eq=False)
class SweepInputs(HeadInputs):
    """What a command searches, and on which documents. spaces: one per head."""

    spaces: Sequence[SearchSpace]


@dataclass(frozen=True)
class _Item:
    """A trial of a head; or, with the result of its sweep, the fit of the best trial."""

    head: str
    result: SweepResult | None = None


class _SweepFactory(InputsFactory[SweepInputs]):
    def open_worker(self, inputs: SweepInputs) -> "_SweepWorker":
        context = SweepContext.of(inputs.source, inputs.table, inputs.spaces[0], self.runs, self.command)
        return _SweepWorker(context, inputs.spaces)


class _SweepWorker:
    def __init__(self, context: SweepContext, spaces: Sequence[SearchSpace]) -> None:
        self._context, self._studies = context, dict[str, Study]()
        self._spaces = {space.plan.head.name: space for space in spaces}

    def run(self, item: _Item, *, is_retry: bool) -> SweepResult | None:  # noqa: ARG002 - the study has what is done
        """Run a trial, which the study keeps; or fit the best, which is a run."""
        if item.head not in self._studies:
            self._studies[item.head] = self._context.open_study(self._spaces[item.head])
        study = self._studies[item.head]
        if item.result is not None:
            return self._context.fit_best(item.result, study.space)
        self._context.run_trial(study)
        return None

    def stop(self) -> None:
        """A trial cannot be left; it is killed, and run again when its heartbeat is stale."""


@dataclass
class _TrialQueue:
    """Trials of one study until it has `max_trials`, or another would end after `deadline`; at least one."""

    study: Study
    max_trials: float
    deadline: float
    show: Show
    open: int = 0
    _looked: float = field(default=-POLL)

    @property
    def is_empty(self) -> bool:
        """Whether no other trial is to be started."""
        if self.open or time.monotonic() - self._looked < POLL:
            return False
        self._looked, trials = time.monotonic(), self.study.trials
        return len(trials) >= self.max_trials or is_late(trials, self.deadline)

    def take(self, worker: str) -> _Item | None:  # noqa: ARG002
        """One trial more, unless those that run, here or elsewhere, are enough."""
        trials, running = self.study.trials, max(self.study.running_count, self.open)
        if len(trials) + running >= self.max_trials or is_late(trials, self.deadline):
            return None
        self.open += 1
        self.show(trials, f"{plural(running + 1, 'trial')} at once")
        return _Item(self.study.head)

    def finish(self, worker: str, item: _Item, result: None, seconds: float) -> None:  # noqa: ARG002
        """Show the score, which the study has."""
        self.open -= 1
        self.show(self.study.trials, f"{plural(self.open, 'trial')} at once")

    def lose(self, worker: str) -> None:
        """The trial is an item that another worker gets."""


@dataclass
class _OneItem:
    item: _Item | None
    result: SweepResult | None = None

    @property
    def is_empty(self) -> bool:
        return self.item is None

    def take(self, worker: str) -> _Item | None:  # noqa: ARG002
        item, self.item = self.item, None
        return item

    def finish(self, worker: str, item: _Item, result: SweepResult, seconds: float) -> None:  # noqa: ARG002
        self.result = result

    def lose(self, worker: str) -> None: ...


class EngineTrials(TrialRunner):
    """Runs trials, and fits the best of them, on the workers of an engine."""

    def __init__(
        self,
        inputs: SweepInputs,
        read: Callable[[], SweepInputs],
        engine: Engine,
        runs: Path,
        *,
        command: str,
        notify: Callable[[str], None],
    ) -> None:
        heads = [space.plan.head for space in inputs.spaces]
        self._factory = _SweepFactory.of(inputs, heads, read, runs, command)
        self._engine, self._notify = engine, notify

    def run_trials(self, context: SweepContext, study: Study, max_trials: float, deadline: float, show: Show) -> None:  # noqa: ARG002
        """As `TrialRunner.run_trials`, with one trial per worker at once."""
        queue = _TrialQueue(study, max_trials, deadline, show)
        run_items(self._engine, self._factory, queue, notify=self._notify, leaves_items=False)

    def fit_best(
        self,
        context: SweepContext,  # noqa: ARG002
        result: SweepResult,
        space: SearchSpace,
        on_progress: FitProgressCallback | None = None,  # noqa: ARG002
    ) -> SweepResult:
        """As `TrialRunner.fit_best`, on one worker."""
        queue = _OneItem(_Item(space.plan.head.name, result))
        run_items(self._engine, self._factory, queue, notify=self._notify, leaves_items=False)
        assert queue.result is not None
        return queue.result
