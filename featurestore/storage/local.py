"""Storage in a folder of a local disk: see data/atomic_write.py for what survives a kill and a power cut."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from data.atomic_write import (
    TEMPORARY_PREFIX,
    make_folder,
    move_into,
    open_regular_file,
    remove_file,
    sync_folder,
    write_atomically,
    write_if_absent,
    write_under_hash,
)
from data.errors import StorageFailed
from featurestore.storage.file_lock import lock_file
from featurestore.storage.storage import FileState, Progress, Storage


@dataclass(frozen=True)
class LocalStorage:
    """The files of a folder."""

    location: Path
    is_local: ClassVar[bool] = True

    def subfolder(self, name: str) -> "LocalStorage":
        """The storage of a folder in this one, which may not exist yet."""
        return LocalStorage(self.location / name)

    def prepare(self) -> None:
        """Make the folder. Raises StorageFailed."""
        make_folder(self.location)

    def sync(self) -> None:
        """Sync the folder, if it exists. Raises StorageFailed."""
        sync_folder(self.location)

    def names(self) -> list[str]:
        """The names in the folder, sorted."""
        return sorted(path.name for path in self.location.glob("*") if not path.name.startswith("."))

    def states(self) -> dict[str, FileState]:
        """The state of each file; those that vanish meanwhile are left out."""
        return {name: state for name in self.names() if (state := self.state(name)) is not None}

    def state(self, name: str) -> FileState | None:
        """Size and time of a file or link, None if there is none."""
        try:
            stat = (self.location / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileState(stat.st_size, stat.st_mtime)

    def open(self, name: str) -> BinaryIO:
        """Open a file. Raises OSError for a link, which may lead outside the store, and for a pipe."""
        return open_regular_file(self.location / name)

    def write_if_absent(self, name: str, data: bytes) -> None:
        """Write a file unless it exists. Raises StorageFailed."""
        write_if_absent(self.location / name, data)

    def write_under_hash(self, data: bytes | memoryview, suffix: str) -> str:
        """Write a file named by its hash. Raises StorageFailed."""
        make_folder(self.location)
        return write_under_hash(self.location, data, suffix).name

    def replace(self, name: str, data: bytes | Iterable[bytes], before: FileState | None) -> None:  # noqa: ARG002
        """Write a file over an existing one; the last writer wins. Raises StorageFailed."""
        make_folder(self.location)
        write_atomically(self.location / name, data)

    def remove(self, name: str) -> None:
        """Remove a file, if it exists. Raises StorageFailed."""
        remove_file(self.location / name)

    def move(self, name: str, folder: Storage) -> None:
        """Move a file or link into a folder. Raises StorageFailed."""
        assert isinstance(folder, LocalStorage)
        move_into(self.location / name, folder.location)

    def fetch(self, names: Sequence[str], progress: Progress | None = None) -> dict[str, Path]:  # noqa: ARG002
        """The paths of the files, which are where they are."""
        return {name: self.location / name for name in names}

    @contextmanager
    def fresh_copy(self, name: str) -> Iterator[Path]:
        """Yield the path of the file itself."""
        yield self.location / name

    @contextmanager
    def lock(self, name: str) -> Iterator[Callable[[], None]]:
        """Lock a file, unless the file system has no locks. Raises StorageFailed if another process has locked it."""
        with ExitStack() as stack:
            try:
                lock_file(stack.enter_context(_open_to_lock(self.location / name)))
            except BlockingIOError as error:
                raise StorageFailed(
                    f"Another process is rewriting {self.location}. Run the same command again when it has ended."
                ) from error
            except OSError:
                pass
            yield lambda: None

    def remove_temporary_files(self, age: float) -> int:
        """Remove what begins with .tmp- and is older than `age` seconds, in this folder and below."""
        removed = 0
        for path in self.location.rglob(f"{TEMPORARY_PREFIX}*"):
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > age:
                    path.unlink()
                    removed += 1
        return removed


def _open_to_lock(path: Path) -> BinaryIO:
    """Open a file for writing, because NFS locks no other, or for reading if it is that of another user."""
    try:
        return path.open("r+b")
    except PermissionError:
        return path.open("rb")
