"""Ctrl-C: the current piece of work is finished after the first, and everything stops after the second."""

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self


class Interrupts:
    """A context manager that lets the current batch finish after the first SIGINT, and stops at once after the second.

    The first SIGINT sets `requested` and calls `on_request`; the second sets `forced` and raises KeyboardInterrupt. A
    program that has its own SIGINT handler keeps it. Outside the main thread, which alone receives signals, nothing
    changes. The command line handles SIGTERM as SIGINT, see data/termination.py.
    """

    def __init__(self, on_request: Callable[[], None]) -> None:
        self.requested = False
        self.forced = False
        self._on_request = on_request
        self._previous: Any = None

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, *_: object) -> None:
        if self.requested:
            self.forced = True
            raise KeyboardInterrupt
        self.requested = True
        with suppress(RuntimeError):  # a stream that is being written to refuses a reentrant call
            self._on_request()
