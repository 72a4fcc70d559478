"""Heads that fail in the process that fits them. Each process imports this file, so it imports little, and no torch."""

import os
import signal
from typing import Any, Self

from data.errors import CallError
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead


class Refusing(LinearHead):
    """Raises in the process that fits it."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *others: Any, **named: Any) -> Self:
        raise CallError("C is too small for these documents.")


class Killed(PrototypeHead):
    """Is killed by the system, as if memory had run out."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *others: Any, **named: Any) -> Self:
        os.kill(os.getpid(), signal.SIGKILL)
        return self


class Unpicklable(PrototypeHead):
    """Cannot be unpickled in another process."""

    def __reduce__(self) -> Any:
        return _elsewhere_missing, ()


def _elsewhere_missing() -> Any:
    raise OSError("a file of this process alone")


class Interrupted(PrototypeHead):
    """Gets Ctrl-C and SIGTERM in its own process, as every process of a terminal or of a scheduler's job does."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *others: Any, **named: Any) -> Self:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        return super().fit(X, y, sample_weight, *others, **named)
