"""Files and folders on disk: each write is complete or absent, and reads do not follow links.

Content is written under a temporary name, synced, and then renamed, so that a reader, a kill or a power cut never meets
half a file. Functions that write raise StorageFailed if the disk is full or refuses (`write_cache` does not), and leave
no temporary file behind.
"""

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from data.errors import EmbedOnceError, StorageFailed

TEMPORARY_PREFIX = ".tmp-"
_READ_ONLY = (errno.ENOENT, errno.EROFS, errno.EACCES, errno.EPERM)
_WITHOUT_FSYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # as of folders on SMB or gcsfuse
_REMEDIES = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Make room") | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS), "Make it writable"
)
_PROBE_PIECE = 2**20  # bytes


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file, in one or several pieces, under its name once it is on the disk; an existing one is replaced.

    A failed fsync is not repeated: the pages that it could not write count as clean afterwards, so a second one would
    succeed without having written them.
    """
    pieces = [data] if isinstance(data, bytes) else data
    _write_pieces(path.parent, pieces, lambda temporary: temporary.replace(path))


def write_if_absent(path: Path, data: bytes) -> None:
    """Write a file as `write_atomically` does, but keep an existing one, also one that another process names first."""
    _write_pieces(path.parent, [data], lambda temporary: _link_if_absent(temporary, path))


def write_under_hash(folder: Path, data: bytes | memoryview, suffix: str) -> Path:
    """Write a file as `write_atomically` does, named by the hex sha256 of its content and `suffix`; return its path."""
    path = folder
    with ThreadPoolExecutor(1) as executor:  # neither hashing nor writing holds the interpreter
        digest = executor.submit(lambda: hashlib.sha256(data).hexdigest())

        def publish(temporary: Path) -> None:
            nonlocal path
            path = folder / f"{digest.result()}{suffix}"
            temporary.replace(path)

        _write_pieces(folder, [data], publish)
    return path


def write_cache(path: Path, data: bytes) -> bool:
    """Write a cache file if possible, and return whether it was written; its folder is made if absent.

    The write is atomic, but not synced: a power cut may lose what can be computed again.
    """
    temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        return False
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


@contextmanager
def open_atomically(path: Path, *, next_step: str | None = None) -> Iterator[BinaryIO]:
    """Yield a binary file to write and read, which appears as `path` if the block ends without an exception.

    Args:
        path: The final name; an existing file is replaced.
        next_step: What follows the remedy ("Make room") in the message of a StorageFailed, in place of the usual words.
    """
    with (
        _temporary_file(path.parent, lambda name: name.replace(path), lambda: str(path), next_step) as temporary,
        temporary.open("x+b") as file,
    ):
        yield file
        file.flush()
        _fsync_descriptor(file.fileno())


@contextmanager
def create_atomically(path: Path, *, next_step: str | None = None) -> Iterator[Path]:
    """Yield a temporary path for a library that opens files by name; the file becomes `path` unless that exists.

    Args:
        path: The final name; an existing file is kept.
        next_step: What follows the remedy ("Make room") in the message of a StorageFailed, in place of the usual words.
    """
    with _temporary_file(
        path.parent, lambda temporary: _link_if_absent(temporary, path), lambda: str(path), next_step
    ) as temporary:
        yield temporary
        _fsync(temporary)


@contextmanager
def build_folder(
    folder: Path, *, is_complete: Callable[[Path], bool] = Path.exists, next_step: str | None = None
) -> Iterator[Path]:
    """Yield a temporary folder to fill, which becomes `folder` if the block ends without an exception.

    Args:
        folder: The final name.
        is_complete: Whether an existing `folder`, perhaps of another process, is kept; else it is replaced.
        next_step: What follows the remedy ("Make room") in the message of a StorageFailed, in place of the usual words.
    """
    temporary = folder.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    try:
        make_folder(folder.parent, next_step=next_step)
        temporary.mkdir()
        yield temporary
        for path in (*temporary.rglob("*"), temporary):
            _fsync(path)
        try:
            if not folder.exists() or not is_complete(folder):
                temporary.rename(folder)
        except OSError:  # a damaged folder has this name, or another process was faster
            if not is_complete(folder):
                shutil.rmtree(folder, ignore_errors=True)
                temporary.rename(folder)
        _fsync(folder.parent)
    except EmbedOnceError:
        raise
    except OSError as error:
        raise _storage_failed(f"{folder} cannot be written", error, next_step) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(folder: Path, *, next_step: str | None = None) -> None:
    """Make a folder and its parents, synced, so that a power cut does not lose them together with their content.

    Args:
        folder: An existing folder is kept.
        next_step: What follows the remedy ("Make room") in the message of a StorageFailed, in place of the usual words.
    """
    try:
        if folder.is_dir():
            return
        make_folder(folder.parent, next_step=next_step)
        folder.mkdir(exist_ok=True)
        _fsync(folder.parent)
    except EmbedOnceError:
        raise
    except OSError as error:
        raise _storage_failed(f"{folder} cannot be made", error, next_step) from error


def check_writable(folder: Path, size: int = _PROBE_PIECE) -> None:
    """Write and remove a file of about `size` bytes in `folder`, or in the nearest folder above it that exists.

    To be called before work whose result will be written there. Raises StorageFailed with the reason: no permission, a
    read-only file system, a quota, a full disk.
    """
    next_step = ", or name another folder."
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise _storage_failed(f"{folder} cannot be written", error, next_step) from error
    with (
        _temporary_file(existing, lambda _: None, lambda: str(folder), next_step) as temporary,
        temporary.open("xb") as file,
    ):
        piece = os.urandom(_PROBE_PIECE)  # a file system that compresses would store zeros in no space
        for _ in range(max(1, size // len(piece))):
            file.write(piece)
        file.flush()
        _fsync_descriptor(file.fileno())


def move_into(path: Path, folder: Path) -> Path:
    """Move a file or link into `folder`, which is made if absent, under a free name; return the new path."""
    make_folder(folder)
    target = folder / path.name
    while target.is_symlink() or target.exists():
        target = folder / f"{path.name}.{secrets.token_hex(2)}"
    try:
        path.rename(target)
        _fsync(folder)
        _fsync(path.parent)
    except OSError as error:
        raise _storage_failed(f"{path} cannot be moved to {folder}", error) from error
    return target


def remove_file(path: Path) -> None:
    """Remove a file; one that does not exist is no error."""
    try:
        path.unlink(missing_ok=True)
        _fsync(path.parent)
    except OSError as error:
        raise _storage_failed(f"{path} cannot be removed", error) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut: a writer that was killed may not have done so.

    A folder that does not exist or is read-only is left as it is.
    """
    try:
        _fsync(folder)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise _storage_failed(f"{folder} cannot be synced", error) from error


