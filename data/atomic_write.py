"""Files that are whole or absent: written beside, fsynced, renamed; and read without following a link."""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from data.errors import StorageFailed

_NO_WRITER = (errno.ENOENT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EINVAL)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file, in one piece or in several, that appears under its name once it is on the disk; one that is there
    is replaced.

    Raises StorageFailed, leaving nothing behind. A failed fsync is not tried again: the pages that it could not write
    count as clean afterwards, so a second one would succeed without having written them.
    """
    pieces = [data] if isinstance(data, bytes) else data
    _settle(path.parent, pieces, lambda beside: beside.replace(path))


def write_if_absent(path: Path, data: bytes) -> None:
    """As `write_atomically`, but a file that is there, or that another process names first, stays as it is."""
    _settle(path.parent, [data], lambda beside: _take_name(beside, path))


def write_under_hash(folder: Path, data: bytes | memoryview, ending: str) -> Path:
    """As `write_atomically`, under the hex sha256 of the content and `ending`; returns the path."""
    path = folder
    with ThreadPoolExecutor(1) as aside:  # neither hashing nor writing holds the interpreter
        digest = aside.submit(lambda: hashlib.sha256(data).hexdigest())

        def take_name(beside: Path) -> None:
            nonlocal path
            path = folder / f"{digest.result()}{ending}"
            beside.replace(path)

        _settle(folder, [data], take_name)
    return path


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that a power cut does not lose them with what is put in.

    Raises StorageFailed.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
        _fsync_folder(folder.parent)
    except OSError as error:
        raise _failed(f"{folder} cannot be made", error) from error


def move_into(path: Path, folder: Path) -> Path:
    """Move a file or link into `folder`, which is made, under a name that is free there; returns where it is now.

    Raises StorageFailed.
    """
    make_folder(folder)
    place = folder / path.name
    while place.is_symlink() or place.exists():
        place = folder / f"{path.name}.{secrets.token_hex(2)}"
    try:
        path.rename(place)
        _fsync_folder(folder)
        _fsync_folder(path.parent)
    except OSError as error:
        raise _failed(f"{path} cannot be moved to {folder}", error) from error
    return place


def remove_file(path: Path) -> None:
    """Remove a file, or see that it is gone. Raises StorageFailed."""
    try:
        path.unlink(missing_ok=True)
        _fsync_folder(path.parent)
    except OSError as error:
        raise _failed(f"{path} cannot be removed", error) from error


def sync_folder(folder: Path) -> None:
    """See that the names in a folder outlast a power cut: a writer that was killed may not have come to it.

    A folder that is not there, or may only be read, is left as it is. Raises StorageFailed.
    """
    try:
        _fsync_folder(folder)
    except OSError as error:
        if error.errno not in _NO_WRITER:
            raise _failed(f"{folder} cannot be synced", error) from error


def cache_folder() -> Path:
    """$EMBEDONCE_CACHE, else $XDG_CACHE_HOME/embedonce, else ~/.cache/embedonce. Who writes there makes the folder."""
    if own := os.environ.get("EMBEDONCE_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "embedonce"


def open_regular_file(path: Path) -> BufferedReader:
    """A file open for reading. Raises OSError for a link, which could name a file outside the store, and for a pipe."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    for safe in ("O_NOFOLLOW", "O_NONBLOCK"):  # without the second, opening a pipe would wait for its writer
        flags |= getattr(os, safe, 0)
    file = os.fdopen(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a plain file")
    return file


def _settle(folder: Path, pieces: Iterable[bytes | memoryview], take_name: Callable[[Path], object]) -> None:
    # several machines may write into one folder, so a process's number would not do
    beside = folder / f".tmp-{secrets.token_hex(8)}"
    asked = 0
    try:
        with beside.open("xb", buffering=0) as file:
            for piece in pieces:
                asked += len(piece)
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(file.fileno(), rest) :]
            os.fsync(file.fileno())
        take_name(beside)
        _fsync_folder(folder)
    except OSError as error:
        raise _failed(f"{asked:,} bytes cannot be written to {folder}", error) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _take_name(beside: Path, path: Path) -> None:
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            beside.replace(path)


def _fsync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there, and renames are journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(what: str, error: OSError) -> StorageFailed:
    step = "Make room" if error.errno in _FULL else "See that it can be written to"
    reason = error.strerror or str(error)
    return StorageFailed(
        f"{what}: {reason}. {step} and run the same command again; what was committed before is whole."
    )
