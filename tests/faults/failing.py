"""System calls that fail."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# how something is put on a disk; a file is made by opening it
CALLS = {"open": io, "write": os, "fsync": os, "replace": os, "link": os, "mkdir": os}


class Failing:
    """A system call that fails at its `at`-th call, once or from then on."""

    def __init__(self, real: Callable[..., Any], at: int, number: int, *, for_good: bool) -> None:
        self.real, self.at, self.number, self.for_good = real, at, number, for_good
        self.calls = 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == self.at or (self.for_good and self.calls > self.at):
            raise OSError(self.number, os.strerror(self.number))
        return self.real(*arguments, **named)


def fail_below(folder: Path, patched: pytest.MonkeyPatch, call: str, at: int = 0, *, for_good: bool = False) -> Failing:
    """Let `call` fail for what lies in `folder` as if the disk were full; at 0 it only counts."""
    real = getattr(CALLS[call], call)
    failing = Failing(real, at, errno.ENOSPC, for_good=for_good)

    def chosen(first: Any, *others: Any, **named: Any) -> Any:
        inside = isinstance(first, int) or Path(first).is_relative_to(folder)
        made = call != "open" or "x" in (others[0] if others else "r")
        return (failing if inside and made else real)(first, *others, **named)

    patched.setattr(CALLS[call], call, chosen)
    return failing