def cache_folder() -> Path:
    """The user's cache: $EMBEDONCE_CACHE, else $XDG_CACHE_HOME/embedonce, else ~/.cache/embedonce; perhaps absent."""
    if cache := os.environ.get("EMBEDONCE_CACHE"):
        return Path(cache).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "embedonce"


def hash_file(path: Path) -> str:
    """The hex sha256 of a file's bytes. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_regular_file(path: Path) -> BufferedReader:
    """Open a file for reading. Raises OSError for a link, which may lead outside the store, and for a pipe."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    for safe in ("O_NOFOLLOW", "O_NONBLOCK"):  # without the second, opening a pipe would wait for its writer
        flags |= getattr(os, safe, 0)
    file = os.fdopen(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file")
    return file


def _write_pieces(folder: Path, pieces: Iterable[bytes | memoryview], publish: Callable[[Path], object]) -> None:
    size = 0
    with (
        _temporary_file(folder, publish, lambda: f"{size:,} bytes", place=f" to {folder}") as temporary,
        temporary.open("xb", buffering=0) as file,
    ):
        for piece in pieces:
            size += len(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(file.fileno(), rest) :]
        _fsync_descriptor(file.fileno())


@contextmanager
def _temporary_file(
    folder: Path,
    publish: Callable[[Path], object],
    describe: Callable[[], str],
    next_step: str | None = None,
    place: str = "",
) -> Iterator[Path]:
    """Yield a temporary path in `folder`; `publish` gives the file its name after the block has written and synced it.

    A failure is reported as "{describe()} cannot be written{place}".
    """
    # several machines may write into one folder, so a process id is not unique
    temporary = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    try:
        yield temporary
        publish(temporary)
        _fsync(folder)
    except EmbedOnceError:
        raise
    except OSError as error:
        raise _storage_failed(f"{describe()} cannot be written{place}", error, next_step) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _link_if_absent(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return
    except (OSError, NotImplementedError):  # a file system without hard links, or a system
        if not path.exists():
            temporary.replace(path)


def _fsync(path: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there, and renames are journaled
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _fsync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _fsync_descriptor(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _WITHOUT_FSYNC:
            raise


def _storage_failed(what: str, error: OSError, next_step: str | None = None) -> StorageFailed:
    remedy = _REMEDIES.get(error.errno or 0, "Check that it can be written to")
    end = next_step or " and run the same command again; what was committed before is intact."
    return StorageFailed(f"{what}: {error.strerror or error}. {remedy}{end}")
