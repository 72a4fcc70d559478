"""How many decisions of one run were scored on the test split: each score is a look that could choose by it.

A file in the folder of the parent lists the decided runs that were scored, in this order. It is no part of the parent's
hashed files. Lines are only added, so a decided run counts also after it was removed. Decided runs that the file does
not name count too, as those of a parent that was copied without it.
"""

import os
from collections.abc import Sequence

from data.errors import StorageFailed
from stages.fitting.runs import Run, runs_in

__all__ = ["register_scoring"]

FILE = "scored_decisions.txt"


def register_scoring(parent: Run, name: str) -> int:
    """Record that the decided run `name` is scored on the test split.

    Args:
        parent: the run that has the scores.
        name: of the decided run; scoring the same one again is no further look.

    Returns:
        How many other decided runs of the parent were scored before.

    Raises:
        StorageFailed: the list cannot be written, and then the test split must not be scored.
    """
    path = parent.folder / FILE
    try:
        listed = path.read_text(encoding="utf-8").split() if path.exists() else []
        if name not in listed:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise StorageFailed(
            f"{path} cannot be written: {error.strerror or error}. It lists the decisions that were scored on the test "
            "split; make it writable and decide again."
        ) from error
    before = listed[: listed.index(name)] if name in listed else listed
    return len(dict.fromkeys([*before, *_unlisted(parent, [*listed, name])]))


def _unlisted(parent: Run, listed: Sequence[str]) -> list[str]:
    """Decided runs of the parent that were scored, and are not in the list."""
    scored = [run for run in runs_in(parent.folder.parent) if run.record.parent == parent.name and run.record.final]
    return [run.name for run in scored if run.name not in listed]
