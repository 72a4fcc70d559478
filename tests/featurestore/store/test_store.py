"""A store: what it is made of, what it finds, and what it says where something is missing."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import BadData, FileMissing, RecipeMismatch, StoreDamaged, UnknownName
from featurestore import CorpusTable, FeatureStore, newest_store, text_key
from featurestore.shards import mapped
from featurestore.store.shard_folder import ShardFolder
from tests.featurestore.made import RECIPE, as_float32, content, older, rows_of

TEXTS = [f"text {row}" for row in range(12)]


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Twelve documents in three shards."""
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    for start in (0, 4, 8):
        store.commit(content(TEXTS[start : start + 4], seed=start))
    return store


def expected_rows(texts: list[str], view: str) -> list[np.ndarray[Any, Any]]:
    """Of the documents of `store`, by their text."""
    rows: dict[str, np.ndarray[Any, Any]] = {}
    for start in (0, 4, 8):
        each = rows_of(content(TEXTS[start : start + 4], seed=start), view)
        rows |= dict(zip(TEXTS[start : start + 4], each, strict=True))
    return [as_float32(rows[text]) for text in texts]


def table(keys: list[str], name: str = "made") -> CorpusTable:
    ids = [f"d{row}" for row in range(len(keys))]
    return CorpusTable(
        name, "made.csv", "single", None, ids, keys, ["train"] * len(keys), [None] * len(keys), [("a",)] * len(keys)
    )


def test_a_store_gives_documents_in_the_requested_order(store: FeatureStore) -> None:
    asked = [TEXTS[row] for row in (11, 0, 5, 5, 3, 8)]
    bags = store.bags([text_key(text) for text in asked])
    for view in RECIPE.keep:
        for row, each in enumerate(expected_rows(asked, view)):
            np.testing.assert_array_equal(bags.view(view).row(row), each)
        np.testing.assert_array_equal(bags.view(view).gather()[0], np.concatenate(expected_rows(asked, view)))


def test_an_opened_store_gives_what_the_writer_put_in(store: FeatureStore) -> None:
    again = FeatureStore.open(store.folder)
    assert again.recipe == RECIPE and again.documents == 12 and len(again.shards()) == 3
    assert set(again.keys) == {text_key(text) for text in TEXTS}
    assert again.name == "store"


def test_missing_keys_come_in_the_requested_order(store: FeatureStore) -> None:
    asked = [text_key(text) for text in ("new b", TEXTS[3], "new a")]
    assert store.missing_keys(asked) == [asked[0], asked[2]]
    assert asked[1] in store.keys and asked[0] not in store.keys and "text 3" not in [*store.keys]
    assert store.missing_keys([]) == []


def test_documents_without_features_are_counted(store: FeatureStore) -> None:
    with pytest.raises(
        BadData,
        match=r"^store: 2 of 3 documents have no features\. Run the same `embedonce embed` again",
    ):
        store.bags([text_key(text) for text in ("new a", "new b", TEXTS[0])])


def test_no_keys_give_bags_of_no_documents(store: FeatureStore) -> None:
    bags = store.bags([])
    assert len(bags) == 0 and bags.view("cls").gather()[0].shape == (0, 4)


def test_a_new_store_is_empty_and_whole(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "a" / "b", RECIPE)
    assert store.documents == 0 and store.shards() == [] and store.verify() == []
    assert store.missing_keys([text_key("x")]) == [text_key("x")]
    assert store.info()["bytes"] == 0 and store.info()["dropped_share"] == 0
    with pytest.raises(BadData, match="have no features"):
        store.bags([])


