"""Locks on open files, which end with the process that has them, however it ends."""

from typing import BinaryIO


def lock_file(file: BinaryIO | int) -> None:
    """Lock an open file, or a descriptor, until it is closed; on Windows nothing is locked.

    There, an open file cannot be removed, which serves the same purpose. Raises OSError if another process has locked
    it, or if the file system has no locks.
    """
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
