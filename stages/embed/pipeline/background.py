"""Work in background threads while the encoder computes: the next texts are tokenized, the last shard is written."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

from featurestore import FeatureStore, ShardContent, concatenate_content, return_freed_memory

Item = TypeVar("Item")

# a shard is closed at this size or age: a killed process loses the open one
SHARD_BYTES = 32 * 2**20
SHARD_SECONDS = 30.0


def prefetch(create: Callable[[Callable[[], bool]], Iterator[Item]]) -> Iterator[Item]:
    """Yield the items of an iterator, of which the next is computed in a thread while the current one is used.

    create: makes the iterator; it gets a function that is true once the items are no longer needed, after which the
    iterator may end early.
    """
    is_cancelled = Event()
    items = create(is_cancelled.is_set)
    thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        pending = thread.submit(lambda: _next_items(items))
        while item := pending.result():
            pending = thread.submit(lambda: _next_items(items))
            yield item[0]
    finally:
        is_cancelled.set()
        thread.shutdown(wait=False)


def _next_items(items: Iterator[Item]) -> list[Item]:
    """A list of the next item; an empty one at the end."""
    for item in items:
        return [item]
    return []


class BackgroundWriter:
    """Collects encoded documents in an open shard and commits full shards in a thread, one at a time.

    shards: how many were closed. names: of those on the disk. shard_bytes: the size at which a shard is closed.
    """

    def __init__(self, store: FeatureStore) -> None:
        self.shards = 0
        self.names: list[str] = []
        self.shard_bytes = SHARD_BYTES
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._pending: Future[str] | None = None
        self._open: list[ShardContent] = []
        self._opened = 0.0

    def add(self, content: ShardContent, started: float, finished: float, next_seconds: float) -> None:
        """Add a slice to the open shard, and close the shard if it is full or would be too old after the next slice.

        Args:
            content: the documents of the slice that were encoded.
            started: when their encoding began, by `time.perf_counter`.
            finished: when it ended.
            next_seconds: how long the next slice will take.

        Raises:
            StorageFailed: the shard before this one could not be written.
        """
        self._opened = self._opened if self._open else started
        self._open.append(content)
        is_full = sum(content.size for content in self._open) >= self.shard_bytes
        if is_full or finished - self._opened + next_seconds > SHARD_SECONDS:
            self.close_shard()

    def close_shard(self) -> None:
        """Start to write the open shard. Raises what the shard before it met, usually StorageFailed."""
        contents = [content for content in self._open if content.keys]
        if contents:
            self.wait()
            self._pending = self._thread.submit(lambda: self._store.commit(concatenate_content(contents)))
            return_freed_memory()
            self.shards += 1
        self._open = []  # only now: an interrupt in `wait` leaves these to be committed

    def wait(self) -> None:
        """Wait until all closed shards are on the disk. Raises what the last shard met, once."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self.names.append(pending.result())

    def finish(self) -> None:
        """Commit the open shard and wait for it."""
        self.close_shard()
        self.wait()