def test_where_two_shards_hold_one_key_the_first_by_name_is_read(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    made = {store.commit(content(["twice", f"only {seed}"], seed=seed, most=4)): seed for seed in range(4)}
    first = content(["twice", "only"], seed=made[min(made)], most=4)
    np.testing.assert_array_equal(
        store.bags([text_key("twice")]).view("cls").row(0), as_float32(rows_of(first, "cls")[0])
    )
    assert store.documents == 5


def test_another_process_sees_a_commit_after_refresh(store: FeatureStore) -> None:
    other = FeatureStore.open(store.folder)
    assert store.documents == other.documents == 12
    store.commit(content(["new"]))
    assert store.documents == 13 and other.documents == 12
    other.refresh()
    assert other.documents == 13


def test_a_commit_of_another_thread_while_shards_are_indexed_is_seen(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ShardFolder._update_index

    def commit_meanwhile(folder: ShardFolder, names: list[str]) -> None:
        monkeypatch.setattr(ShardFolder, "_update_index", real)
        store.commit(content(["new"]))
        real(folder, names)

    assert store.documents == 12
    store.commit(content(["before"]))
    monkeypatch.setattr(ShardFolder, "_update_index", commit_meanwhile)
    assert store.missing_keys([text_key("before"), text_key("new")]) == [text_key("new")]
    assert store.documents == 14


def test_the_same_content_twice_is_one_shard_and_its_readers_go_on(store: FeatureStore) -> None:
    older(store)
    bags = FeatureStore.open(store.folder).bags([text_key(TEXTS[0])])
    store.commit(content(TEXTS[:4], seed=0))
    assert len(store.shards()) == 3
    mapped._open_map.cache_clear()  # as if many others had been read meanwhile
    np.testing.assert_array_equal(bags.view("cls").row(0), expected_rows(TEXTS[:1], "cls")[0])


def test_a_relative_store_is_read_from_another_working_folder(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.folder.parent)
    bags = FeatureStore.open(Path("store")).bags([text_key(TEXTS[2])])
    monkeypatch.chdir("/")
    mapped._open_map.cache_clear()
    np.testing.assert_array_equal(bags.view("mean").row(0), expected_rows(TEXTS[2:3], "mean")[0])


def test_stores_and_their_bags_are_pickled_by_path(store: FeatureStore) -> None:
    bags = store.bags([text_key(text) for text in TEXTS])
    data = pickle.dumps(bags)
    assert bags.view("cls").arrays[0].shape[0] > 0 and b"shards" in data
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.pooled(), bags.pooled())
    assert pickle.loads(pickle.dumps(store)).documents == 12


def test_the_same_recipe_opens_a_store_that_is_there(store: FeatureStore) -> None:
    again = FeatureStore.create(store.folder, replace(RECIPE, encoder="another name of it"))
    assert again.documents == 12 and again.recipe.encoder == "made-up"


def test_another_recipe_is_refused_field_by_field_with_the_way_on(store: FeatureStore) -> None:
    with pytest.raises(RecipeMismatch) as refused:
        FeatureStore.create(store.folder, replace(RECIPE, window=510, stride=64))
    assert str(refused.value) == (
        "store: window is 254 in this store, 510 was requested; stride is 0 in this store, 64 was requested. "
        "Name another --store, or give --window 254 --stride 0 to add to this one."
    )
    with pytest.raises(
        RecipeMismatch, match=r"to add to this one, which holds all of the requested features and more\.$"
    ):
        FeatureStore.create(store.folder, replace(RECIPE, keep=("cls",)))
    with pytest.raises(RecipeMismatch, match=r"Name another --store\.$"):
        FeatureStore.create(store.folder, replace(RECIPE, weights="d" * 64))


def test_a_folder_without_a_recipe_is_no_store(store: FeatureStore) -> None:
    with pytest.raises(FileMissing, match=r"stroe is not a feature store\. Did you mean 'store'\?$"):
        FeatureStore.open(store.folder.parent / "stroe")


def rewritten(store: FeatureStore, **changes: Any) -> None:
    path = store.folder / "recipe.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_recipe_that_was_changed_is_noticed(store: FeatureStore) -> None:
    rewritten(store, recipe=replace(RECIPE, window=510).to_json())
    with pytest.raises(StoreDamaged, match=r"recipe\.json was changed: its fingerprint belongs to another recipe\."):
        FeatureStore.open(store.folder)


def test_a_newer_format_is_refused_in_a_sentence(store: FeatureStore) -> None:
    rewritten(store, format=3)
    with pytest.raises(BadData, match=r"store has format 3, but this embedonce reads format 2\. Update embedonce\.$"):
        FeatureStore.open(store.folder)


@pytest.mark.parametrize("content", ["", "[]", "null", '{"format": 2}', '{"format": 2, "recipe": 7}', "[" * 100_000])
def test_a_recipe_that_cannot_be_read_is_damage(store: FeatureStore, content: str) -> None:
    (store.folder / "recipe.json").write_text(content)
    with pytest.raises(StoreDamaged, match=r"recipe\.json cannot be read \(.*\)\. Embed into a new store\.$"):
        FeatureStore.open(store.folder)


def test_files_of_dead_writers_and_of_others_are_not_read(store: FeatureStore) -> None:
    (store.folder / "shards" / ".tmp-0123").write_bytes(b"half a shard")
    (store.folder / "shards" / ".DS_Store").write_bytes(b"")
    (store.folder / "shards" / "notes.h5").write_bytes(b"not a shard")
    again = FeatureStore.open(store.folder)
    assert again.documents == 12
    (wrong,) = again.verify()
    assert wrong.endswith(
        "notes.h5 is not a shard, and is not read. Move it elsewhere, or run `embedonce store repair`."
    )


def test_opening_and_reading_look_at_no_corpus(store: FeatureStore) -> None:
    (store.folder / "corpora").mkdir()
    (store.folder / "corpora" / "broken.csv").write_bytes(b"\xff")
    assert len(FeatureStore.open(store.folder).bags([text_key(TEXTS[0])])) == 1


def test_verify_counts_the_documents_of_a_corpus_that_have_no_features(store: FeatureStore) -> None:
    store.save_corpus(table([text_key(text) for text in [*TEXTS, "new a", "new b"]]))
    assert store.corpora() == ["made"]
    assert store.verify() == [
        "made: 2 of 14 documents have no features. Run the same `embedonce embed` of made.csv again to encode them."
    ]


def test_info_counts_what_is_there(store: FeatureStore) -> None:
    info = store.info()
    made = [content(TEXTS[start : start + 4], seed=start).arrays for start in (0, 4, 8)]
    chunks = sum(len(arrays["chunks/span"]) for arrays in made)
    tokens = sum(len(arrays["tokens/id"]) for arrays in made)
    dropped = sum(int(arrays["documents/dropped_tokens"].sum()) for arrays in made)
    assert (info["documents"], info["shards"], info["chunks"], info["tokens"]) == (12, 3, chunks, tokens)
    assert info["dropped_share"] == dropped / (tokens + dropped)
    assert info["arrays"]["chunks/cls"] == chunks * 4 * 2 and info["arrays"]["documents/key"] == 12 * 32
    assert info["bytes"] == sum(path.stat().st_size for path in (store.folder / "shards").iterdir())
    assert json.loads(json.dumps(info)) == info


def test_a_record_is_kept_for_every_run(store: FeatureStore) -> None:
    for seconds in (1.5, 2.5):
        store.save_record("embed", {"seconds": seconds})
    kept = sorted((store.folder / "records").iterdir())
    assert [json.loads(path.read_text())["seconds"] for path in kept] == [1.5, 2.5]


def test_the_newest_store_is_the_one_with_the_newest_shard(tmp_path: Path) -> None:
    assert newest_store(tmp_path / "nowhere") is None and newest_store(tmp_path) is None
    for age, name in enumerate(["b", "c", "a"]):
        shard = FeatureStore.create(tmp_path / name, RECIPE).commit(content([name]))
        os.utime(tmp_path / name / "shards" / shard, (1_000_000 - age, 1_000_000 - age))
    FeatureStore.create(tmp_path / "d", RECIPE)
    found = newest_store(tmp_path)
    assert found is not None and found.name == "b"


def test_a_key_is_the_hash_of_the_text_whatever_characters_it_has() -> None:
    assert text_key("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # sha256 of nothing
    assert text_key("\ud800") != text_key("?")


def test_a_layer_that_is_not_kept_is_refused(store: FeatureStore) -> None:
    with pytest.raises(UnknownName, match="Layer -2 is not kept in this store, which has -1"):
        store.bags([text_key(TEXTS[0])], layer=-2)
