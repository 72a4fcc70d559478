"""Memory that was freed, given back to the system."""

import ctypes


def give_back() -> None:
    """Have the C library give back what it keeps of freed memory.

    glibc keeps it in an arena a thread, between blocks in use: behind a million documents some 250 MB. Other libraries
    are left alone.
    """
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return
