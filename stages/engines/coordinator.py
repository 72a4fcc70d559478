"""Hands out items to the workers of an engine until all are done."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

from data.errors import EmbedOnceError
from data.interrupt import Interrupts
from stages.engines.engine import Engine, Event, Lost
from stages.engines.worker_process import WorkerFactory

# how long to wait for events before the queue is asked again
_POLL = 0.2
# without any worker for so long, a user should know why nothing happens
_SILENCE = 30.0
# an item whose workers were lost this often may be the cause of it
MAX_ATTEMPTS = 3


class WorkQueue(Protocol):
    """The items of one command, made when a worker asks for one."""

    @property
    def is_empty(self) -> bool:
        """Whether `take` will return no other item, unless one that is open brings new ones."""

    def take(self, worker: str) -> Any | None:
        """The next item for `worker`, None if there is none now."""

    def finish(self, worker: str, item: Any, result: Any, seconds: float) -> None:
        """Note what a worker did, and in which time."""

    def lose(self, worker: str) -> None:
        """Note that a worker was lost; its item is handed out again."""


@dataclass
class _Open:
    """An item that was handed out for the `attempt`-th time."""

    item: Any
    attempt: int = 1


@dataclass
class _Coordinator:
    engine: Engine
    queue: WorkQueue
    notify: Callable[[str], None]
    idle: list[str] = field(default_factory=list)
    open: dict[str, _Open] = field(default_factory=dict)
    retries: deque[_Open] = field(default_factory=deque)
    refusal: EmbedOnceError | None = None
    failure: EmbedOnceError | None = None
    refused_sentences: set[str] = field(default_factory=set)
    last_seen: float = field(default_factory=time.monotonic)  # when there was a worker

    def has_work(self, *, is_stopping: bool) -> bool:
        """Whether an item is open, or another one will be handed out."""
        return bool(self.open) or not (is_stopping or (self.queue.is_empty and not self.retries))

    def hand_out(self) -> None:
        """Give an item to each idle worker, those of lost workers first."""
        for worker in list(self.idle):
            if self.retries:
                work = self.retries.popleft()
            elif (item := self.queue.take(worker)) is not None:
                work = _Open(item)
            else:
                return
            self.idle.remove(worker)
            self.open[worker] = work
            self.engine.submit(worker, work.item, is_retry=work.attempt > 1)

    def wait(self) -> None:
        """Wait for events. Raises EmbedOnceError if there is no worker left."""
        for event in self.engine.poll(_POLL):
            self._receive(event)
        if self.open or self.idle:
            self.last_seen = time.monotonic()
        elif not self.engine.may_work:
            raise self.failure or self.refusal or EmbedOnceError("No worker could be started.")
        elif time.monotonic() - self.last_seen > _SILENCE:
            self.last_seen = inf
            self.notify("No worker is ready: they start, or wait for free cores or GPUs. Ctrl-C ends the wait.")

    def _receive(self, event: Event) -> None:
        worker, message = event.worker, event.message
        if message is None:
            self.idle.append(worker)
        elif isinstance(message, Lost):
            self._lose(worker, message)
        elif event.is_opening:
            assert message.error is not None
            self._refuse(worker, message.error)
        elif message.error is not None:
            del self.open[worker]
            self.failure = self.failure or type(message.error)(f"On {worker}: {message.error}")
        else:
            self.queue.finish(worker, self.open.pop(worker).item, message.result, message.seconds)
            self.idle.append(worker)

    def _lose(self, worker: str, lost: Lost) -> None:
        work = self.open.pop(worker, None)
        self.idle = [name for name in self.idle if name != worker]
        self.queue.lose(worker)
        sentence = f"{worker} was lost ({lost.reason})"
        self.refusal = EmbedOnceError(f"{sentence}.")
        if work is not None and work.attempt < MAX_ATTEMPTS:
            self.retries.append(_Open(work.item, work.attempt + 1))
            sentence += ": another worker gets its item"
        elif work is not None:
            self.failure = EmbedOnceError(
                f"{sentence}, as {MAX_ATTEMPTS - 1} workers before it with the same item; it is left out. What was "
                "committed is kept: run the same command again for the rest."
            )
        self.notify(f"{sentence}.")

    def _refuse(self, worker: str, error: EmbedOnceError) -> None:
        """Report a refusal, once for all workers of a node that give the same reason."""
        self.refusal = type(error)(f"On {worker}: {error}")
        if str(error) not in self.refused_sentences:
            self.refused_sentences.add(str(error))
            self.notify(f"On {worker}: {error} It is not used.")


def run_items(
    engine: Engine,
    factory: WorkerFactory,
    queue: WorkQueue,
    *,
    notify: Callable[[str], None],
    on_interrupt: Callable[[], None] = lambda: None,
    leaves_items: bool = True,
) -> None:
    """Have the workers of an engine do all items of a queue.

    An item of a lost worker is given to another one. Ctrl-C once hands out nothing more and has the workers leave their
    items, twice ends them; both raise KeyboardInterrupt.

    Args:
        engine: its workers stay open for another call with the same factory, unless this raises.
        factory: opens a worker, which checks that it does what is expected here.
        queue: the items.
        notify: called with sentences on workers that refuse or were lost.
        on_interrupt: called at the first Ctrl-C.
        leaves_items: whether a worker can leave an item; if not, the first Ctrl-C ends the workers.

    Raises:
        EmbedOnceError: every worker refuses; or an item failed, after the items that were open are done.
    """
    run = _Coordinator(engine, queue, notify)

    def interrupt() -> None:
        on_interrupt()
        if leaves_items:
            engine.stop_workers()

    run.idle.extend(engine.start_workers(factory))
    with Interrupts(interrupt) as interrupts:
        try:
            while True:
                is_stopping = interrupts.requested or run.failure is not None
                if not is_stopping:
                    run.hand_out()
                if not run.has_work(is_stopping=is_stopping) or (interrupts.requested and not leaves_items):
                    break
                run.wait()
            if interrupts.requested:
                raise KeyboardInterrupt
            if run.failure is not None:
                raise run.failure
        except BaseException:
            engine.end_workers()
            raise
