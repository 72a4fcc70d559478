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


class _SignalHandler:
    """A context manager that handles one signal, if its handler is the default one.

    A program that has a handler of its own keeps it. Outside the main thread, which alone receives signals, nothing
    changes.
    """

    def __init__(self, number: int, default: Any) -> None:
        self._number, self._default = number, default
        self._previous: Any = None

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(self._number) is self._default:
            self._previous = signal.signal(self._number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(self._number, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        raise NotImplementedError


class Termination(_SignalHandler):
    """A context manager in which SIGTERM does what SIGINT does at that moment; by default it raises KeyboardInterrupt.

    received: whether a SIGTERM has arrived. An ignored SIGTERM stays ignored.
    """

    def __init__(self) -> None:
        super().__init__(signal.SIGTERM, signal.SIG_DFL)
        self.received = False
        self._last = 0.0

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


class Interrupts(_SignalHandler):
    """A context manager that lets the current batch finish after the first SIGINT, and stops at once after the second.

    The first SIGINT sets `requested` and calls `on_request`; the second sets `forced` and raises KeyboardInterrupt. The
    command line handles SIGTERM as SIGINT, see `Termination`.
    """

    def __init__(self, on_request: Callable[[], None]) -> None:
        super().__init__(signal.SIGINT, signal.default_int_handler)
        self.requested = False
        self.forced = False
        self._on_request = on_request

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.requested:
            self.forced = True
            raise KeyboardInterrupt
        self.requested = True
        with suppress(RuntimeError):  # a stream that is being written to refuses a reentrant call
            self._on_request()
