"""Compaction and pruning change which shards there are, and nothing that a reader sees."""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadData, StorageFailed
from featurestore import (
    CompactionPlan,
    CorpusTable,
    FeatureStore,
    Recipe,
    ShardContent,
    plan_compaction,
    plan_pruning,
    run_compaction,
    text_key,
)
from featurestore.storage.local import LocalStorage
from tests.featurestore.made import ALL_KEPT, RECIPE, content


def store_of(folder: Path, *shards: Sequence[str], recipe: Recipe = RECIPE, first_seed: int = 0) -> FeatureStore:
    """A store of some shards; a text has other vectors in each."""
    store = FeatureStore.create(folder, recipe)
    for seed, texts in enumerate(shards, start=first_seed):
        store.commit(content(texts, recipe, seed=seed))
    return store


def read(store: FeatureStore, texts: Sequence[str]) -> list[bytes]:
    """Every kept number of `texts` as readers get them."""
    bags = store.bags([text_key(text) for text in texts])
    gathered = [bags.view(name).gather() for name in bags.views]
    return [array.tobytes() for pair in gathered for array in pair]


def corpus(*texts: str) -> CorpusTable:
    nothing = [None] * len(texts)
    keys = [text_key(text) for text in texts]
    return CorpusTable("made", "", "single", None, list(texts), keys, nothing, nothing, [("a",)] * len(texts))


def shards(store: FeatureStore) -> set[str]:
    return {path.name for path in (store.folder / "shards").iterdir()}


@pytest.mark.parametrize("recipe", [RECIPE, ALL_KEPT], ids=["default", "tokens"])
def test_small_shards_become_one_that_reads_the_same(tmp_path: Path, recipe: Recipe) -> None:
    texts = ["one", "two", "three", "four", "five"]
    store = store_of(tmp_path / "store", texts[:2], texts[2:3], texts[3:], recipe=recipe)
    before = read(store, texts)
    run_compaction(plan_compaction(store), store)
    assert len(shards(store)) == 1 and store.verify() == []
    assert read(FeatureStore.open(store.folder), texts) == before


