"""The engine of this machine: one process per GPU, or per group of cores."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from stages.engines.engine import Engine, Lost, Place
from stages.engines.worker_process import Outcome, WorkerProcess, WorkerStart

# cores of a worker without a GPU, about: with more, an encoder gains little per core
CORES_PER_WORKER = 8
_TERMINATION_SECONDS = 5.0


@dataclass(frozen=True)
class _Handle:
    process: BaseProcess
    pipe: Connection


class LocalEngine(Engine):
    """Processes of this machine. workers: how many, None for one per GPU or group of cores."""

    def __init__(self, workers: int | None = None) -> None:
        super().__init__()
        self._workers = workers

    def places(self) -> list[Place]:
        """One place per GPU, or per group of cores."""
        cores, gpus = usable_cores(), _gpu_count() if self.uses_gpu else 0
        count = self._workers or gpus or groups_of_cores(cores)
        return [
            Place(f"worker {number + 1}", cores=max(cores // count, 1), gpus=int(number < gpus))
            for number in range(count)
        ]

    def launch(self, place: Place, start: WorkerStart) -> _Handle:
        """Start a process, which sees the place's GPU alone."""
        context = get_context("spawn")  # torch does not support fork
        ours, theirs = context.Pipe()
        gpu = int(place.name.split()[-1]) - 1 if place.gpus else None
        process = context.Process(target=_serve, args=(theirs, start, place.cores, gpu), daemon=False)
        process.start()
        theirs.close()
        return _Handle(process, ours)

    def wait(self, handles: Mapping[str, _Handle], seconds: float) -> list[tuple[str, Outcome | Lost]]:
        """Wait for the pipes; one that is closed belongs to a process that has ended."""
        ready = wait([handle.pipe for handle in handles.values()], seconds)
        return [(name, _receive(handle)) for name, handle in handles.items() if handle.pipe in ready]

    def send(self, handle: _Handle, item: Any, *, is_retry: bool) -> None:
        """Write the item into the pipe; whether its reader has ended is noticed by `wait`."""
        with suppress(OSError):
            handle.pipe.send((item, is_retry))

    def stop(self, handle: _Handle) -> None:
        """Send SIGINT."""
        if handle.process.pid is not None and handle.process.is_alive():
            os.kill(handle.process.pid, signal.SIGINT)

    def kill(self, handle: _Handle) -> None:
        """Terminate the process, and kill it if it does not end."""
        handle.pipe.close()
        handle.process.terminate()
        handle.process.join(_TERMINATION_SECONDS)
        handle.process.kill()
        handle.process.join()


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def groups_of_cores(cores: float) -> int:
    """How many workers share `cores`."""
    return max(round(cores / CORES_PER_WORKER), 1)


def _gpu_count() -> int:
    import torch

    return torch.cuda.device_count()


def _receive(handle: _Handle) -> Outcome | Lost:
    try:
        message: Outcome = handle.pipe.recv()
        return message
    except (EOFError, OSError):
        handle.process.join()
        code = handle.process.exitcode or 0
        return Lost(f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}")


def _serve(pipe: Connection, start: WorkerStart, cores: int, gpu: int | None) -> None:
    """In the process: open the worker, and do items until the pipe is closed."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a terminal's Ctrl-C reaches only the first process, which forwards it
    if gpu is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[gpu] if any(visible) else str(gpu)
    worker = WorkerProcess()
    signal.signal(signal.SIGINT, lambda *_: worker.stop())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(EOFError, OSError):  # the first process has ended
        pipe.send(worker.open(start, cores))
        while True:
            item, is_retry = pipe.recv()
            pipe.send(worker.run(item, is_retry=is_retry))
