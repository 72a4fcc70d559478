"""What goes on beside the encoder: the next texts are tokenised, and the last shard is written, while it computes."""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

from featurestore import FeatureStore, ShardContent, concatenate_content

Item = TypeVar("Item")


def prefetch(make: Callable[[Callable[[], bool]], Iterator[Item]]) -> Iterator[Item]:
    """The items of an iterator, the next of which is made in a thread while the one at hand is worked on.

    make: takes a function that tells whether nobody waits any more, and gives the iterator, which may end early then.
    """
    left = Event()
    items = make(left.is_set)
    thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        coming = thread.submit(lambda: list(_first(items)))
        while item := coming.result():
            coming = thread.submit(lambda: list(_first(items)))
            yield item[0]
    finally:
        left.set()
        thread.shutdown(wait=False)


def _first(items: Iterator[Item]) -> Iterator[Item]:
    for item in items:
        yield item
        return


class BackgroundWriter:
    """Commits shards in a thread, one at a time: a second is taken when the first is on the disk."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._last: Future[object] | None = None

    def commit(self, contents: Sequence[ShardContent]) -> None:
        """Write one shard of `contents`. Raises what the shard before it met, StorageFailed most often."""
        self.settle()
        self._last = self._thread.submit(lambda: self._store.commit(concatenate_content(contents)))

    def settle(self) -> None:
        """Come back when all is on the disk. Raises what the last shard met, once."""
        last, self._last = self._last, None
        if last is not None:
            last.result()


def return_freed_memory() -> None:
    """Have the C library return freed memory to the system.

    glibc keeps it in one arena per thread, between blocks in use: after a million documents some 250 MB. Other
    libraries are left alone.
    """
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return
