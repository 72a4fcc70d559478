"""Ctrl-C and SIGTERM: the current piece of work is finished after the first, and everything stops after the second.

This module imports only the standard library, so that `embedonce --help` may import it.
"""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Interrupts", "Termination"]

REPEAT_SECONDS = 1.0  # `timeout` sends its signal twice, to the process and to its group: that is one request


class Termination:
    """A context manager in which SIGTERM does what SIGINT does at that moment; by default it raises KeyboardInterrupt.

    received: whether a SIGTERM has arrived. A program's own handler of SIGTERM and an ignored SIGTERM stay as they are.
    Outside the main thread, which alone receives signals, nothing changes.
    """

    def __init__(self) -> None:
        self.received = False
        self._last = 0.0
        self._previous: Any = None

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._previous = signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now, last = time.monotonic(), self._last
        self._last = now
        if self.received and now - last < REPEAT_SECONDS:
            return
        self.received = True
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):  # SIGINT is ignored, as in a background job of a shell
            raise KeyboardInterrupt
        handler(number, frame)


class Interrupts:
    """A context manager that lets the current batch finish after the first SIGINT, and stops at once after the second.

    The first SIGINT sets `requested` and calls `on_request`; the second sets `forced` and raises KeyboardInterrupt. A
    program that has its own SIGINT handler keeps it. Outside the main thread, which alone receives signals, nothing
    changes. The command line handles SIGTERM as SIGINT, see `Termination`.
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
