"""What a reader asks of a store: some views, by ids."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import UnknownName
from featurestore import CorpusTable, FeatureStore, text_key
from tests.featurestore.made import RECIPE, as_float32, content, rows_of

TEXTS = ["one", "two", "three"]


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    store.commit(content(TEXTS))
    return store


def table(ids: list[str]) -> CorpusTable:
    keys = [text_key(text) for text in TEXTS] + [text_key("one")] * (len(ids) - 3)
    none = [None] * len(ids)
    return CorpusTable("letters", "letters.csv", "single", None, ids, keys, none, none, [()] * len(ids))


def test_a_reader_has_the_views_that_it_asks_for(store: FeatureStore) -> None:
    keys = [text_key(text) for text in ("three", "one")]
    assert set(store.bags(keys).views) == {"cls", "mean", "max", "segments", "token_ids"}
    assert list(store.bags(keys, "segments").views) == ["segments"]
    some = store.bags(keys, keep=("token_ids", "max"), layer=-1)
    assert list(some.views) == ["token_ids", "max"]
    rows = rows_of(content(TEXTS), "max")
    np.testing.assert_array_equal(some.view("max").gather()[0], as_float32(np.concatenate([rows[2], rows[0]])))


@pytest.mark.parametrize(
    ("keep", "clause"),
    [
        ("tokens", r"'tokens'\. Did you mean 'token_ids'\?"),
        (["cls", "sum"], r"'sum'\. Known: cls, max, mean, segments, token_ids\."),
    ],
)
def test_a_view_that_is_not_kept_is_named_with_those_that_are(
    store: FeatureStore, keep: str | list[str], clause: str
) -> None:
    with pytest.raises(UnknownName, match=rf"^These features have no {clause}$"):
        store.bags([text_key("one")], keep=keep)


def test_documents_are_looked_up_by_their_ids(store: FeatureStore) -> None:
    keys = table(["a", "b", "c", "d"]).keys_of(["c", "d", "c"])
    assert keys == [text_key("three"), text_key("one"), text_key("three")]
    assert store.bags(keys, keep="segments").view("segments").length.tolist() == [
        len(rows_of(content(TEXTS), "segments")[row]) for row in (2, 0, 2)
    ]
    assert table(["a", "b", "c"]).keys_of([]) == []


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("letter-2", r" Did you mean 'letter-\d'\?"),
        ("3", r" Nearest ids: letter-3, letter-4, letter-1\."),
        ("x", r" Its ids are letter-1, .* and so on\."),
    ],
)
def test_an_id_that_is_not_there_is_named_with_the_nearest_or_a_few_and_not_with_all(asked: str, hint: str) -> None:
    with pytest.raises(UnknownName, match=rf"^letters has no document '{asked}'\.{hint}$"):
        table(["letter-1", "letter-3", "letter-4"]).keys_of(["letter-1", asked])


class CountedIds(list[str]):
    """Ids that count how often all of them are read."""

    passes = 0

    def __iter__(self) -> Iterator[str]:
        self.passes += 1
        return super().__iter__()


def test_the_ids_are_read_once_however_many_documents_are_looked_up() -> None:
    ids = CountedIds(f"letter-{row}" for row in range(60))
    letters = table(ids)
    assert [letters.rows_of([name]) for name in list.__iter__(ids)] == [[row] for row in range(60)]
    assert letters.keys_of(ids[::-1])[-1] == text_key("one")
    assert ids.passes == 1


def test_equal_cells_of_a_loaded_corpus_share_one_value(store: FeatureStore) -> None:
    labels, splits = [("a",), ("b",), None] * 20, ["train", "test", "train"] * 20
    store.save_corpus(replace(table([f"d{row}" for row in range(60)]), labels=labels, splits=splits))
    corpus = store.corpus("letters")
    assert list(corpus.labels) == labels and list(corpus.splits) == splits
    assert len(set(map(id, corpus.labels))) == 3 and len(set(map(id, corpus.splits))) == 2
