"""The read-ahead buffers: every document once, the first buffer small, because the encoder waits for it."""

import pytest

from stages.embed.pipeline import length_buckets
from stages.embed.pipeline.length_buckets import iter_length_buckets
from tests.stages.embed.conftest import Open


def test_buffers_grow_and_hold_every_document_once_in_order(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(length_buckets, "BUFFER_DOCUMENTS", 64)
    texts = {f"key-{row}": f"text number {row}" for row in range(200)}
    buffers = [buckets.keys for buckets in iter_length_buckets(texts.items(), tiny())]
    assert [len(keys) for keys in buffers] == [2, 8, 32, 64, 64, 30]
    assert [key for keys in buffers for key in keys] == list(texts)


def test_long_texts_fill_a_buffer_by_their_characters(tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(length_buckets, "BUFFER_CHARACTERS", 3200)
    texts = {f"key-{row}": "a " * 50 for row in range(20)}
    # 100 characters per text: buffers of 100, 400, 1,600 and 3,200
    assert [len(buckets.keys) for buckets in iter_length_buckets(texts.items(), tiny())] == [1, 4, 15]
