"""The protocol of storage: the files of one folder of a store, on a local disk or in a bucket.

Content is written whole: no reader meets half a file. Reading raises OSError (FileNotFoundError if there is no such
file), or BucketFailed if a bucket does not answer or refuses; writing raises StorageFailed.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from featurestore.storage.location import Location

# called with the bytes done and the total bytes
Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class FileState:
    """What is known of a file without reading it.

    size: in bytes. modified: seconds since 1970. version: what a conditional write compares; none on a local disk.
    """

    size: int
    modified: float
    version: tuple[tuple[str, str], ...] = ()


class Storage(Protocol):
    """The files of one folder. Names that begin with "." are not listed: they belong to writers."""

    @property
    def location(self) -> Location:
        """The folder, or its URL."""

    @property
    def is_local(self) -> bool:
        """Whether reading a file costs no download."""

    def subfolder(self, name: str) -> "Storage":
        """The storage of a folder in this one, which may not exist yet."""

    def prepare(self) -> None:
        """Make the folder, if this storage has folders."""

    def sync(self) -> None:
        """Have names survive a power cut, also those of a writer that was killed."""

    def names(self) -> list[str]:
        """The names of the files, sorted; none if there is no folder."""

    def states(self) -> dict[str, FileState]:
        """The state of each file, by name, sorted."""

    def state(self, name: str) -> FileState | None:
        """The state of a file, None if there is none."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; a link is refused."""

    def write_if_absent(self, name: str, data: bytes) -> None:
        """Write a file, but keep an existing one, also one that another process writes first."""

    def write_under_hash(self, data: bytes | memoryview, suffix: str) -> str:
        """Write a file named by the hex sha256 of its content and `suffix`, and return its name."""

    def replace(self, name: str, data: bytes | Iterable[bytes], before: FileState | None) -> None:
        """Write a file over that of state `before`, None for no file, as `state` returned it.

        In a bucket it fails if the file has changed since; on a local disk the last writer wins.
        """

    def remove(self, name: str) -> None:
        """Remove a file; one that does not exist is no error."""

    def move(self, name: str, folder: "Storage") -> None:
        """Move a file into another folder of the same store, under a free name."""

    def fetch(self, names: Sequence[str], progress: Progress | None = None) -> dict[str, Path]:
        """The path on this machine of each file, which is named by its hash; those that are gone are left out.

        Files of a bucket are downloaded into a cache, and their hashes checked. Raises StoreDamaged.
        """

    def fresh_copy(self, name: str) -> AbstractContextManager[Path]:
        """A path of the file as it is now, for as long as the context lasts; nothing is taken from a cache."""

    def lock(self, name: str) -> AbstractContextManager[Callable[[], None]]:
        """Lock an existing file until the context or the process ends; it may be read and written nevertheless.

        Yields a function to call before each step that needs the lock. Both raise StorageFailed if another process has
        it.
        """

    def remove_temporary_files(self, age: float) -> int:
        """Remove files of writers that died, older than `age` seconds, here and below, and return their number."""


def read(storage: Storage, name: str) -> bytes:
    """Read a whole file."""
    with storage.open(name) as file:
        return file.read()