def test_a_document_in_two_shards_keeps_the_vectors_that_readers_saw(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", ["one", "both"], ["both", "two"], ["both"])
    before = read(store, ["one", "both", "two"])
    plan = plan_compaction(store)
    assert (plan.duplicates, plan.unreferenced, plan.shards, plan.shards_after) == (2, 0, 3, 1)
    run_compaction(plan, store)
    assert read(store, ["one", "both", "two"]) == before
    assert sum(map(len, store.shards())) == 3


def test_shards_that_are_large_enough_stay_as_they_are(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", ["one"], ["two"], ["three"])
    before = shards(store)
    assert plan_compaction(store, target=1).groups == ()
    assert len(plan_compaction(store, target=2 * max(shard.size for shard in store.shards()) + 1).groups) > 0
    assert shards(store) == before


def test_compacting_twice_does_nothing_the_second_time(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", ["one"], ["two"], ["three"])
    run_compaction(plan_compaction(store), store)
    assert plan_compaction(store).groups == ()


def test_new_shards_stay_about_as_large_as_requested(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", *([f"text {number}"] for number in range(12)))
    target = 4 * max(shard.size for shard in store.shards())
    run_compaction(plan_compaction(store, target), store)
    assert 3 <= len(shards(store)) <= 4 and store.documents == 12


def test_what_no_corpus_names_is_pruned(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", ["one", "gone"], ["two"], ["gone too"])
    store.save_corpus(corpus("one", "two"))
    before, untouched = read(store, ["one", "two"]), store.shards()
    plan = plan_pruning(store)
    assert (plan.unreferenced, plan.shards, plan.shards_after) == (2, 3, 2)
    assert store.documents == 4
    run_compaction(plan, store)
    assert store.documents == 2 and read(store, ["one", "two"]) == before
    assert len(shards(store) & {shard.name for shard in untouched}) == 1


def test_a_store_without_a_corpus_is_not_pruned_empty(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", ["one"])
    with pytest.raises(BadData, match=r"store has no corpus: it is unknown which documents to keep"):
        plan_pruning(store)


def test_an_empty_store_has_nothing_to_rewrite(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store")
    store.save_corpus(corpus("one"))
    assert plan_compaction(store).groups == plan_pruning(store).groups == ()


@pytest.mark.parametrize("make_plan", [plan_compaction, plan_pruning])
@pytest.mark.parametrize("first_seed", [24, 30])  # the names of shards, and so their order, come out by chance
def test_a_rewriting_that_ends_before_any_step_has_lost_and_changed_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_plan: Callable[[FeatureStore, int], CompactionPlan],
    first_seed: int,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    texts = [[f"{number}", f"{number}, and again", f"{number + 1}, and again"] for number in range(6)]
    wanted = [text for shard in texts for text in shard[:2]]
    original = store_of(tmp_path / "store", *texts, first_seed=first_seed)
    original.save_corpus(corpus(*wanted))
    target, before = original.shards()[0].size * 5 // 4, read(original, wanted)
    assert len(make_plan(original, target).groups) > 1
    for step in count():
        store = FeatureStore.open(shutil.copytree(original.folder, tmp_path / str(step)))
        with monkeypatch.context() as patched:
            stop_before(step, patched)
            is_interrupted = not runs_to_the_end(make_plan(store, target), store)
        store = FeatureStore.open(store.folder)
        assert read(store, wanted) == before
        run_compaction(make_plan(store, target), store)
        assert read(store, wanted) == before and sum(map(len, store.shards())) == store.documents
        if not is_interrupted:
            break


def runs_to_the_end(plan: CompactionPlan, store: FeatureStore) -> bool:
    """Whether nothing interrupts the rewriting."""
    with suppress(KeyboardInterrupt):
        run_compaction(plan, store)
        return True
    return False


def stop_before(step: int, patched: pytest.MonkeyPatch) -> None:
    """Interrupt before the change with this number, counted from 0: a new shard or a removal."""
    steps = iter(range(step))

    def interrupting(real: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any) -> Any:
            if next(steps, None) is None:
                raise KeyboardInterrupt
            return real(*arguments)

        return change

    for name in ("remove", "write_under_hash"):
        patched.setattr(LocalStorage, name, interrupting(getattr(LocalStorage, name)))


@pytest.mark.parametrize("seed", range(4))  # in some, the shard that is removed comes before its successor
def test_a_compaction_in_the_middle_of_a_pruning_is_refused_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    store = store_of(tmp_path / "store", ["one", "gone"], first_seed=seed)
    store.save_corpus(corpus("one"))
    before, other, remove = read(store, ["one"]), FeatureStore.open(store.folder), LocalStorage.remove
    plans = list[CompactionPlan]()

    def compact_before(storage: LocalStorage, name: str) -> None:
        plans.append(plan_compaction(other, target=1))
        with pytest.raises(StorageFailed, match=r"Another process is rewriting .*store\. Run the same command again"):
            run_compaction(plans[0], other)
        remove(storage, name)

    monkeypatch.setattr(LocalStorage, "remove", compact_before)
    run_compaction(plan_pruning(store), store)
    with pytest.raises(StorageFailed, match=r"Another process has removed shards of .*store meanwhile\. Run the same"):
        run_compaction(plans[0], other)
    assert read(FeatureStore.open(store.folder), ["one"]) == before


@pytest.mark.parametrize("saved_before", ["the plan runs", "a shard is removed"])
def test_a_pruning_ends_if_a_corpus_is_saved_that_needs_what_would_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved_before: str
) -> None:
    store = store_of(tmp_path / "store", ["one", "gone"], ["two", "gone too"])
    store.save_corpus(corpus("one", "two"))
    wanted = ["one", "gone", "two", "gone too"]
    before, other, plan = read(store, wanted), FeatureStore.open(store.folder), plan_pruning(store)
    commit = FeatureStore.commit

    def save_after_commit(self: FeatureStore, shard: ShardContent) -> str:
        other.save_corpus(replace(corpus(*wanted), name="other"))
        return commit(self, shard)

    if saved_before == "the plan runs":
        other.save_corpus(replace(corpus(*wanted), name="other"))
    else:
        monkeypatch.setattr(FeatureStore, "commit", save_after_commit)
    with pytest.raises(StorageFailed, match=r"^A corpus of .*store was saved meanwhile, .* Run the same command again"):
        run_compaction(plan, store)
    assert read(FeatureStore.open(store.folder), wanted) == before


@given(st.lists(st.lists(st.integers(0, 9), unique=True, min_size=1), max_size=5), st.sets(st.integers(0, 9)))
def test_any_shards_pruned_read_as_before(
    tmp_path_factory: pytest.TempPathFactory, held: list[list[int]], wanted: set[int]
) -> None:
    store = store_of(tmp_path_factory.mktemp("any") / "store", *([str(number) for number in each] for each in held))
    there = sorted(wanted & {number for each in held for number in each})
    store.save_corpus(corpus(*map(str, sorted(wanted))))
    before = read(store, list(map(str, there))) if there else []
    run_compaction(plan_pruning(store), store)
    assert np.array_equal(sorted(store.keys), sorted(text_key(str(number)) for number in there))
    assert (read(store, list(map(str, there))) if there else []) == before
