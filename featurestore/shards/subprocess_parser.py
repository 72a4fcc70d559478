"""Parsing of unknown shards in a subprocess, with limits on time and memory.

HDF5 is a large parser: a malicious file can crash it, hang it, or make it request terabytes. Whatever happens to the
subprocess becomes a sentence; this process continues.

    python -m featurestore.shards.subprocess_parser

reads a recipe and then paths, one line of JSON each, and answers each path with one line.
"""

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from data.errors import EmbedOnceError
from featurestore.shards.shard import NEXT_STEP, Shard
from featurestore.vectors.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30.0  # per shard, plus the same per gigabyte
SPARE_BYTES = 512 * 2**20  # in addition to the size of the file, which is mapped


class ShardParser:
    """A context in which shards are parsed by a subprocess, which is started when it is needed."""

    def __init__(self, recipe: Recipe, seconds: float = SECONDS) -> None:
        self._recipe, self._seconds = recipe, seconds
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def find_fault(self, path: Path) -> str | None:
        """Return a sentence for a damaged shard, None for a good one; its hash is not checked."""
        self._child = self._child or _Child(self._recipe)
        try:
            return self._child.check(path, self._seconds)
        except _ChildDied as death:
            self.__exit__()
            return f"{path} cannot be parsed: {death}. {NEXT_STEP}"


class _ChildDied(Exception):
    """The subprocess ended without an answer."""


class _Child:
    """A subprocess that parses one shard after another."""

    def __init__(self, recipe: Recipe) -> None:
        # each thread of OpenBLAS reserves as much memory as the limit allows in total
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "featurestore.shards.subprocess_parser"]
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )
        except OSError as error:
            raise EmbedOnceError(
                f"No subprocess can be started to parse shards ({sys.executable}: {error.strerror})."
            ) from error
        self._send(recipe.to_json())

    def _send(self, value: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # a dead subprocess is noticed when it does not answer
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()

    def check(self, path: Path, seconds: float) -> str | None:
        """Return the problem of a shard, or None. Raises _ChildDied."""
        assert self._process.stdout is not None
        limit = seconds * (1 + path.lstat().st_size / 1e9)
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            self._process.kill()

        timer = threading.Timer(limit, stop)
        timer.start()
        self._send(str(path.absolute()))
        answer = self._process.stdout.readline()
        timer.cancel()
        timer.join()
        if answer:
            problem = json.loads(answer)
            return None if problem is None else str(problem)
        code = self._process.wait()
        raise _ChildDied(
            f"it took more than {limit:.0f} seconds" if timed_out.is_set() else f"HDF5 ended with code {code} on it"
        )

    def end(self) -> None:
        """Kill the subprocess and wait for it."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Answer each path on stdin with a sentence or null."""
    recipe = Recipe.from_json(json.loads(sys.stdin.readline()))
    import h5py  # noqa: F401 - its memory does not count towards the limit

    before = _address_space()
    for line in sys.stdin:
        path = Path(json.loads(line))
        try:
            _limit_address_space(before + 2 * path.stat().st_size + SPARE_BYTES)
            Shard.open(path, recipe, lambda _: True)
            problem = None
        except (EmbedOnceError, OSError) as error:
            problem = str(error)
        except MemoryError:
            problem = f"{path} cannot be parsed: it requests more memory than its size explains. {NEXT_STEP}"
        print(json.dumps(problem), flush=True)  # noqa: T201 - the answer to the parent


def _address_space() -> int:
    """The bytes of address space of this process, 0 if unknown."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def _limit_address_space(size: int) -> None:
    """Limit the address space of this process to `size` bytes, if the system supports it."""
    if not _address_space():
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))


if __name__ == "__main__":
    main()
