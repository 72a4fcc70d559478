"""Fits on an engine: an item is a run. A worker reads the features itself, and writes the run into a shared folder."""

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

from data.errors import CallError, EmbedOnceError, StorageFailed
from featurestore import CorpusTable, FeatureSource, joined_fingerprint
from heads.core.head import Head
from heads.registry import STACKING_HEADS
from stages.engines import Engine, Worker, run_items
from stages.engines.worker_process import limit_threads
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.pooled_features import PooledFeatures

__all__ = ["EngineFit", "FitInputs", "HeadInputs", "InputsFactory", "fit_on_engine"]


@dataclass(frozen=True, eq=False)
class HeadInputs:
    """The features and the documents that heads are fitted on."""

    source: FeatureSource
    table: CorpusTable


@dataclass(frozen=True, eq=False)
class FitInputs(HeadInputs):
    """What a command fits on. plans: one per head."""

    plans: Sequence[FitPlan]


@dataclass(frozen=True)
class EngineFit:
    """The result of an item: the name of the run and whether it is new, or the error that ended the fit."""

    head: str
    run: str = ""
    is_new: bool = False
    error: EmbedOnceError | None = None


Inputs = TypeVar("Inputs", bound=HeadInputs)


@dataclass(frozen=True)
class InputsFactory(ABC, Generic[Inputs]):
    """Opens workers that read the inputs of a command themselves.

    read: reads them in a process; it is pickled, so it holds the options of a command and no documents.
    inputs_hash: of what it reads where the command was started.
    uses_gpu: whether one of the heads computes on a GPU where there is one.
    runs: the folder of the runs, which all workers share.
    command: the command line, for the records.
    """

    read: Callable[[], Inputs]
    inputs_hash: str
    uses_gpu: bool
    runs: Path
    command: str

    @classmethod
    def of(cls, inputs: Inputs, heads: Sequence[Head], read: Callable[[], Inputs], runs: Path, command: str) -> Self:
        """inputs: what `read` returns in this process. heads: those that workers fit."""
        return cls(read, _hash(inputs), _use_gpu(heads), runs, command)

    def open(self, cores: int) -> Worker:
        """Read the inputs. Raises CallError unless they have the hash that is expected."""
        limit_threads(cores)
        inputs = self.read()
        if _hash(inputs) != self.inputs_hash:
            raise CallError(
                f"{inputs.source.name} has other features or documents than where the command was started. The store "
                "must be on a file system that all nodes share."
            )
        return self.open_worker(inputs)

    @abstractmethod
    def open_worker(self, inputs: Inputs) -> Worker:
        """The worker of these inputs."""


def _use_gpu(heads: Sequence[Head]) -> bool:
    return any(name.rpartition("__")[2] == "device" for head in heads for name in head.get_params())


def _hash(inputs: HeadInputs) -> str:
    """A hash of the recipes of the features, and of the documents with their labels, splits and groups."""
    table = inputs.table
    digest = hashlib.sha256(f"{joined_fingerprint(inputs.source.recipes)} {table.name}".encode())
    for row in zip(table.ids, table.keys, table.splits, table.groups, table.labels, strict=True):
        digest.update(repr(row).encode())
    return digest.hexdigest()


class _FitFactory(InputsFactory[FitInputs]):
    def open_worker(self, inputs: FitInputs) -> "_FitWorker":
        return _FitWorker(inputs, self.runs, self.command)


class _FitWorker:
    def __init__(self, inputs: FitInputs, runs: Path, command: str) -> None:
        self._inputs, self._runs, self._command = inputs, runs, command
        self._pooled = PooledFeatures(runs)

    def run(self, item: str, *, is_retry: bool) -> EngineFit:  # noqa: ARG002 - finished folds are found anyway
        """Fit the head of that name; a run that exists is found."""
        plan = next(plan for plan in self._inputs.plans if plan.head.name == item)
        source, table = self._inputs.source, self._inputs.table
        try:
            run, is_new = fit_head(source, table, plan, self._runs, command=self._command, pooled=self._pooled)
        except StorageFailed:  # no other head could be saved either
            raise
        except EmbedOnceError as error:
            return EngineFit(item, error=error)
        return EngineFit(item, run.name, is_new)

    def stop(self) -> None:
        """A fit cannot be left; it is killed, and its finished folds are kept."""


class FitQueue:
    """The heads of a command; stacking heads, which read the runs of the others, come last."""

    def __init__(self, names: Sequence[str], on_result: Callable[[EngineFit], None]) -> None:
        self._waiting = deque(sorted(names, key=lambda name: name in STACKING_HEADS))
        self._open, self._on_result = set[str](), on_result

    @property
    def is_empty(self) -> bool:
        """Whether all heads were handed out."""
        return not self._waiting

    def take(self, worker: str) -> str | None:  # noqa: ARG002
        """The next head; none yet if it reads runs that are not done."""
        if not self._waiting or (self._waiting[0] in STACKING_HEADS and self._open):
            return None
        self._open.add(self._waiting[0])
        return self._waiting.popleft()

    def finish(self, worker: str, item: str, result: EngineFit, seconds: float) -> None:  # noqa: ARG002
        """Pass the result on."""
        self._open.discard(item)
        self._on_result(result)

    def lose(self, worker: str) -> None:
        """Nothing is known of a worker."""


def fit_on_engine(
    inputs: FitInputs,
    read: Callable[[], FitInputs],
    engine: Engine,
    runs: Path,
    *,
    command: str,
    notify: Callable[[str], None],
    on_result: Callable[[EngineFit], None],
) -> None:
    """Fit the head of each plan on the workers of an engine, as `fit_head` does here.

    Args:
        inputs: what `read` returns in this process.
        read: reads the same in a worker.
        engine: the workers.
        runs: the folder of the runs, which all workers share.
        command: the command line, for the records.
        notify: called with sentences on workers.
        on_result: called with each run, or the error of its fit.

    Raises:
        EmbedOnceError: what `run_items` raises.
    """
    factory = _FitFactory.of(inputs, [plan.head for plan in inputs.plans], read, runs, command)
    queue = FitQueue([plan.head.name for plan in inputs.plans], on_result)
    run_items(engine, factory, queue, notify=notify, leaves_items=False)
