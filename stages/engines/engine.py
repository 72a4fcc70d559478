"""An engine: workers in processes of their own, perhaps on other machines, each of which has one item at a time.

An engine is a subclass of `Engine` that knows its places, starts a process on one, and passes messages. What happens to
workers that refuse, fail or vanish is the same for all engines, and is here.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from stages.engines.worker_process import Outcome, WorkerFactory, WorkerStart

# a place whose workers are lost this often, without an item done in between, gets no other
MAX_LOSSES = 3


@dataclass(frozen=True)
class Place:
    """Where one worker runs. name: for messages, unique. node: the engine's name of the machine."""

    name: str
    node: str = ""
    cores: int = 1
    gpus: int = 0


@dataclass(frozen=True)
class Lost:
    """A worker's process ended, or its machine vanished."""

    reason: str


@dataclass(frozen=True)
class Event:
    """What happened to the worker on a place: its outcome of an item, that it is ready (None), or that it was lost.

    is_opening: the worker was being opened; an outcome with an error then says why it refuses.
    """

    worker: str
    message: Outcome | Lost | None
    is_opening: bool = False


@dataclass
class _Slot:
    """A place, and the worker on it if there is one. losses: since its last item."""

    place: Place
    handle: Any = None
    is_open: bool = False
    is_refused: bool = False
    losses: int = 0


class Engine(ABC):
    """Workers on places; a context manager that ends them."""

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}
        self._start: WorkerStart | None = None
        self.uses_gpu = False

    @abstractmethod
    def places(self) -> list[Place]:
        """The places for workers now; machines may come and go."""

    @abstractmethod
    def launch(self, place: Place, start: WorkerStart) -> Any:
        """Start a process on a place and open a worker in it; returns a handle of the process."""

    @abstractmethod
    def wait(self, handles: Mapping[str, Any], seconds: float) -> list[tuple[str, Outcome | Lost]]:
        """Wait for messages of some processes, by the names of their places: one when it is open, one per item."""

    @abstractmethod
    def send(self, handle: Any, item: Any, *, is_retry: bool) -> None:
        """Give an item to an open worker that has none."""

    @abstractmethod
    def stop(self, handle: Any) -> None:
        """Have the worker leave its item."""

    @abstractmethod
    def kill(self, handle: Any) -> None:
        """End the process at once."""

    def close(self) -> None:
        """End what the engine itself started."""
        self.end_workers()

    def start_workers(self, factory: WorkerFactory) -> list[str]:
        """Use workers of `factory` from now on; returns those that are open from before, which have no item."""
        start = WorkerStart.of(factory)
        if start != self._start:
            self.end_workers()
        self._start, self.uses_gpu = start, factory.uses_gpu
        return [name for name, slot in self._slots.items() if slot.handle is not None and slot.is_open]

    @property
    def may_work(self) -> bool:
        """Whether a worker is open, or may still open."""
        return not self._slots or any(not slot.is_refused for slot in self._slots.values())

    def poll(self, seconds: float) -> list[Event]:
        """Start workers on free places, and wait for events."""
        assert self._start is not None
        for place in self.places():
            slot = self._slots.setdefault(place.name, _Slot(place))
            if slot.handle is None and not slot.is_refused:
                slot.handle, slot.is_open = self.launch(place, self._start), False
        handles = {name: slot.handle for name, slot in self._slots.items() if slot.handle is not None}
        return [self._receive(self._slots[name], message) for name, message in self.wait(handles, seconds)]

    def _receive(self, slot: _Slot, message: Outcome | Lost) -> Event:
        is_opening, name = not slot.is_open, slot.place.name
        if isinstance(message, Lost):
            slot.handle, slot.losses = None, slot.losses + 1
            slot.is_refused = slot.losses >= MAX_LOSSES
        elif is_opening and message.error is not None:
            self.kill(slot.handle)
            slot.handle, slot.is_refused = None, True
        elif is_opening:
            slot.is_open = True
            return Event(name, None)
        else:
            slot.losses = 0
        return Event(name, message, is_opening)

    def submit(self, worker: str, item: Any, *, is_retry: bool) -> None:
        """Give an item to a worker that is ready."""
        self.send(self._slots[worker].handle, item, is_retry=is_retry)

    def stop_workers(self) -> None:
        """Have all workers leave their items; a worker that is not open yet is ended."""
        for slot in self._slots.values():
            if slot.handle is not None and slot.is_open:
                self.stop(slot.handle)

    def end_workers(self) -> None:
        """End all workers at once."""
        for slot in self._slots.values():
            if slot.handle is not None:
                self.kill(slot.handle)
        self._slots = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
