"""Workers in simulated time, with rates of their own, which are killed, refuse or join when a test says so."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from data.errors import EmbedOnceError
from stages.engines.engine import Engine, Lost, Place
from stages.engines.item_sizes import ItemSizes
from stages.engines.worker_process import Outcome, WorkerProcess, WorkerStart


@dataclass
class Machine:
    """rate: work per second. since: when it joins. kills: when its process is killed. refuses: why it does not open."""

    rate: float
    since: float = 0.0
    kills: list[float] = field(default_factory=list)
    refuses: str = ""


@dataclass
class Handle:
    name: str
    since: float
    until: float
    item: range | None = None
    is_retry: bool = False
    is_open: bool = False
    is_dead: bool = False


class Factory:
    """Opens nothing; the simulation does its work."""

    uses_gpu = False

    def open(self, cores: int) -> Any:
        raise NotImplementedError


class Simulation(Engine):
    """committed: how often each unit of work was done. done: when each item ended, by worker."""

    def __init__(self, machines: Mapping[str, Machine], start_seconds: float = 1.0) -> None:
        super().__init__()
        self.now, self.machines, self.start_seconds = 0.0, dict(machines), start_seconds
        self.committed: dict[int, int] = {}
        self.done: dict[str, list[float]] = {name: [] for name in machines}
        self.items: list[tuple[str, range]] = []
        self.failing: set[int] = set()

    def places(self) -> list[Place]:
        return [Place(name) for name, machine in self.machines.items() if machine.since <= self.now]

    def launch(self, place: Place, start: WorkerStart) -> Handle:
        return Handle(place.name, self.now, self.now + self.start_seconds)

    def send(self, handle: Handle, item: Any, *, is_retry: bool) -> None:
        handle.item, handle.is_retry, handle.since = item, is_retry, self.now
        handle.until = self.now + len(self._rest(item, is_retry)) / self.machines[handle.name].rate
        self.items.append((handle.name, item))

    def wait(self, handles: Mapping[str, Any], seconds: float) -> list[tuple[str, Outcome | Lost]]:
        waiting = [handle for handle in handles.values() if handle.item is not None or not handle.is_open]
        ends = [handle.until for handle in waiting]
        kills = [time for name in handles for time in self.machines[name].kills if time > self.now]
        joins = [machine.since for machine in self.machines.values() if machine.since > self.now]
        self.now = min([*ends, *kills, *joins, self.now + seconds])
        return [(handle.name, message) for handle in handles.values() if (message := self._message(handle))]

    def _message(self, handle: Handle) -> Outcome | Lost | None:
        machine = self.machines[handle.name]
        if machine.kills and machine.kills[0] <= self.now:
            machine.kills.pop(0)
            if handle.item is not None:
                self._commit(self._rest(handle.item, handle.is_retry)[: int((self.now - handle.since) * machine.rate)])
            return Lost("killed")
        if not handle.is_open and handle.until <= self.now:
            handle.is_open = True
            return Outcome(error=EmbedOnceError(machine.refuses)) if machine.refuses else Outcome()
        if handle.item is not None and handle.until <= self.now:
            item, handle.item = handle.item, None
            if self.failing & set(item):
                return Outcome(error=EmbedOnceError("The disk is full."))
            self._commit(self._rest(item, handle.is_retry))
            self.done[handle.name].append(self.now)
            return Outcome(len(item), seconds=self.now - handle.since)
        return None

    def _rest(self, item: range, is_retry: bool) -> list[int]:
        return [unit for unit in item if not (is_retry and unit in self.committed)]

    def _commit(self, units: list[int]) -> None:
        for unit in units:
            self.committed[unit] = self.committed.get(unit, 0) + 1

    def stop(self, handle: Handle) -> None:
        handle.until = self.now

    def kill(self, handle: Handle) -> None:
        handle.is_dead = True


class Units:
    """A queue of `total` units of work, in items sized by rate."""

    def __init__(self, total: int, first: float = 10.0, seconds: float = 20.0) -> None:
        self.total, self.next, self.sizes = total, 0, ItemSizes(first, seconds)
        self.finished: list[range] = []

    @property
    def is_empty(self) -> bool:
        return self.next == self.total

    def take(self, worker: str) -> range | None:
        if self.is_empty:
            return None
        size = max(int(self.sizes.next_size(worker, self.total - self.next)), 1)
        item = range(self.next, min(self.next + size, self.total))
        self.next = item.stop
        return item

    def finish(self, worker: str, item: range, result: Any, seconds: float) -> None:
        assert result == len(item)
        self.finished.append(item)
        self.sizes.record(worker, len(item), seconds)

    def lose(self, worker: str) -> None:
        self.sizes.forget(worker)


class InProcess(Engine):
    """One worker in this process. dies: numbers of items, from 1, after which it counts as lost, without a report."""

    def __init__(self, dies: Collection[int] = ()) -> None:
        super().__init__()
        self.dies, self.items = dies, list[Any]()

    def places(self) -> list[Place]:
        return [Place("worker 1")]

    def launch(self, place: Place, start: WorkerStart) -> list[Any]:
        process = WorkerProcess()
        return [process, process.open(start, place.cores)]

    def send(self, handle: Any, item: Any, *, is_retry: bool) -> None:
        self.items.append(item)
        handle[1] = handle[0].run(item, is_retry=is_retry)
        if len(self.items) in self.dies:
            handle[1] = Lost("killed")

    def wait(self, handles: Mapping[str, Any], seconds: float) -> list[tuple[str, Outcome | Lost]]:
        messages = [(name, handle[1]) for name, handle in handles.items() if handle[1] is not None]
        for handle in handles.values():
            handle[1] = None
        return messages

    def stop(self, handle: Any) -> None:
        handle[0].stop()

    def kill(self, handle: Any) -> None:
        """Nothing is left to end."""
