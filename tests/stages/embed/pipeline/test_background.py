"""Work beside the encoder's: in order, one ahead, and its errors come to who waits."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data.errors import StorageFailed
from stages.embed.pipeline.background import BackgroundWriter, prefetch


def test_the_next_item_is_made_while_the_one_at_hand_is_worked_on() -> None:
    made = [threading.Event() for _ in range(3)]

    def items(_: Callable[[], bool]) -> Iterator[int]:
        for place, event in enumerate(made):
            event.set()
            yield place

    found = []
    for item in prefetch(items):
        found.append(item)
        if item < 2:
            assert made[item + 1].wait(10)
    assert found == [0, 1, 2]


def test_who_leaves_is_not_waited_for() -> None:
    told = threading.Event()

    def items(left: Callable[[], bool]) -> Iterator[int]:
        yield 0
        while not left():
            pass
        told.set()

    iterator = prefetch(items)
    assert next(iterator) == 0
    iterator.close()  # type: ignore[attr-defined]
    assert told.wait(10)


def test_an_error_of_the_thread_comes_to_who_waits() -> None:
    def items(_: Callable[[], bool]) -> Iterator[int]:
        yield 0
        raise ValueError("damaged")

    iterator = prefetch(items)
    assert next(iterator) == 0
    with pytest.raises(ValueError, match="damaged"):
        next(iterator)


class _Full:
    """A store on a disk that is full."""

    def commit(self, _: Any) -> Path:
        raise StorageFailed("The disk is full.")


def test_a_shard_that_cannot_be_written_is_told_once_and_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.embed.pipeline.background.joined", lambda contents: contents)
    writer = BackgroundWriter(_Full())  # type: ignore[arg-type]
    writer.commit([])
    with pytest.raises(StorageFailed):
        writer.commit([])
    writer.settle()
