"""Storage in a bucket. Objects are written whole and conditionally; shards are read from a cache.

A request whose answer is lost may have written: it is sent again, and then finds its own content.
"""

import hashlib
import io
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from data.atomic_write import TEMPORARY_PREFIX
from data.errors import StorageFailed
from featurestore.storage.bucket import connect, sentences
from featurestore.storage.location import StoreUrl
from featurestore.storage.shard_cache import ShardCache, save_stream
from featurestore.storage.storage import FileState, Progress, Storage, read

_PIECE = 4 * 2**20
_ATTEMPTS = 2
LOCK_SECONDS = 3600.0  # since it was last renewed


class ObjectStorage:
    """The objects below a URL whose names have no further "/"."""

    is_local = False

    def __init__(self, location: StoreUrl) -> None:
        self.location = location
        self._client = connect(location.scheme, location.bucket)
        self._cache = ShardCache()
        self._folders: dict[str, ObjectStorage] = {}
        self._listed: dict[str, FileState] = {}
        # what this process wrote and removed, until a listing shows it: that may lag behind
        self._written: dict[str, FileState] = {}
        self._removed: set[str] = set()

    def subfolder(self, name: str) -> "ObjectStorage":
        """The storage of the objects below a longer URL."""
        return self._folders.setdefault(name, ObjectStorage(self.location / name))

    def prepare(self) -> None:
        """Do nothing: a bucket has no folders."""

    def sync(self) -> None:
        """Do nothing: an object that was put is durable."""

    def names(self) -> list[str]:
        """The names of the objects, sorted. Raises BucketFailed."""
        return list(self.states())

    def states(self) -> dict[str, FileState]:
        """The state of each object, by name. Raises BucketFailed."""
        import obstore

        prefix = f"{self.location.path}/".lstrip("/")
        with sentences(self.location):
            found = obstore.list_with_delimiter(self._client, prefix)["objects"]
        # an empty object "folder/", as some programs make, is listed as one above the folder
        entries = [entry for entry in found if entry["path"].startswith(prefix)]
        listed = {entry["path"].removeprefix(prefix): _state(entry) for entry in entries}
        for name in listed:  # one by one: a thread may write meanwhile
            self._written.pop(name, None)
        self._removed.intersection_update(listed)
        states = {name: state for name, state in listed.items() if name not in self._removed} | self._written
        self._listed = {name: states[name] for name in sorted(states) if not name.startswith(".")}
        return self._listed

    def state(self, name: str) -> FileState | None:
        """The state of an object, None if there is none. Raises BucketFailed."""
        import obstore

        try:
            with sentences(self.location / name):
                return _state(obstore.head(self._client, self._path(name)))
        except FileNotFoundError:
            return None

    def open(self, name: str) -> BinaryIO:
        """Download an object into memory. Raises FileNotFoundError, BucketFailed."""
        import obstore

        with sentences(self.location / name):
            return io.BytesIO(obstore.get(self._client, self._path(name)).bytes())

    def write_if_absent(self, name: str, data: bytes) -> None:
        """Put an object unless there is one. Raises StorageFailed."""
        self._put(name, data, None)

    def write_under_hash(self, data: bytes | memoryview, suffix: str) -> str:
        """Put an object named by its hash; an existing one of another length is replaced. Raises StorageFailed."""
        name = f"{hashlib.sha256(data).hexdigest()}{suffix}"
        if not self._put(name, data, None):
            state = self.state(name)
            if state is not None and state.size != len(data):
                self._put(name, data, state)
        self._written.setdefault(name, FileState(len(data), time.time()))
        self._cache.add(name, data)
        return name

    def replace(self, name: str, data: bytes | Iterable[bytes], before: FileState | None) -> None:
        """Put an object if it is still in the state `before`. Raises StorageFailed."""
        content = data if isinstance(data, bytes) else b"".join(data)
        if self._put(name, content, before):
            return
        try:
            with self.open(name) as file:
                if file.read() == content:  # the first of two equal requests, or another writer of the same
                    return
        except FileNotFoundError:
            pass
        raise StorageFailed(f"{self.location / name} was changed by another process. Run the same command again.")

    def remove(self, name: str) -> None:
        """Delete an object, if it exists. Raises StorageFailed."""
        import obstore

        try:
            with sentences(self.location / name, writing=True):
                obstore.delete(self._client, self._path(name))
        except FileNotFoundError:
            pass
        self._removed.add(name)
        self._written.pop(name, None)

    def move(self, name: str, folder: Storage) -> None:
        """Copy an object to a free name in another folder, then delete it. Raises StorageFailed."""
        import obstore

        assert isinstance(folder, ObjectStorage)
        target = name if folder.state(name) is None else f"{name}.{secrets.token_hex(2)}"
        with sentences(self.location / name, writing=True):
            obstore.copy(self._client, self._path(name), folder._path(target))
        self.remove(name)

    def fetch(self, names: Sequence[str], progress: Progress | None = None) -> dict[str, Path]:
        """Download what the cache lacks. Raises StoreDamaged, BucketFailed, StorageFailed if the disk is full."""
        states = self._listed if self._listed.keys() >= set(names) else self.states()
        wanted = {name: states[name] for name in names if name in states}
        return self._cache.fetch(wanted, self.location, self._stream, progress)

    @contextmanager
    def fresh_copy(self, name: str) -> Iterator[Path]:
        """Download an object into a temporary folder. Raises FileNotFoundError, BucketFailed, StorageFailed."""
        folder = self._cache.folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            save_stream(self._stream(name), folder / name)
            yield folder / name
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[Callable[[], None]]:
        """Put an object while the context lasts; that of a killed process counts for LOCK_SECONDS.

        Raises StorageFailed, BucketFailed.
        """
        name, token = f".{name}.lock", b""
        before = self.state(name)
        if before is not None and time.time() - before.modified < LOCK_SECONDS:
            raise StorageFailed(
                f"Another process is rewriting {self.location}. Run the same command again when it has ended. If it "
                f"was killed, wait an hour, or delete {self.location / name}."
            )

        def renew() -> None:
            nonlocal before, token
            # other bytes, or a process that found the lock too old could still put its own over it: an ETag is a hash
            token = secrets.token_bytes(16)
            self.replace(name, token, before)
            before = self.state(name)

        renew()
        try:
            yield renew
        finally:
            with suppress(FileNotFoundError):
                if read(self, name) == token:  # else it took longer, and another process has the lock
                    self.remove(name)

    def remove_temporary_files(self, age: float) -> int:  # noqa: ARG002
        """Do nothing: a put that was interrupted leaves no object."""
        return 0

    def _path(self, name: str) -> str:
        return (self.location / name).path

    def _stream(self, name: str) -> Iterator[bytes]:
        import obstore

        with sentences(self.location / name):
            yield from map(bytes, obstore.get(self._client, self._path(name)).stream(min_chunk_size=_PIECE))

    def _put(self, name: str, data: bytes | memoryview, before: FileState | None) -> bool:
        """Put an object over that of state `before`, None for no object; whether it was in that state."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError

        mode: Any = "create" if before is None else dict(before.version)
        with sentences(self.location / name, writing=True):
            for attempt in range(_ATTEMPTS):
                try:
                    result = obstore.put(self._client, self._path(name), data, mode=mode)
                except (AlreadyExistsError, PreconditionError):
                    return False
                except GenericError:
                    if attempt == _ATTEMPTS - 1:
                        raise
                else:
                    self._removed.discard(name)
                    self._written[name] = FileState(len(data), time.time(), _version(result))
                    break
        return True


def _state(entry: Mapping[str, Any]) -> FileState:
    return FileState(entry["size"], entry["last_modified"].timestamp(), _version(entry))


def _version(entry: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What a conditional put compares: the ETag, and the generation on Google's."""
    return tuple((key, entry[key]) for key in ("e_tag", "version") if entry.get(key) is not None)
