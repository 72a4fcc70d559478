"""Every error that embedonce raises on purpose, in one tree.

    EmbedOnceError                     exit code 1: the work failed
    ├── CallError (ValueError)         exit code 2: the call was wrong
    │   ├── FileMissing (FileNotFoundError)
    │   ├── ColumnMissing (LookupError)
    │   ├── UnknownName (LookupError)  a head, model, hyperparameter, label or value that does not exist
    │   ├── ModelUnavailable (OSError) an encoder that cannot be loaded on this machine
    │   ├── ExtraMissing (ImportError) an optional dependency that is not installed
    │   └── RecipeMismatch             the requested features differ from those that the store holds
    ├── BadData (ValueError)           a file that can be read but not used: empty, not UTF-8, without labels
    ├── StoreDamaged (ValueError)      a file of a store whose content does not match its name or hash
    ├── RunDamaged (ValueError)        a file of a run whose content does not match its hash
    ├── StorageFailed (OSError)        a disk or bucket that is full or refuses to write; what was committed is intact
    └── BucketFailed                   a bucket that does not exist, refuses access or cannot be reached

A message has one sentence or two: what is wrong, where (file, line, column), and the next step.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "BadData",
    "BucketFailed",
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
    """A file or folder that was named does not exist."""


class ColumnMissing(CallError, LookupError):
    """A table has no column of that name."""


class UnknownName(CallError, LookupError):
    """A head, model, hyperparameter, label or value that does not exist."""


class ModelUnavailable(CallError, OSError):
    """An encoder that cannot be loaded on this machine."""


class ExtraMissing(CallError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class RecipeMismatch(CallError):
    """The requested features were made by another recipe than those in the store."""


class BadData(EmbedOnceError, ValueError):
    """A file that can be read but not used."""


class StoreDamaged(EmbedOnceError, ValueError):
    """The content of a shard, or of another file of a store, does not match its name or hash."""


class RunDamaged(EmbedOnceError, ValueError):
    """The content of a file of a run does not match its hash."""


class StorageFailed(EmbedOnceError, OSError):
    """A disk or bucket is full or refuses to write; what was committed before is intact."""


class BucketFailed(EmbedOnceError):
    """A bucket does not exist, refuses access or cannot be reached."""


MOST_KNOWN = 30  # names in a suggestion; heads, columns and options are fewer


def suggest_name(name: str, names: Iterable[str]) -> str:
    """Return " Did you mean 'lstm'?" for the closest of `names`, or list all of them if none is close."""
    known = sorted(names)
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{close[0]}'?"
    more = f" and {len(known) - MOST_KNOWN:,} more" if len(known) > MOST_KNOWN else ""
    return f" Known: {', '.join(known[:MOST_KNOWN])}{more}." if known else ""
