"""The memory that is available for features, and returning what is no longer used."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["free_memory", "keep_freed_memory", "return_freed_memory", "share_memory"]

MEMINFO = Path("/proc/meminfo")
MEMBERSHIP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
# lines of a membership start with 0::/path (version 2) or 4:memory:/path (version 1)
UNIFIED, LEGACY = ("0", ""), "memory"
# options of glibc's mallopt: bytes free at the end of the heap from which they are returned, and bytes of a block from
# which it has a mapping of its own, with the values that glibc arrives at; and the number of such mappings
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = (-1, 2**26), (-3, 2**25), (-4, 2**16)

_processes = 1  # that share the memory, including this one


def share_memory(processes: int) -> None:
    """Declare that this process is one of `processes` that share the free memory equally."""
    global _processes
    _processes = processes


def free_memory() -> int | None:
    """Return the bytes that this process can use without swapping on Linux; elsewhere the total memory, or None.

    The limits of control groups (containers, jobs of a scheduler) are respected; processes that called `share_memory`
    get their share.
    """
    free = _free_in_system()
    return None if free is None else free // _processes


def return_freed_memory() -> None:
    """Have the C library return freed memory to the system.

    glibc keeps it in one arena per thread, between blocks in use: after `embed` read a million documents some 250 MB.
    Other libraries are left alone.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Have glibc keep freed memory for the next allocation inside the block, and return what is left at its end.

    A training step frees and allocates the same large blocks again and again. glibc returns each block of more than
    32 MB at once, so that the system would zero its pages in every step. Other libraries are left alone.
    """
    _set_options((TRIM_THRESHOLD[0], -1), (MMAP_MAX[0], 0))  # never return, and no mappings
    try:
        yield
    finally:
        _set_options(TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX)
        return_freed_memory()


def _set_options(*options: tuple[int, int]) -> None:
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        for name, value in options:
            library.mallopt(name, value)


def _free_in_system() -> int | None:
    try:
        lines = MEMINFO.read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return _total()
    return min([free, *_free_by_group()])


def _free_by_group() -> Iterator[int]:
    """Yield the free bytes of each control group of this process that has a limit."""
    try:
        memberships = [line.split(":", 2) for line in MEMBERSHIP.read_text().splitlines()]
    except OSError:
        return
    for number, controllers, path in memberships:
        if (number, controllers) == UNIFIED:
            yield from _free_in_groups(GROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif LEGACY in controllers.split(","):
            yield from _free_in_groups(
                GROUPS / LEGACY, path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            )


def _free_in_groups(root: Path, path: str, limit_file: str, usage_file: str, cache_field: str) -> Iterator[int]:
    leaf = root / path.lstrip("/")
    for group in (leaf, *leaf.parents):
        if not group.is_relative_to(root):
            return
        try:
            limit, used = int((group / limit_file).read_text()), int((group / usage_file).read_text())
            fields = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # the path of another namespace, or "max" for no limit
            continue
        # the system reclaims cached file pages before it kills a process
        yield max(limit - used + int(fields.get(cache_field, 0)), 0)


def _total() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return None
