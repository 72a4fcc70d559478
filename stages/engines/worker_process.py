"""What runs in a worker's process, the same for every engine: it opens the worker, and does its items."""

import os
import pickle
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, Self

from data.errors import CallError, EmbedOnceError, FileMissing

# variables that decide where files are found; Ray does not pass a driver's environment to its workers
FORWARDED = ("EMBEDONCE_", "HF_", "XDG_CACHE_HOME", "SENTENCE_TRANSFORMERS_HOME")


class Worker(Protocol):
    """What a factory opens in a worker's process."""

    def run(self, item: Any, *, is_retry: bool) -> Any:
        """Do one item and return a small result. is_retry: another worker had it, and may have committed some of it.

        Raises EmbedOnceError if no other worker could do it either.
        """

    def stop(self) -> None:
        """End the item that runs, in another thread, as soon as it can be left; `run` returns what was done."""


class WorkerFactory(Protocol):
    """Opens a worker; it is pickled, so it holds names of files and not their content.

    uses_gpu: whether a worker takes a GPU, if the machines have any.
    """

    @property
    def uses_gpu(self) -> bool: ...  # noqa: D102

    def open(self, cores: int) -> Worker:
        """Open the worker in its process, which has `cores`.

        Raises EmbedOnceError if this process would not do what the coordinator expects: it reads other texts, or has
        another encoder.
        """


@dataclass(frozen=True)
class Outcome:
    """The result of an item, or the error that ended it; both None if a worker was opened. seconds: of the item."""

    result: Any = None
    error: EmbedOnceError | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class WorkerStart:
    """What a process needs to open a worker, in plain values that any version of embedonce can read."""

    version: str
    folder: str
    environment: Mapping[str, str]
    factory: bytes

    @classmethod
    def of(cls, factory: WorkerFactory) -> Self:
        """The version, the working directory and the environment of this process."""
        environment = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}
        return cls(version("embedonce"), str(Path.cwd()), environment, pickle.dumps(factory))


class WorkerProcess:
    """The worker of this process, once it was opened."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def open(self, start: WorkerStart, cores: int) -> Outcome:
        """Open the worker as the process that coordinates would. cores: how many this process may use."""
        try:
            check_version(start.version)
            os.environ.update(start.environment)
            _change_folder(start.folder)
            self._worker = pickle.loads(start.factory).open(cores)
        except Exception as error:
            return Outcome(error=_as_sentence(error))
        return Outcome()

    def run(self, item: Any, *, is_retry: bool) -> Outcome:
        """Do an item."""
        assert self._worker is not None
        started = time.perf_counter()
        try:
            result = self._worker.run(item, is_retry=is_retry)
        except Exception as error:
            return Outcome(error=_as_sentence(error), seconds=time.perf_counter() - started)
        return Outcome(result, seconds=time.perf_counter() - started)

    def stop(self) -> None:
        """Have the worker leave its item; may be called from another thread or a signal handler."""
        if self._worker is not None:
            self._worker.stop()


def check_version(expected: str) -> None:
    """Raise CallError if this process has another version of embedonce."""
    if (own := version("embedonce")) != expected:
        raise CallError(f"embedonce is {own} here and {expected} where the command was started. Install the same one.")


def limit_threads(cores: int) -> None:
    """Let PyTorch and the libraries that are imported later use `cores` cores, at least one."""
    cores = max(cores, 1)
    os.environ["OMP_NUM_THREADS"] = str(cores)
    with suppress(ImportError):
        import torch

        torch.set_num_threads(cores)


def _change_folder(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise FileMissing(
            f"the folder {folder} cannot be opened here ({error.strerror}). It must be on a file system that all nodes "
            "share, because every worker reads the source and writes into the store."
        ) from error


def _as_sentence(error: Exception) -> EmbedOnceError:
    """An error of this project as it is; any other as one sentence."""
    if isinstance(error, EmbedOnceError):
        return error
    return EmbedOnceError(f"{type(error).__name__}: {error or 'no further message'}.")
