"""Background work: in order, one item ahead, and its errors reach the caller."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data.errors import StorageFailed
from featurestore import ShardContent
from stages.embed.pipeline.background import SHARD_SECONDS, BackgroundWriter, prefetch


def test_the_next_item_is_computed_while_the_current_one_is_used() -> None:
    started = [threading.Event() for _ in range(3)]

    def items(_: Callable[[], bool]) -> Iterator[int]:
        for number, event in enumerate(started):
            event.set()
            yield number

    items_seen = []
    for item in prefetch(items):
        items_seen.append(item)
        if item < 2:
            assert started[item + 1].wait(10)
    assert items_seen == [0, 1, 2]


def test_a_closed_iterator_cancels_the_thread() -> None:
    ended = threading.Event()

    def items(is_cancelled: Callable[[], bool]) -> Iterator[int]:
        yield 0
        while not is_cancelled():
            pass
        ended.set()

    iterator = prefetch(items)
    assert next(iterator) == 0
    iterator.close()  # type: ignore[attr-defined]
    assert ended.wait(10)


def test_an_error_in_the_thread_reaches_the_caller() -> None:
    def items(_: Callable[[], bool]) -> Iterator[int]:
        yield 0
        raise ValueError("damaged")

    iterator = prefetch(items)
    assert next(iterator) == 0
    with pytest.raises(ValueError, match="damaged"):
        next(iterator)


class _FullStore:
    """A store on a disk that is full."""

    def commit(self, _: Any) -> Path:
        raise StorageFailed("The disk is full.")


def test_a_shard_that_cannot_be_written_is_reported_once_and_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.embed.pipeline.background.concatenate_content", lambda contents: contents)
    writer = BackgroundWriter(_FullStore())  # type: ignore[arg-type]
    content = ShardContent(["key"], {})
    writer.add(content, 0.0, SHARD_SECONDS, 1.0)
    with pytest.raises(StorageFailed):
        writer.add(content, 0.0, SHARD_SECONDS, 1.0)
    writer.wait()
