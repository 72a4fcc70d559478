"""A process that opens each shard of a folder, and says what it was told, which other files it opened, and its memory.

    python -m tests.faults.opening FOLDER GOOD

GOOD is a shard to open first, for what is loaded only then. Any file is noted that Python opens, but for its modules;
one that HDF5 opens is not, so a test puts a pipe in its place, which is waited for until the process is ended.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from data.errors import BadData, StoreDamaged
from featurestore import Shard
from tests.featurestore.made import RECIPE

SECONDS = 30


def opened(path: Path) -> str:
    """What is said of the shard, nothing if it is read."""
    try:
        for ragged in Shard.open(path, RECIPE).bags().views.values():
            ragged.gather()
    except (StoreDamaged, BadData) as error:
        return str(error)
    except Exception as error:
        return f"no sentence but {error!r}"
    return ""


def main() -> None:
    """Print one JSON object: said, elsewhere (paths), grown (bytes)."""
    folder, good = Path(sys.argv[1]), Path(sys.argv[2])
    assert not opened(good)
    elsewhere: list[str] = []

    def note(event: str, given: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(given[0], int):
            path = Path(os.fsdecode(given[0]))
            if not path.is_relative_to(folder) and path.suffix != ".pyc":
                elsewhere.append(str(path))

    sys.addaudithook(note)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(SECONDS)  # which ends the process
    said = {path.name: opened(path) for path in sorted(folder.iterdir())}
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    print(json.dumps({"said": said, "elsewhere": elsewhere, "grown": grown}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
