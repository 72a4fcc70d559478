"""Pools of the read-ahead: every document once, the first pool small, because the encoder waits for it."""

import pytest

from stages.embed.pipeline import length_buckets as pool
from stages.embed.pipeline.length_buckets import iter_length_buckets
from tests.stages.embed.conftest import Open


def test_pools_grow_and_hold_every_document_once_in_order(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "POOL_DOCUMENTS", 64)
    texts = {f"key-{row}": f"text number {row}" for row in range(200)}
    found = [each.keys for each in iter_length_buckets(texts.items(), tiny())]
    assert [len(keys) for keys in found] == [2, 8, 32, 64, 64, 30]
    assert [key for keys in found for key in keys] == list(texts)


def test_long_texts_close_a_pool_by_their_characters(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "POOL_CHARACTERS", 3200)
    texts = {f"key-{row}": "a " * 50 for row in range(20)}
    # 100 characters a text: pools of 100, 400, 1,600 and 3,200
    assert [len(each.keys) for each in iter_length_buckets(texts.items(), tiny())] == [1, 4, 15]
