"""The table of a large corpus is Parquet, too: read in place of the CSV as long as that has not been edited."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.packed import PackedStrings
from featurestore.shards.keys import KeyList
from featurestore.storage.places import storage_at
from featurestore.storage.storage import Storage
from featurestore.store import corpora, corpus_parquet, corpus_rows
from featurestore.store.corpora import CorpusTable

pytest.importorskip("pyarrow")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_rows, "LARGE_ROWS", 2)
    monkeypatch.setattr(corpus_parquet, "LARGE_ROWS", 2)


def table_of(ids: Sequence[str], labels: Sequence[Any], kind: Any = "single") -> CorpusTable:
    return CorpusTable(
        name="c",
        source="c.csv",
        kind=kind,
        taxonomy=None,
        ids=list(ids),
        keys=[f"{row:02x}" * 31 + "00" for row in range(len(ids))],
        splits=["train" if row % 2 else None for row in range(len(ids))],
        groups=[f"g{row % 3}" if row % 4 else None for row in range(len(ids))],
        labels=list(labels),
    )


def columns_of(table: CorpusTable) -> list[list[Any]]:
    return [list(getattr(table, name)) for name in corpus_rows.NAMES]


def folder_of(path: Path) -> Storage:
    return storage_at(path).subfolder("corpora")


FOUR = table_of("abcd", [("x",), None, ("y",), ("x",)])


@given(ids=st.lists(TEXT, min_size=3, max_size=9, unique=True), is_multilabel=st.booleans(), data=st.data())
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_parquet_and_csv_hold_the_same_rows(
    ids: list[str],
    is_multilabel: bool,
    data: st.DataObject,
    tmp_path: Path,
) -> None:
    labels = st.lists(TEXT, max_size=3, unique=True).map(tuple) if is_multilabel else st.tuples(TEXT)
    drawn = data.draw(st.lists(labels | st.none(), min_size=len(ids), max_size=len(ids)))
    table, folder = table_of(ids, drawn, "multilabel" if is_multilabel else "single"), folder_of(tmp_path)
    corpora.save(table, folder)
    from_parquet = corpora.load("c", folder)
    (tmp_path / "corpora" / "c.parquet").unlink()
    from_csv = corpora.load("c", folder)
    assert columns_of(from_parquet) == columns_of(from_csv) == columns_of(table)
    assert isinstance(from_csv.ids, PackedStrings) and isinstance(from_parquet.keys, KeyList)


def test_parquet_is_read_while_the_csv_is_the_one_that_it_was_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path)
    corpora.save(FOUR, folder)
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "parse_table", lambda *_: pytest.fail("the CSV was read"))
        assert columns_of(corpora.load("c", folder)) == columns_of(FOUR)


def test_an_edited_csv_counts(tmp_path: Path) -> None:
    folder, path = folder_of(tmp_path), tmp_path / "corpora" / "c.csv"
    corpora.save(FOUR, folder)
    path.write_text(path.read_text().replace(",y\n", ",z\n"))
    assert list(corpora.load("c", folder).labels) == [("x",), None, ("z",), ("x",)]


def test_saving_again_replaces_both_and_a_small_table_has_no_parquet(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    corpora.save(FOUR, folder)
    relabeled = replace(FOUR, labels=[("z",)] * 4)
    corpora.save(relabeled, folder)
    assert columns_of(corpora.load("c", folder)) == columns_of(relabeled)
    corpora.save(table_of("ab", [("x",), ("y",)]), folder)
    assert folder.names() == ["c.csv", "c.json"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_parquet_is_not_read(damage: str, tmp_path: Path) -> None:
    folder, path = folder_of(tmp_path), tmp_path / "corpora" / "c.parquet"
    corpora.save(FOUR, folder)
    content = bytearray(path.read_bytes())
    content[20] ^= 255
    path.write_bytes({"cut": path.read_bytes()[:50], "flip": bytes(content), "empty": b""}[damage])
    assert columns_of(corpora.load("c", folder)) == columns_of(FOUR)


def test_a_writer_that_dies_before_the_parquet_leaves_the_new_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path)
    corpora.save(FOUR, folder)
    monkeypatch.setattr(corpus_parquet, "write", lambda *_: None)
    relabeled = replace(FOUR, labels=[("z",)] * 4)
    corpora.save(relabeled, folder)
    assert columns_of(corpora.load("c", folder)) == columns_of(relabeled)


def test_without_pyarrow_there_is_only_the_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(corpus_parquet, "find_spec", lambda _: None)
        corpora.save(FOUR, folder)
        assert folder.names() == ["c.csv", "c.json"]
        assert columns_of(corpora.load("c", folder)) == columns_of(FOUR)


def test_an_id_with_half_a_character_is_only_in_the_csv(tmp_path: Path) -> None:
    folder, table = folder_of(tmp_path), table_of(["a", "b", "\ud83d"], [("x",)] * 3)
    corpora.save(table, folder)
    assert folder.names() == ["c.csv", "c.json"]
    assert columns_of(corpora.load("c", folder)) == columns_of(table)


def test_an_unchanged_large_corpus_is_recognized(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    corpora.save(FOUR, folder)
    assert corpora.is_saved(corpora.load("c", folder), folder)
