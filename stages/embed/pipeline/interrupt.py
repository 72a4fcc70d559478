"""Ctrl-C while documents are encoded."""

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self


class Interrupts:
    """Inside, the first SIGINT asks to leave behind the batch at hand, the second is a KeyboardInterrupt at once.

    asked, again: whether the first and the second came. told: called at the first. A program with its own way with
    SIGINT keeps it, and outside the main thread, where signals never arrive, nothing changes.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        self.asked = False
        self.again = False
        self._told = told
        self._before: Any = None

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _take(self, *_: object) -> None:
        if self.asked:
            self.again = True
            raise KeyboardInterrupt
        self.asked = True
        with suppress(RuntimeError):  # a stream that is being written to just now takes no second call
            self._told()
