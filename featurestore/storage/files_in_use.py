"""Which files of a cache running processes use, so that no process removes a file that another one reads.

    shards-in-use/4f2a....names     the names of the files that one process uses, one a line

Open files alone would survive their removal, but the processes of parallel fits open them by their names. A list is
locked by its process for as long as that lives; lists that nobody locks are removed.
"""

import os
import secrets
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from data.atomic_write import TEMPORARY_PREFIX
from featurestore.storage.file_lock import lock_file

_SUFFIX = ".names"


class FilesInUse:
    """The files that this process uses until it ends, and those that others use. folder: of the lists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: set[str] = set()
        self._list: Path | None = None
        self._descriptor = -1

    def add(self, names: Iterable[str]) -> None:
        """Have files be kept until this process ends; by this process only, if the list cannot be written."""
        new = sorted(set(names) - self._own)
        self._own.update(new)
        if not new or os.name == "nt":  # where files that are open cannot be removed anyway
            return
        with suppress(OSError):
            if self._list is None:
                self.names()  # which removes the lists of processes that ended
                self._list = self._create_list()
            os.write(self._descriptor, "".join(f"{name}\n" for name in new).encode())

    def names(self) -> set[str]:
        """The names of the files that this process and other running ones use."""
        names = set(self._own)
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path != self._list:
                names |= _read_list(path)
        return names

    def _create_list(self) -> Path:
        """Create the list, which gets its name once it is locked: before, others would remove it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = secrets.token_hex(8)
        temporary = self._folder / f"{TEMPORARY_PREFIX}{name}"
        self._descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        close = weakref.finalize(self, os.close, self._descriptor)
        try:
            lock_file(self._descriptor)
            return temporary.rename(self._folder / f"{name}{_SUFFIX}")
        except OSError:
            close()
            temporary.unlink(missing_ok=True)
            raise


def _read_list(path: Path) -> set[str]:
    """The names in the list of another process; none if that has ended, whose list is removed."""
    names: set[str] = set()
    try:
        with path.open("r+b") as file:
            names.update(file.read().decode().split())
            lock_file(file)
            path.unlink()
    except OSError:  # the process has it locked
        return names
    return set()
