"""Every error that embedonce raises on purpose, in one tree.

    EmbedOnceError                     shown as one sentence, exit code 1: the work failed
    ├── CallError (ValueError)         exit code 2: the call was wrong
    │   ├── FileMissing (FileNotFoundError)
    │   ├── ColumnMissing (LookupError)
    │   ├── UnknownName (LookupError)  a head, model, parameter, label or value that does not exist
    │   ├── ModelUnavailable (OSError) a model that exists elsewhere, or not at all
    │   ├── ExtraMissing (ImportError) an optional dependency that is not installed
    │   └── RecipeMismatch             a store was asked for features that another recipe made
    ├── BadData (ValueError)           a file that can be read but not used: empty, not UTF-8, without labels
    ├── StoreDamaged (ValueError)      a shard or a store's file that is not what its name or hash says
    ├── RunDamaged (ValueError)        the same of a run
    └── StorageFailed (OSError)        a disk that is full or refuses; what was committed before is whole

A message is one sentence or two: what is wrong, where (file, line, column), and the next step.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "BadData",
    "CallError",
    "ColumnMissing",
    "EmbedOnceError",
    "ExtraMissing",
    "FileMissing",
    "ModelUnavailable",
    "RecipeMismatch",
    "RunDamaged",
    "StorageFailed",
    "StoreDamaged",
    "UnknownName",
    "suggest_name",
]


class EmbedOnceError(Exception):
    """The work failed."""

    exit_code = 1

    def __str__(self) -> str:
        # OSError and KeyError would otherwise quote or number the sentence
        return str(self.args[0]) if self.args else ""


class CallError(EmbedOnceError, ValueError):
    """The call was wrong: nothing was done."""

    exit_code = 2


class FileMissing(CallError, FileNotFoundError):
    """A file or folder that was named is not there."""


class ColumnMissing(CallError, LookupError):
    """A table has no column of that name."""


class UnknownName(CallError, LookupError):
    """A head, model, parameter, label or value that does not exist."""


class ModelUnavailable(CallError, OSError):
    """An encoder that cannot be had here."""


class ExtraMissing(CallError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class RecipeMismatch(CallError):
    """A store was asked for features that another recipe made."""


class BadData(EmbedOnceError, ValueError):
    """A file that can be read but not used."""


class StoreDamaged(EmbedOnceError, ValueError):
    """A shard or a store's own file is not what its name or hash says."""


class RunDamaged(EmbedOnceError, ValueError):
    """A run's file is not what its hash says."""


class StorageFailed(EmbedOnceError, OSError):
    """A disk is full or refuses to write; what was committed before is whole."""


def suggest_name(name: str, names: Iterable[str]) -> str:
    """' Did you mean 'lstm'?' for the closest of `names`, or all of them when none is close."""
    known = sorted(names)
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known: {', '.join(known)}." if known else ""
