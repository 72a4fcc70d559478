"""The shards of buckets on the local disk, named by their hashes, so that all stores and processes share them.

If they take more than the limit ($EMBEDONCE_SHARD_CACHE_GB), those that were used longest ago are removed, but
none that this or another running process has fetched. A file appears under its name once it is complete and its hash is
checked.
"""

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from data.atomic_write import TEMPORARY_PREFIX, cache_folder, hash_file, write_cache
from data.errors import CallError, StorageFailed, StoreDamaged
from data.text_format import format_bytes
from featurestore.storage.files_in_use import FilesInUse
from featurestore.storage.location import Location
from featurestore.storage.storage import FileState, Progress
from featurestore.storage.verified_cache import VerifiedShards

LIMIT_VARIABLE = "EMBEDONCE_SHARD_CACHE_GB"
DEFAULT_GIGABYTES = 50.0
DOWNLOADS = 8
_DEAD_AFTER_SECONDS = 24 * 3600.0

Stream = Callable[[str], Iterable[bytes]]


class ShardCache:
    """The folder `shards` of the user's cache. Files that were fetched stay until this process ends."""

    def __init__(self) -> None:
        self.folder = cache_folder() / "shards"
        self._verified, self._in_use = _shared_state(self.folder)

    def fetch(
        self, wanted: Mapping[str, FileState], store: Location, stream: Stream, progress: Progress | None = None
    ) -> dict[str, Path]:
        """Return the path of each file, in the order of `wanted`; those that do not exist any more are left out.

        Args:
            wanted: The states of the files, by name.
            store: Where they are, for messages.
            stream: Yields the content of a file by its name. Raises FileNotFoundError.
            progress: Called with the bytes downloaded and the bytes to download.

        Raises:
            CallError: The limit is smaller than the files that are in use.
            StorageFailed: The disk is full.
            StoreDamaged: A file does not match its name.
        """
        limit = cache_limit()
        self._in_use.add(wanted)  # first: from now on no process removes them
        missing = {name: state for name, state in wanted.items() if not self._is_intact(name, state)}
        if missing:
            self._make_room(sum(state.size for state in missing.values()), limit, store)
            self._download(missing, store, stream, progress)
        self._verified.save()
        return {name: path for name in wanted if (path := self.folder / name).exists()}

    def add(self, name: str, data: bytes | memoryview) -> None:
        """Keep a file that this process has just written to a bucket, if there is room for it."""
        with suppress(CallError, StorageFailed, OSError):
            self._make_room(len(data), cache_limit(), self.folder)
            write_cache(self.folder / name, bytes(data))

    def _is_intact(self, name: str, state: FileState) -> bool:
        """Whether the cache has a file, with its hash checked now or before; a damaged one is removed."""
        path = self.folder / name
        try:
            stat = path.lstat()
            os.utime(path, ns=(time.time_ns(), stat.st_mtime_ns))  # used now; not modified
            intact = self._verified.is_verified(name, stat) or (
                stat.st_size == state.size and hash_file(path) == path.stem
            )
        except OSError:
            return False
        if intact:
            self._verified.add(name, stat)
        else:
            self._remove(path)
        return intact

    def _make_room(self, size: int, limit: float, store: Location) -> None:
        """Remove files that are not in use until `size` bytes fit. Raises CallError, StorageFailed."""
        files = sorted(self._files(), key=lambda file: file[1].st_atime_ns)
        total = sum(stat.st_size for _, stat in files) + size
        for path, stat in files:
            if total > limit and path.name not in self._in_use.names():  # as they are now
                self._remove(path)
                total -= stat.st_size
        if total > limit:
            raise CallError(
                f"The shards that are read from {store} and other buckets, also by other processes, take "
                f"{format_bytes(total)}, but the cache may have {format_bytes(limit)}. "
                f"Set {LIMIT_VARIABLE} to more gigabytes, or wait until other processes end."
            )
        existing = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        if (free := shutil.disk_usage(existing).free) < size:
            raise StorageFailed(
                f"{format_bytes(size)} of shards do not fit into the cache {self.folder}, whose disk has "
                f"{format_bytes(free)} free. Make room, or name another folder in EMBEDONCE_CACHE."
            )

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """The files and their states, without half files, of which those of dead processes are removed."""
        for path in self.folder.glob("*"):
            with suppress(OSError):
                stat = path.lstat()
                if not path.name.startswith(TEMPORARY_PREFIX):
                    yield path, stat
                elif time.time() - stat.st_mtime > _DEAD_AFTER_SECONDS:
                    path.unlink() if path.is_file() else shutil.rmtree(path)

    def _remove(self, path: Path) -> None:
        self._verified.forget(path.name)
        with suppress(OSError):
            path.unlink()

    def _download(
        self, missing: Mapping[str, FileState], store: Location, stream: Stream, progress: Progress | None
    ) -> None:
        done, total = 0, sum(state.size for state in missing.values())
        executor = ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="download")
        try:
            pending: dict[Future[None], str] = {
                executor.submit(self._download_file, name, state, store, stream): name
                for name, state in missing.items()
            }
            for future in as_completed(pending):
                future.result()
                done += missing[pending[future]].size
                if progress is not None:
                    progress(done, total)
        finally:
            executor.shutdown(cancel_futures=True)

    def _download_file(self, name: str, state: FileState, store: Location, stream: Stream) -> None:
        temporary = self.folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            digest = save_stream(stream(name), temporary)
            if digest != Path(name).stem:
                raise StoreDamaged(
                    f"{store / name} is damaged: its bytes do not match its name. "
                    "Run `embedonce store repair`, then `embedonce embed` again to encode its documents."
                )
            # the time of the object, because a file that was modified just now would be hashed again
            os.utime(temporary, (time.time(), state.modified))
            stat = temporary.lstat()
            temporary.replace(self.folder / name)
            self._verified.add(name, stat)
        except FileNotFoundError:  # compacted away since it was listed
            return
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def save_stream(pieces: Iterable[bytes], path: Path) -> str:
    """Write a file of the cache and return the hex sha256 of its content. Raises StorageFailed."""
    digest, source = hashlib.sha256(), iter(pieces)
    first = next(source, b"")  # a file that does not exist leaves nothing
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while first:
                digest.update(first)
                file.write(first)
                first = next(source, b"")
    except OSError as error:
        if isinstance(error, FileNotFoundError | StorageFailed):
            raise
        raise StorageFailed(
            f"The cache {path.parent} cannot be written: {error.strerror or error}. "
            "Make room, or name another folder in EMBEDONCE_CACHE, and run the same command again."
        ) from error
    return digest.hexdigest()


def cache_limit() -> float:
    """The bytes that the cache may have. Raises CallError if the variable is not a number."""
    text = os.environ.get(LIMIT_VARIABLE, str(DEFAULT_GIGABYTES))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not gigabytes >= 0:
        raise CallError(f"{LIMIT_VARIABLE} is '{text}', which is not a number of gigabytes. Set it to one, as in 100.")
    return gigabytes * 1e9


@lru_cache
def _shared_state(folder: Path) -> tuple[VerifiedShards, FilesInUse]:
    """The hashes that were checked in a folder, and the files that processes use."""
    return VerifiedShards(folder), FilesInUse(folder.with_name(f"{folder.name}-in-use"))
