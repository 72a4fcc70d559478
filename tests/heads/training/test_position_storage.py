"""Steps in memory and steps in files are the same steps."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore import Bags, Ragged
from heads.registry import make_head
from heads.training import position_storage as sources
from heads.training.document_batches import Sequences
from heads.training.network_head import NetworkHead
from heads.training.position_storage import InMemory, MemoryMapped, open_storage

CPU = torch.device("cpu")


def view(lengths: list[int], seed: int, *item: int) -> Ragged:
    """Rows of one store's shards: three files, read in an order that is not theirs."""
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=(length, *item)).astype(np.float16) for length in lengths]
    shards = [Ragged.from_rows(own) for own in (rows[::3], rows[1::3], rows[2::3]) if own]
    order = [row for first in range(3) for row in range(first, len(rows), 3)]
    return Ragged.concatenate(shards)[np.argsort(order)]


@given(st.lists(st.integers(0, 9), min_size=3, max_size=20), st.integers(1, 6), st.data())
@settings(max_examples=100, deadline=None)
def test_files_give_what_memory_gives(lengths: list[int], most: int, data: st.DataObject) -> None:
    views = [view(lengths, 1, 3), view(lengths, 2, 2, 2)]
    cut = np.minimum(lengths, most)
    length = torch.from_numpy(cut)
    with patch.object(sources, "BLOCK", 4):
        held, mapped = Sequences(open_storage(views, cut), length), Sequences(MemoryMapped(views), length)
    assert isinstance(held.storage, InMemory) and held.dim == mapped.dim == 7
    parts = data.draw(st.lists(st.lists(st.integers(0, len(lengths) - 1), min_size=1), min_size=1, max_size=4))
    for part in parts:
        rows = torch.tensor(part)
        batch, other = held.batch(rows, CPU), mapped.batch(rows, CPU)
        assert torch.equal(batch.vectors, other.vectors) and torch.equal(batch.lengths, other.lengths)
        assert batch.lengths.tolist() == [max(int(cut[row]), 1) for row in part]
    assert torch.equal(held.sums(), mapped.sums())
    for one, another in zip(held.moments(rows), mapped.moments(rows), strict=True):
        assert torch.equal(one, another)


@pytest.mark.parametrize(
    ("views", "free", "kind"), [(1, 1000, InMemory), (1, 900, MemoryMapped), (2, 1900, MemoryMapped)]
)
def test_memory_holds_what_it_has_room_for(views: int, free: int, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "free_memory", lambda: free)
    # 100 steps of 3 numbers of 2 bytes are 600
    assert type(open_storage([view([100], 0, 3)] * views, np.array([100]))) is kind


def test_documents_of_one_position_are_pooled_without_a_copy() -> None:
    sequences = Sequences.of(np.ones((3, 2), np.float16), np.arange(4))
    assert sequences.means() is sequences
    assert Sequences.of(np.ones((3, 2), np.float16), np.array([0, 1, 1, 3])).means().length.tolist() == [1, 1, 1]


def test_where_nobody_knows_what_is_free_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "free_memory", lambda: None)
    assert type(open_storage([view([100], 0, 3)], np.array([100]))) is InMemory


@pytest.mark.parametrize("name", ["mlp", "mil", "attention", "lstm", "transformer"])
def test_a_head_learns_the_same_from_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 9, size=90).tolist()
    bags = Bags(dict.fromkeys(("cls", "segments"), view(lengths, 0, 4)))
    y = rng.integers(0, 3, size=90)
    settings = {"epochs": "3", "min_steps": "1", "batch_size": "16", "hidden": "8"}
    settings |= {"width": settings.pop("hidden"), "attention_heads": "2"} if name == "transformer" else {}
    held = make_head(name, settings).fit(bags, y)
    monkeypatch.setattr(sources, "free_memory", lambda: 0)
    mapped = make_head(name, settings).fit(bags, y)
    assert isinstance(mapped, NetworkHead) and type(mapped._sequences(bags).storage) is MemoryMapped
    np.testing.assert_array_equal(held.decision_function(bags), mapped.decision_function(bags))


def test_steps_that_follow_a_document_without_any_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "free_memory", lambda: 0)
    one = view([0, 2, 0, 1], 3, 2)
    found = Sequences(open_storage([one], one.length), torch.from_numpy(one.length)).batch(torch.arange(4), CPU)
    assert found.lengths.tolist() == [1, 2, 1, 1]
    assert found.vectors[[0, 3]].tolist() == [[0, 0], [0, 0]]
    np.testing.assert_array_equal(found.vectors[1:3], one.row(1))
    np.testing.assert_array_equal(found.vectors[4:], replace(one).row(3))
