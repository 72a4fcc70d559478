"""The contract of a store, wherever it is, and what differs in a bucket."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from obstore.store import MemoryStore

from data.errors import CallError, RecipeMismatch, StorageFailed, StoreDamaged
from data.tabular import Tabular, TabularColumn
from featurestore import (
    CorpusTable,
    FeatureStore,
    JoinedStores,
    Location,
    list_stores,
    newest_store,
    plan_compaction,
    plan_pruning,
    repair_store,
    run_compaction,
    text_key,
)
from featurestore.maintenance.export import export_store
from featurestore.shards.subprocess_parser import ShardParser
from featurestore.storage.shard_cache import LIMIT_VARIABLE
from featurestore.storage.storage import read
from tests.conftest import Run
from tests.featurestore.made import ALL_KEPT, RECIPE, as_float32, content, rows_of

TEXTS = [f"text {number}" for number in range(9)]


def table(labels: str = "xyx", texts: list[str] = TEXTS[:3]) -> CorpusTable:
    keys = [text_key(text) for text in texts]
    prices = Tabular((TabularColumn("price", "number", np.array([1.0, np.nan, 3.0])),))
    single = [(label,) for label in labels]
    none = [None] * 3
    return CorpusTable("made", "made.csv", "single", None, list("abc"), keys, none, none, single, tabular=prices)


@pytest.fixture(autouse=True)
def parsed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no process to parse shards; test_subprocess_parser.py has those."""
    monkeypatch.setattr(ShardParser, "find_fault", lambda _, path: None)


@pytest.fixture
def store(location: Location) -> FeatureStore:
    made = FeatureStore.create(location, RECIPE)
    for start in range(0, 9, 3):
        made.commit(content(TEXTS[start : start + 3], seed=start))
    made.save_corpus(table())
    return made


def again(store: FeatureStore) -> FeatureStore:
    """The same store as another process sees it."""
    opened: FeatureStore = pickle.loads(pickle.dumps(store))
    return opened


def assert_whole(store: FeatureStore) -> None:
    for start in range(0, 9, 3):
        made = rows_of(content(TEXTS[start : start + 3], seed=start), "cls")
        bags = store.bags([text_key(text) for text in TEXTS[start : start + 3]])
        for row in range(3):
            np.testing.assert_array_equal(bags.view("cls").row(row), as_float32(made[row]))


def damage(store: FeatureStore, name: str) -> None:
    shards = store.storage.subfolder("shards")
    data = read(shards, name)
    shards.replace(name, data[:-1] + bytes([data[-1] ^ 1]), shards.state(name))


class TestStore:
    """What every store does."""

    def test_what_one_process_wrote_another_reads(self, store: FeatureStore) -> None:
        other = again(store)
        assert (other.documents, other.recipe, other.corpora()) == (9, RECIPE, ["made"])
        assert other.corpus("made") == table() and other.has_corpus(table())
        assert not other.has_corpus(table("xxx")) and other.verify() == []
        assert_whole(other)

    def test_a_store_is_opened_by_its_location_as_text(self, store: FeatureStore) -> None:
        other = FeatureStore.open(str(store.location))
        assert (
            other.location == store.location and other.name == "store" and other.info()["store"] == str(other.location)
        )

    def test_a_commit_is_seen_after_refresh(self, store: FeatureStore) -> None:
        other = again(store)
        assert other.documents == 9
        store.commit(content(["new"]))
        other.refresh()
        assert other.documents == store.documents == 10 and other.missing_keys([text_key("new")]) == []

    def test_the_first_recipe_stays(self, store: FeatureStore) -> None:
        with pytest.raises(RecipeMismatch, match="keep"):
            FeatureStore.create(store.location, ALL_KEPT)
        assert FeatureStore.create(store.location, RECIPE).documents == 9

    def test_a_corpus_is_replaced(self, store: FeatureStore) -> None:
        other = again(store)
        other.save_corpus(table("zzz"))
        assert store.corpus("made") == table("zzz")
        other.save_corpus(replace(table(), tabular=None))
        assert again(store).corpus("made").tabular is None

    def test_records_and_texts_without_vectors_are_kept(self, store: FeatureStore) -> None:
        store.save_unencodable([text_key("bad")])
        store.save_record("embed", {"seconds": 1.5})
        other = again(store)
        assert other.unencodable([text_key("bad"), text_key("text 1")]).tolist() == [True, False]
        records = other.storage.subfolder("records")
        assert [json.loads(read(records, name))["seconds"] for name in records.names()] == [1.5]

    def test_a_damaged_shard_is_found_quarantined_and_encoded_again(self, store: FeatureStore) -> None:
        name = store.shards()[1].name
        damage(store, name)
        problem, *_ = again(store).verify()
        assert problem.startswith(f"{store.location / 'shards' / name} is damaged: its bytes do not match its name.")
        report = repair_store(again(store))
        assert [shard.path.name for shard in report.quarantined] == [name]
        assert store.storage.subfolder("quarantine").names() == [name]
        other = again(store)
        assert other.documents == 6
        for start in range(0, 9, 3):
            other.commit(content(TEXTS[start : start + 3], seed=start))
        assert again(store).verify() == []
        assert_whole(again(store))

    def test_compaction_keeps_every_document(self, store: FeatureStore) -> None:
        reader = again(store)
        assert_whole(reader)
        run_compaction(plan_compaction(store), store)
        other = again(store)
        assert (len(other.shards()), other.documents, other.verify()) == (1, 9, [])
        reader.refresh()
        for each in (store, other, reader):
            assert_whole(each)

    @pytest.mark.parametrize("is_repair", [False, True])
    def test_a_compaction_in_the_middle_of_a_check_is_no_problem(self, store: FeatureStore, is_repair: bool) -> None:
        store.save_corpus(table(texts=TEXTS[::3]))
        plans = [plan_compaction(store)]

        def compact(done: float, total: float) -> None:
            assert done <= total
            if plans:
                run_compaction(plans.pop(), store)

        if is_repair:
            report = repair_store(again(store), compact)
            assert report.quarantined == () and report.missing == ()
        else:
            assert again(store).verify(compact) == []
        assert len(again(store).shards()) == 1

    def test_pruning_keeps_what_a_corpus_names(self, store: FeatureStore) -> None:
        run_compaction(plan_pruning(store), store)
        other = again(store)
        assert set(other.keys) == {text_key(text) for text in TEXTS[:3]} and other.verify() == []

    def test_stores_of_a_folder_are_listed_and_the_newest_found(self, store: FeatureStore) -> None:
        folder = store.location.parent
        FeatureStore.create(folder / "empty", RECIPE)
        assert sorted(map(str, list_stores(folder))) == [f"{folder}/empty", f"{folder}/store"]
        newest = newest_store(folder)
        assert newest is not None and newest.name == "store"
        assert newest_store(folder / "nowhere") is None

    def test_stores_are_joined_and_exported(self, store: FeatureStore, tmp_path: Path) -> None:
        other = FeatureStore.create(store.location.parent / "other", replace(RECIPE, weights="d" * 64))
        other.commit(content(TEXTS, seed=5, dim=2))
        joined = JoinedStores((store, other)).bags([text_key("text 4")], "cls")
        assert joined.pooled(["cls"]).shape == (1, 6)
        assert export_store(again(store), tmp_path / "all.npz", "npz", corpus="made") == 3

    def test_two_processes_that_write_at_once_lose_nothing(self, store: FeatureStore) -> None:
        other = again(store)
        store.commit(content(["one", "both"], seed=1))
        other.commit(content(["two", "both"], seed=2))
        other.commit(content(["one", "both"], seed=1))
        for each in (store, other, again(store)):
            each.refresh()
            assert each.documents == 12
            assert_whole(each)


