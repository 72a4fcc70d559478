"""`store info` and `store verify` say what a store holds, and what is wrong with it."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.small_store import blobs, make_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_store(tmp_path / "made-up", *blobs(["a", "b"], documents=1200))
    return tmp_path / "made-up"


def flip_a_byte(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[5000] ^= 1
    shard.write_bytes(content)


def test_info_counts_for_people_and_for_programs(embedonce: Run, store: Path) -> None:
    shown = embedonce("store", "info", store)
    assert shown.code == 0 and "1,200" in shown.out and "cls, mean, max, segments" in shown.out
    found = json.loads(embedonce("store", "info", store, "--json").out)
    assert found["documents"] == 1200 and found["recipe"]["keep"] == ["cls", "mean", "max", "segments"]


def test_a_whole_store_is_said_to_be_whole(embedonce: Run, store: Path) -> None:
    shown = embedonce("store", "verify", store)
    assert (shown.code, shown.out) == (0, f"{store}: every shard is whole, 1 in all.\n")
    assert json.loads(embedonce("store", "verify", store, "--json").out)["wrong"] == []


def test_a_flipped_byte_is_named_with_the_documents_that_it_costs(embedonce: Run, store: Path) -> None:
    (shard,) = (store / "shards").iterdir()
    flip_a_byte(shard)
    damaged, missing = embedonce("store", "verify", store).out.splitlines()
    assert damaged.startswith(f"{shard} is damaged: its bytes are not those of its name.")
    assert missing.startswith("made: 1,200 of 1,200 documents have no features.")
    answer = embedonce("store", "verify", store, "--json")
    assert (answer.code, json.loads(answer.out)["wrong"]) == (1, [damaged, missing])
