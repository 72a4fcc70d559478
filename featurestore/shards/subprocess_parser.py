"""Shards of unknown origin, parsed in a process of their own, with a limit on its time and memory.

HDF5 is a large parser: a file made for the purpose can crash it, hang it, or have it ask for terabytes. What happens to
the child is told as a sentence; this process goes on.

    python -m featurestore.shards.subprocess_parser

reads a recipe and then paths, one line of JSON each, and answers each path with one line.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from data.errors import EmbedOnceError
from featurestore.shards.shard import NEXT_STEP, Shard
from featurestore.vectors.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30.0  # for a shard, and as much again for each gigabyte
SPARE_BYTES = 512 * 2**20  # beyond the file's own size, which is mapped


def find_faults(paths: Sequence[Path], recipe: Recipe, *, seconds: float = SECONDS) -> Iterator[str | None]:
    """Of each shard a sentence on what is wrong with it, None for a good one; in the order of `paths`, not hashed."""
    child: _Child | None = None
    try:
        for path in paths:
            child = child or _Child(recipe)
            try:
                fault = child.ask(path, seconds)
            except _Gone as gone:
                child.end()
                child, fault = None, f"{path} cannot be parsed: {gone}. {NEXT_STEP}"
            yield fault
    finally:
        if child is not None:
            child.end()


class _Gone(Exception):
    """The child did not live to answer."""


class _Child:
    """A process that parses one shard after another."""

    def __init__(self, recipe: Recipe) -> None:
        # one thread of OpenBLAS reserves as much memory as the limit allows for all
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "featurestore.shards.subprocess_parser"]
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )
        except OSError as error:
            raise EmbedOnceError(
                f"No process can be started to parse shards in ({sys.executable}: {error.strerror})."
            ) from error
        self._tell(recipe.to_json())

    def _tell(self, value: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # a child that is gone is noticed when it does not answer
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()

    def ask(self, path: Path, seconds: float) -> str | None:
        """What is wrong with the shard. Raises _Gone."""
        assert self._process.stdout is not None
        limit = seconds * (1 + path.lstat().st_size / 1e9)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(limit, give_up)
        timer.start()
        self._tell(str(path.absolute()))
        answer = self._process.stdout.readline()
        timer.cancel()
        timer.join()
        if answer:
            found = json.loads(answer)
            return None if found is None else str(found)
        code = self._process.wait()
        raise _Gone(f"it took more than {limit:.0f} seconds" if late.is_set() else f"HDF5 ended with code {code} on it")

    def end(self) -> None:
        """Close it and wait for it."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Answer each path on stdin with a sentence or null."""
    recipe = Recipe.from_json(json.loads(sys.stdin.readline()))
    import h5py  # noqa: F401 - what it takes is no part of the limit

    before = _in_use()
    for line in sys.stdin:
        path = Path(json.loads(line))
        try:
            _limit(before + 2 * path.stat().st_size + SPARE_BYTES)
            Shard.open(path, recipe, lambda _: True)
            found = None
        except (EmbedOnceError, OSError) as error:
            found = str(error)
        except MemoryError:
            found = f"{path} cannot be parsed: it asks for more memory than its size explains. {NEXT_STEP}"
        print(json.dumps(found), flush=True)  # noqa: T201 - the answer to the parent


def _in_use() -> int:
    """Bytes of address space that this process has, 0 where that cannot be known."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def _limit(size: int) -> None:
    """Let this process have so much address space, where the system knows such a limit."""
    if not _in_use():
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))


if __name__ == "__main__":
    main()
