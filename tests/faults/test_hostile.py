"""Files that a stranger made to be harmful, each named by its own hash: nothing outside is opened, no memory taken."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data.errors import StoreDamaged
from featurestore import FeatureStore, Shard, shard_bytes
from tests.conftest import ROOT
from tests.faults.processes import ended, script
from tests.featurestore.made import RECIPE, content
from tests.featurestore.shards.test_shard import SPOILS, Spoil, link, put, saved, set_to

TEXTS = [f"text {row}" for row in range(9)]
MEMORY = 32 * 2**20


def odd_type(file: h5py.File, outside: Path) -> None:
    three_bytes = h5py.h5t.STD_I32LE.copy()
    three_bytes.set_size(3)
    del file["tokens/id"]
    h5py.h5d.create(file["tokens"].id, b"id", three_bytes, h5py.h5s.create_simple((9,)))


def compact(file: h5py.File, outside: Path) -> None:
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_layout(h5py.h5d.COMPACT)
    del file["tokens/id"]
    h5py.h5d.create(file["tokens"].id, b"id", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((9,)), how)


def to_itself(file: h5py.File, outside: Path) -> None:
    file["chunks/again"] = file["/"]


def external(file: h5py.File, outside: Path) -> None:
    put("tokens/id", shape=3, dtype="<i4", external=[(str(outside), 0, 12)])(file, outside)


def up_and_down(file: h5py.File, outside: Path) -> None:
    file["documents/chunk_offsets"][1:3] = [2, 1]


def far_apart(file: h5py.File, outside: Path) -> None:
    file["documents/chunk_offsets"][1:3] = [-(2**63), 2**63 - 1]


HOSTILE: dict[str, tuple[Spoil, str]] = SPOILS | {
    "external storage elsewhere": (external, "is not stored in one piece"),
    "soft link to itself": (link("chunks", lambda outside: h5py.SoftLink("/chunks")), "chunks is a link"),
    "external link to itself": (link("chunks", lambda outside: h5py.ExternalLink(".", "/chunks")), "chunks is a link"),
    "group in itself": (to_itself, "chunks/again is not an array"),
    "empty group": (lambda file, outside: file.create_group("more"), "more is not an array"),
    "number type": (lambda file, outside: file.__setitem__("more", np.dtype("<i4")), "more is not an array"),
    "2^60 by 2^2": (put("tokens/id", shape=(2**58, 4), dtype="<i4"), "extends beyond the end of the file"),
    "2^60 numbers a vector": (put("chunks/cls", shape=(3, 2**58), dtype="<f2"), "extends beyond the end of the file"),
    "2^60 bytes of metadata": (put("metadata", shape=2**60, dtype="u1"), "extends beyond the end of the file"),
    "2^60 offsets": (put("documents/chunk_offsets", shape=2**60, dtype="<i8"), "extends beyond the end of the file"),
    "strings for offsets": (put("documents/chunk_offsets", data=["0", "9"]), "is not an array of numbers"),
    "strings for keys": (put("documents/key", data=["a"] * 9), "is not an array of numbers"),
    "fixed strings": (put("tokens/id", data=np.zeros(9, "S4")), "is not an array of numbers"),
    "pairs": (put("tokens/id", data=np.zeros(9, "<i4,<i4")), "is not an array of numbers"),
    "references": (put("tokens/id", shape=9, dtype=h5py.ref_dtype), "is not an array of numbers"),
    "truths": (put("tokens/id", data=np.zeros(9, bool)), "is not an array of numbers"),
    "numbers of three bytes": (odd_type, "cannot be read as a shard"),
    "compact": (compact, "is not stored in one piece"),
    "compressed": (put("tokens/id", data=np.zeros(9, "<i4"), compression="gzip"), "is not stored in one piece"),
    "offsets that fall": (up_and_down, "does not divide"),
    "offsets whose difference is too large": (far_apart, "does not divide"),
    "no offsets": (put("documents/chunk_offsets", shape=0, dtype="<i8"), "does not divide"),
    "one offset too many": (put("documents/chunk_offsets", data=np.zeros(11, "<i8")), "does not divide"),
    "offset far past the end": (set_to("documents/token_offsets", 4, 2**62), "does not divide"),
    "names without number": (
        lambda file, outside: [file.create_dataset(f"chunks/{row}", data=[1]) for row in range(2000)],
        "is not part of a shard",
    ),
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What no reader may open: a pipe, so that one who does waits for ever."""
    os.mkfifo(tmp_path / "outside.h5")
    return tmp_path / "outside.h5"


def spoiled(folder: Path, spoil: Spoil, outside: Path) -> Path:
    buffer = io.BytesIO(shard_bytes(content(TEXTS), RECIPE))
    with h5py.File(buffer, "r+", libver="latest") as file:
        spoil(file, outside)
    return saved(folder, buffer.getvalue())


def asked(folder: Path, good: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.faults.opening", str(folder), str(good)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout))


def test_hostile_shards_are_refused_without_a_look_at_another_file_or_more_memory(
    tmp_path: Path, outside: Path
) -> None:
    (tmp_path / "shards").mkdir()
    clauses = {
        spoiled(tmp_path / "shards", spoil, outside).name: re.escape(clause) if name not in SPOILS else clause
        for name, (spoil, clause) in HOSTILE.items()
    }
    (tmp_path / "shards" / f"{'0' * 64}.h5").symlink_to(outside)
    clauses[f"{'0' * 64}.h5"] = "is a link"
    found = asked(tmp_path / "shards", saved(tmp_path, shard_bytes(content(TEXTS), RECIPE)))
    assert len(clauses) == len(HOSTILE) + 1
    assert [name for name, clause in clauses.items() if not re.search(clause, found["said"][name])] == []
    assert found["elsewhere"] == [] and found["grown"] < MEMORY


def test_no_vectors_of_a_great_many_numbers_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = spoiled(tmp_path, put("chunks/cls", shape=(0, 2**62), dtype="<f2"), tmp_path)
    with pytest.raises(StoreDamaged):
        Shard.open(path, RECIPE)


@pytest.mark.parametrize("name", ["external link", "group by external link", "virtual dataset"])
def test_the_pipe_would_catch_a_reader_that_follows(tmp_path: Path, outside: Path, name: str) -> None:
    path = spoiled(tmp_path, HOSTILE[name][0], outside)
    body = "import h5py\nsignal.alarm(1)\nh5py.File(sys.argv[1])['chunks/cls'][()]"
    assert ended(script(body, path))[0] == -signal.SIGALRM


def test_verify_names_each_hostile_shard_and_says_nothing_of_the_good_one(tmp_path: Path, outside: Path) -> None:
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    store.commit(content(["one"]))
    paths = [spoiled(store.folder / "shards", spoil, outside) for spoil, _ in HOSTILE.values()]
    wrong = FeatureStore.open(store.folder).verify()
    assert len(wrong) == len(paths)
    assert all(any(path.name in sentence for sentence in wrong) for path in paths)
