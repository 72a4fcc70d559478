"""How much memory there is for features."""

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["free_memory", "share_memory"]

MEMINFO = Path("/proc/meminfo")
MEMBERSHIP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
# how the lines of a membership begin, by version: 0::/path and 4:memory:/path
UNIFIED, LEGACY = ("0", ""), "memory"

_processes = 1  # that are alike, this one among them


def share_memory(processes: int) -> None:
    """From now on this process is one of so many that each take their part of what is free."""
    global _processes
    _processes = processes


def free_memory() -> int | None:
    """Bytes that a program can have without swapping, as Linux says; elsewhere all that there is, or None.

    Of a container or a scheduler's job it is what its control groups leave, where that is less; of processes that
    `share_memory`, a part.
    """
    free = _free()
    return None if free is None else free // _processes


def _free() -> int | None:
    try:
        lines = MEMINFO.read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return _all()
    return min([free, *_left_by_groups()])


def _left_by_groups() -> Iterator[int]:
    """What each group above this process has left of its limit, if it has one."""
    try:
        memberships = [line.split(":", 2) for line in MEMBERSHIP.read_text().splitlines()]
    except OSError:
        return
    for number, controllers, path in memberships:
        if (number, controllers) == UNIFIED:
            yield from _left_of(GROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif LEGACY in controllers.split(","):
            yield from _left_of(
                GROUPS / LEGACY, path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            )


def _left_of(root: Path, path: str, most: str, now: str, cached: str) -> Iterator[int]:
    own = root / path.lstrip("/")
    for group in (own, *own.parents):
        if not group.is_relative_to(root):
            return
        try:
            limit, used = int((group / most).read_text()), int((group / now).read_text())
            counted = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # a path as another namespace sees it, or "max" for no limit
            continue
        # the system gives pages of files back before it ends a process
        yield max(limit - used + int(counted.get(cached, 0)), 0)


def _all() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return None
