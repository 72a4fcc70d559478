"""The engine of this machine, with real processes: they do items, are killed, and end when the engine does."""

import os
import signal
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from stages.engines import Worker, run_items
from stages.engines.local import LocalEngine, groups_of_cores
from tests.conftest import ROOT


class Squares(Worker):
    """Squares numbers, and dies of 3 unless another worker had it before."""

    def run(self, item: int, *, is_retry: bool) -> Any:
        if item == 3 and not is_retry:
            os.kill(os.getpid(), signal.SIGKILL)
        return item**2, os.getpid()

    def stop(self) -> None:
        pass


@dataclass(frozen=True)
class SquareFactory:
    uses_gpu: bool = False

    def open(self, cores: int) -> Squares:
        return Squares()


class Numbers:
    """The numbers from 1 on."""

    def __init__(self, count: int) -> None:
        self.waiting, self.results = list(range(1, count + 1)), dict[int, Any]()

    @property
    def is_empty(self) -> bool:
        return not self.waiting

    def take(self, worker: str) -> int | None:
        return self.waiting.pop(0) if self.waiting else None

    def finish(self, worker: str, item: int, result: Any, seconds: float) -> None:
        self.results[item] = result

    def lose(self, worker: str) -> None:
        pass


@pytest.mark.slow
def test_processes_do_all_items_although_one_is_killed() -> None:
    queue, notes = Numbers(6), list[str]()
    with LocalEngine(workers=2) as engine:
        run_items(engine, SquareFactory(), queue, notify=notes.append)
    assert {item: result[0] for item, result in queue.results.items()} == {n: n * n for n in range(1, 7)}
    assert len(notes) == 1 and "was lost (ended by SIGKILL): another worker gets its item." in notes[0]
    assert not any(psutil.pid_exists(result[1]) for result in queue.results.values())


def test_a_worker_has_about_eight_cores() -> None:
    assert [groups_of_cores(cores) for cores in (0.5, 1, 8, 11, 16, 32, 64)] == [1, 1, 1, 1, 2, 4, 8]


@pytest.mark.parametrize("engine", ["local", "ray_cluster"])
def test_an_engine_is_one_short_file(engine: str) -> None:
    assert len((ROOT / "stages" / "engines" / f"{engine}.py").read_text().splitlines()) <= 150