@pytest.fixture
def bucket_store(memory: MemoryStore) -> FeatureStore:
    made = FeatureStore.create("s3://features/store", RECIPE)
    for start in range(0, 9, 3):
        made.commit(content(TEXTS[start : start + 3], seed=start))
    return made


def test_a_store_in_a_bucket_has_no_folder(bucket_store: FeatureStore) -> None:
    with pytest.raises(CallError, match="s3://features/store is in a bucket, and this needs a folder"):
        _ = bucket_store.folder


def test_embed_knows_what_a_bucket_holds_without_downloading_a_shard(
    bucket_store: FeatureStore, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "other machine"))
    store = again(bucket_store)
    assert store.missing_keys([text_key("text 1"), text_key("new")]) == [text_key("new")]
    store.commit(content(["new"]))
    store.refresh()
    assert store.documents == 10 and len([*(tmp_path / "other machine" / "shards").glob("*.h5")]) == 1


def test_store_verify_needs_no_room_for_a_store_in_the_cache(
    embedonce: Run, bucket_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "other machine"))
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    shown = embedonce("store", "verify", bucket_store.location)
    assert (shown.code, shown.out) == (0, "s3://features/store: all shards are intact, 3 in total.\n")


def test_a_missing_or_damaged_file_of_keys_costs_a_download_and_a_wrong_one_is_corrected(
    bucket_store: FeatureStore,
) -> None:
    keys = bucket_store.storage.subfolder("keys")
    first, second, third = keys.names()
    keys.remove(first)
    keys.replace(second, read(keys, second)[:-1], keys.state(second))
    keys.replace(third, read(keys, keys.names()[-1]), keys.state(third))
    assert again(bucket_store).documents == 9
    other = content(["not in the shard"])
    wrong = FeatureStore.create("s3://features/other", RECIPE)
    wrong_file = wrong.storage.subfolder("keys")
    wrong.commit(other)
    keys.replace(third, read(wrong_file, wrong_file.names()[0]), keys.state(third))
    store = again(bucket_store)
    assert store.documents == 7
    assert len(store.shards()) == 3 and store.documents == 9
    assert_whole(store)


def test_a_table_that_two_processes_change_keeps_the_first_change(
    bucket_store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket_store.save_corpus(table())
    folder = bucket_store.storage.subfolder("corpora")
    before = folder.states()
    again(bucket_store).save_corpus(table("zzz"))
    monkeypatch.setattr(folder, "state", before.get)
    with pytest.raises(StorageFailed, match=r"corpora/made.csv was changed by another process"):
        bucket_store.save_corpus(table("yyy"))
    assert again(bucket_store).corpus("made") == table("zzz")


def test_a_damaged_shard_of_a_bucket_is_not_kept_in_the_cache(
    bucket_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(bucket_store, bucket_store.shards()[0].name)
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "other machine"))
    with pytest.raises(StoreDamaged, match=r"^s3://features/store/shards/.*its bytes do not match its name\. Run"):
        again(bucket_store).shards()
    names = [path.name for path in (tmp_path / "other machine" / "shards").iterdir()]
    assert all(not name.startswith(".tmp-") and name != bucket_store.shards()[0].name for name in names)
