"""A model of what a disk may hold after its power is cut, fed with what a session does to files.

Data that was not fsynced may be there, be missing, be zeros or stop half-way. A name that was made, moved or removed
may be as before or as after, each on its own, until its folder is fsynced; fsyncing a file does not keep its name.
"""

import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

# what stands under a path: a file's bytes, None for a folder
State = Mapping[str, bytes | None]


class Operation(NamedTuple):
    """`kind` is a method of Disk, or "done" for something that was reported as done."""

    kind: str
    given: tuple[Any, ...]


@dataclass
class _File:
    kept: bytes = b""
    data: bytes = b""

    def possible(self) -> set[bytes]:
        half = self.data[: len(self.data) // 2]
        return {self.kept} if self.kept == self.data else {self.kept, half, bytes(len(self.data)), self.data}


@dataclass
class _Folder:
    """pending: changes of names since it was fsynced, name -> what stands there then, None for nothing."""

    kept: dict[str, "_File | _Folder"] = field(default_factory=dict)
    pending: list[dict[str, "_File | _Folder | None"]] = field(default_factory=list)

    def names(self, happened: tuple[bool, ...] | None = None) -> dict[str, "_File | _Folder"]:
        names: dict[str, _File | _Folder | None] = dict(self.kept)
        for number, change in enumerate(self.pending):
            if happened is None or happened[number]:
                names |= change
        return {name: found for name, found in names.items() if found is not None}


class Disk:
    """Starts with one empty folder. Paths are those of the session, `root` is that folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._top = _Folder()

    def _at(self, path: Path) -> Any:
        found: Any = self._top
        for name in path.relative_to(self._root).parts:
            found = found.names()[name]
        return found

    def _change(self, folder: Path, **names: Any) -> None:
        self._at(folder).pending.append(names)

    def mkdir(self, path: Path) -> None:
        self._change(path.parent, **{path.name: _Folder()})

    def create(self, path: Path) -> None:
        self._change(path.parent, **{path.name: _File()})

    def write(self, path: Path, data: bytes) -> None:
        self._at(path).data += data

    def replace(self, path: Path, new: Path) -> None:
        assert path.parent == new.parent  # the model knows no other
        self._change(path.parent, **{path.name: None, new.name: self._at(path)})

    def link(self, path: Path, new: Path) -> None:
        self._change(new.parent, **{new.name: self._at(path)})

    def unlink(self, path: Path) -> None:
        self._change(path.parent, **{path.name: None})

    def fsync(self, path: Path) -> None:
        found = self._at(path)
        if isinstance(found, _File):
            found.kept = found.data
        else:
            found.kept, found.pending = found.names(), []

    def done(self, what: str) -> None:
        """Nothing happens to the disk."""

    def states(self) -> Iterator[State]:
        """All that it may hold when the power is cut now; each once."""
        seen = set()
        for state in _states(self._top, ""):
            mark = frozenset(state.items())
            if mark not in seen:
                seen.add(mark)
                yield state


def _states(folder: _Folder, prefix: str) -> Iterator[dict[str, bytes | None]]:
    for happened in product([True, False], repeat=len(folder.pending)):
        each = [list(_possible(found, f"{prefix}{name}")) for name, found in folder.names(happened).items()]
        for choice in product(*each):
            yield {path: data for part in choice for path, data in part.items()}


def _possible(found: _File | _Folder, path: str) -> Iterator[dict[str, bytes | None]]:
    if isinstance(found, _Folder):
        yield from ({path: None, **inside} for inside in _states(found, f"{path}/"))
    else:
        for data in sorted(found.possible()):
            yield {path: data}


class Killed(BaseException):
    """The process ends here, and does nothing more."""


class Recorder:
    """While `watching`, what is done to files below `root` is done and noted; after `most` operations comes a kill."""

    def __init__(self, root: Path, most: int | None = None) -> None:
        self.operations: list[Operation] = []
        self._root = root
        self._most = most
        self._open: dict[int, Path] = {}

    def done(self, what: str) -> None:
        """Something was reported as done."""
        self.operations.append(Operation("done", (what,)))

    def watch(self, patched: pytest.MonkeyPatch) -> None:
        """From now on, until `patched` is undone."""
        for name in ("mkdir", "replace", "link", "unlink"):
            patched.setattr(os, name, self._noted(name, getattr(os, name)))
        patched.setattr(os, "write", self._write(os.write))
        patched.setattr(os, "fsync", self._fsync(os.fsync))
        patched.setattr(os, "open", self._folder(os.open))
        patched.setattr(io, "open", self._create(io.open))

    def _note(self, kind: str, *given: Any) -> None:
        self.operations.append(Operation(kind, given))

    def _kill_in_time(self) -> None:
        if self._most is not None and len(self.operations) >= self._most:
            raise Killed

    def _noted(self, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            paths = [Path(each) for each in given if isinstance(each, str | os.PathLike)]
            if not all(path.is_relative_to(self._root) for path in paths):
                return real(*given, **named)
            self._kill_in_time()
            real(*given, **named)
            self._note(kind, *paths)
            return None

        return call

    def _write(self, real: Callable[..., int]) -> Callable[..., int]:
        def write(descriptor: int, data: Any) -> int:
            self._kill_in_time()
            written = real(descriptor, data)
            self._note("write", self._open[descriptor], bytes(data[:written]))
            return written

        return write

    def _fsync(self, real: Callable[..., None]) -> Callable[..., None]:
        def fsync(descriptor: int) -> None:
            self._kill_in_time()
            self._note("fsync", self._open[descriptor])  # not done: nobody cuts the power here

        return fsync

    def _folder(self, real: Callable[..., int]) -> Callable[..., int]:
        def open_folder(path: Any, *given: Any, **named: Any) -> int:
            descriptor = real(path, *given, **named)
            self._open[descriptor] = Path(path)
            return descriptor

        return open_folder

    def _create(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def create(path: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
            if mode != "xb":
                return real(path, mode, *given, **named)
            self._kill_in_time()
            file = real(path, mode, *given, **named)
            self._note("create", Path(path))
            self._open[file.fileno()] = Path(path)
            return file

        return create
