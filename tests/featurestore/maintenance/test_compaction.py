"""Compaction and pruning change which shards there are, and nothing that a reader sees."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadData
from featurestore import CorpusTable, FeatureStore, Recipe, plan_compaction, plan_pruning, run_compaction, text_key
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


@pytest.mark.parametrize("survives", range(4))
def test_a_rewriting_that_ends_after_any_removal_has_lost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    texts = ["one", "both", "two", "three"]
    for first_seed in range(0, 24, 3):  # the names of shards, and so which copy is read, come out by chance
        store = store_of(tmp_path / str(first_seed), texts[:2], texts[1:3], texts[3:], first_seed=first_seed)
        before = read(store, texts)
        with monkeypatch.context() as patched:
            patched.setattr(LocalStorage, "remove", removes_until(survives))
            with suppress(KeyboardInterrupt):
                run_compaction(plan_compaction(store), store)
        again = FeatureStore.open(store.folder)
        assert again.verify() == [] and read(again, texts) == before
        run_compaction(plan_compaction(again), again)
        assert read(again, texts) == before and sum(map(len, again.shards())) == 4


def removes_until(survives: int) -> Callable[[LocalStorage, str], None]:
    """A removal that is interrupted once it was done `survives` times."""
    removed = iter(range(survives))

    def remove(self: LocalStorage, name: str) -> None:
        if next(removed, None) is None:
            raise KeyboardInterrupt
        (self.location / name).unlink()

    return remove


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
