"""The power is cut at any moment of a session: what was reported as committed is whole, and work goes on."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import FileMissing
from featurestore import CorpusTable, FeatureStore, shard_bytes, text_key
from tests.faults.power import Disk, Killed, Operation, Recorder, State
from tests.faults.whole import faults_in
from tests.featurestore.made import RECIPE as MADE
from tests.featurestore.made import as_float32, content, rows_of

# few arrays: some hundred stores are read
RECIPE = replace(MADE, keep=("mean",))

TEXTS = {"shard 0": ["one", "two"], "shard 1": ["three"], "shard 2": ["four", "five", ""]}
SHARDS = {name: content(texts, RECIPE, seed=seed) for seed, (name, texts) in enumerate(TEXTS.items())}
ALL = [text for texts in TEXTS.values() for text in texts]
NOTHING = [None] * len(ALL)
CORPORA = {
    word: CorpusTable(
        "made", "made.csv", "single", None, ALL, list(map(text_key, ALL)), NOTHING, NOTHING, [(word,)] * len(ALL)
    )
    for word in ("older", "newer")
}


def session(folder: Path, recorder: Recorder) -> None:
    """As stage one works: what shards hold already is not committed again."""
    store = FeatureStore.create(folder, RECIPE)
    recorder.done("store")
    store.save_corpus(CORPORA["older"])
    recorder.done("older")
    for name, shard in SHARDS.items():
        if store.missing_keys(shard.keys):
            store.commit(shard)
        recorder.done(name)
    store.save_corpus(CORPORA["newer"])
    recorder.done("newer")
    store.save_record("embed", {"documents": len(ALL)})


Sessions = Callable[..., list[Operation]]


@pytest.fixture
def recorded(tmp_path: Path) -> Sessions:
    """What sessions do in one new folder, each until its kill if it has one."""

    def run(*kills: int | None) -> list[Operation]:
        shutil.rmtree(tmp_path / "session", ignore_errors=True)
        (tmp_path / "session").mkdir()
        done: list[Operation] = []
        for kill in kills:
            recorder = Recorder(tmp_path / "session", kill)
            with pytest.MonkeyPatch.context() as patched:
                recorder.watch(patched)
                try:
                    session(tmp_path / "session" / "store", recorder)
                except Killed:
                    recorder.operations.append(Operation("done", ("nothing",)))
            done += recorder.operations
        return done

    return run


def cuts(operations: Sequence[Operation], root: Path) -> Iterator[tuple[State, set[str]]]:
    """What the disk may hold after each operation, and what had been reported as done until then."""
    disk, done = Disk(root), set[str]()
    for operation in operations:
        getattr(disk, operation.kind)(*operation.given)
        if operation.kind == "done":
            done.add(operation.given[0])
        yield from ((state, set(done)) for state in disk.states())


def cuts_at_the_end(operations: Sequence[Operation], root: Path) -> list[State]:
    """What the disk may hold when all is done."""
    disk = Disk(root)
    for operation in operations:
        getattr(disk, operation.kind)(*operation.given)
    return list(disk.states())


def make(state: State, root: Path) -> Path:
    """Put what a disk holds into `root`; returns the store's folder."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for path in sorted(state):
        data = state[path]
        (root / path).mkdir() if data is None else (root / path).write_bytes(data)
    return root / "store"


def assert_holds(store: FeatureStore, name: str) -> None:
    bags = store.bags([text_key(text) for text in TEXTS[name]])
    for row, each in enumerate(rows_of(SHARDS[name], "mean")):
        np.testing.assert_array_equal(bags.view("mean").row(row), as_float32(each))


def assert_survives(folder: Path, done: set[str]) -> None:
    """What was done is there, what is there was done, and the rest can be done."""
    if "store" in done:
        FeatureStore.open(folder)
    elif not (folder / "recipe.json").exists():
        with pytest.raises(FileMissing):
            FeatureStore.open(folder)
    store = FeatureStore.create(folder, RECIPE)
    there = {name for name, shard in SHARDS.items() if not store.missing_keys(shard.keys)}
    assert done & set(SHARDS) <= there and store.documents == sum(len(TEXTS[name]) for name in there)
    assert faults_in(store) == []
    for name in there:
        assert_holds(store, name)
    if "older" in done:
        assert store.corpus("made") in ([CORPORA["newer"]] if "newer" in done else CORPORA.values())
    for name in set(SHARDS) - there:
        store.commit(SHARDS[name])
    store.save_corpus(CORPORA["newer"])
    assert store.documents == len(ALL) and store.corpus("made") == CORPORA["newer"]


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody cuts the power of the disk that the states are laid out on."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.mark.usefixtures("no_waiting")
def test_after_a_power_cut_at_any_moment_what_was_committed_is_intact(tmp_path: Path, recorded: Sessions) -> None:
    for state, done in cuts(recorded(None), tmp_path / "session"):
        assert_survives(make(state, tmp_path / "after"), done)


@pytest.mark.usefixtures("no_waiting")
def test_after_a_kill_another_session_and_a_power_cut_all_that_it_found_or_committed_is_intact(
    tmp_path: Path, recorded: Sessions
) -> None:
    for kill in range(len(recorded(None))):
        for state in cuts_at_the_end(recorded(kill, None), tmp_path / "session"):
            assert_survives(make(state, tmp_path / "after"), {"store", "older", "newer", *SHARDS})


@pytest.mark.usefixtures("no_waiting")
def test_a_power_cut_while_a_corpus_is_replaced_leaves_the_older_or_the_newer(
    tmp_path: Path, recorded: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CORPORA, "older", replace(CORPORA["older"], kind="multilabel"))
    for state, done in cuts(recorded(None), tmp_path / "session"):
        if done >= {"older", *SHARDS}:
            found = FeatureStore.open(make(state, tmp_path / "after")).corpus("made")
            assert found in CORPORA.values()


@pytest.mark.parametrize(
    ("unsynced", "found"), [(None, {"whole"}), ("file", {"whole", "broken"}), ("folder", {"none"})]
)
def test_the_model_finds_what_a_session_that_does_not_fsync_would_lose(
    tmp_path: Path, recorded: Sessions, unsynced: str | None, found: set[str]
) -> None:
    operations = recorded(None)
    operations = operations[: operations.index(Operation("done", ("shard 0",)))]
    kept = [each for each in operations if each.kind != "fsync" or kind_of(each.given[0]) != unsynced]
    states = cuts_at_the_end(kept, tmp_path / "session")
    assert found <= {shard_in(state) for state in states}
    assert (unsynced is None) == ({shard_in(state) for state in states} == {"whole"})


def kind_of(path: Path) -> str:
    return "file" if path.name.startswith(".tmp-") else "folder"


def shard_in(state: State) -> str:
    """What the disk holds of the first shard."""
    shards = [data for path, data in state.items() if path.endswith(".h5")]
    return "none" if not shards else "whole" if shards == [bytes(shard_bytes(SHARDS["shard 0"], RECIPE))] else "broken"
