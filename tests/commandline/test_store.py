"""`store info` and `store verify` say what a store holds, and what is wrong with it."""

import json
import os
from dataclasses import replace
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
    content = json.loads(embedonce("store", "info", store, "--json").out)
    assert content["documents"] == 1200 and content["recipe"]["keep"] == ["cls", "mean", "max", "segments"]


def test_an_intact_store_is_reported_as_intact(embedonce: Run, store: Path) -> None:
    shown = embedonce("store", "verify", store)
    assert (shown.code, shown.out) == (0, f"{store}: all shards are intact, 1 in total.\n")
    assert json.loads(embedonce("store", "verify", store, "--json").out)["wrong"] == []


def test_a_flipped_byte_is_named_with_the_documents_that_it_costs(embedonce: Run, store: Path) -> None:
    (shard,) = (store / "shards").iterdir()
    flip_a_byte(shard)
    damaged, missing = embedonce("store", "verify", store).out.splitlines()
    assert damaged.startswith(f"{shard} is damaged: its bytes do not match its name.")
    assert missing.startswith("made: 1,200 of 1,200 documents have no features.")
    answer = embedonce("store", "verify", store, "--json")
    assert (answer.code, json.loads(answer.out)["wrong"]) == (1, [damaged, missing])


def test_repair_moves_the_damaged_shard_and_names_its_documents(embedonce: Run, store: Path) -> None:
    (shard,) = (store / "shards").iterdir()
    flip_a_byte(shard)
    shown = embedonce("store", "repair", store)
    moved, missing, named = shown.out.splitlines()
    assert shown.code == 0 and moved.startswith(f"{shard.name} was moved to {store / 'quarantine'}: ")
    assert missing.startswith("made: 1,200 of 1,200") and named == (
        "  d0, d1, d2, d3, d4, d5, d6, d7, d8, d9 and 1,190 more (--json names all)"
    )
    again = embedonce("store", "repair", store, "--json")
    assert len(json.loads(again.out)["missing"]["made"]) == 1200 and json.loads(again.out)["quarantined"] == []


def test_an_id_of_a_foreign_store_is_not_obeyed_by_the_terminal(embedonce: Run, store: Path) -> None:
    table = store / "corpora" / "made.csv"
    table.write_text(table.read_text().replace("d0,", "d\x1b[2J,", 1))
    flip_a_byte(next((store / "shards").iterdir()))
    shown = embedonce("store", "repair", store)
    assert r"  d\x1b[2J, d1, d2" in shown.out and "\x1b" not in shown.out


def test_a_dry_run_says_what_would_go_and_leaves_it(embedonce: Run, store: Path) -> None:
    table = store / "corpora" / "made.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:1001]) + "\n")
    before = sorted(store.rglob("*"))
    shown = embedonce("store", "prune", store, "--dry-run")
    assert "200 documents that no corpus refers to and 0 duplicates would be removed, about " in shown.out
    assert shown.err == "Nothing was changed.\n" and sorted(store.rglob("*")) == before
    assert json.loads(embedonce("store", "prune", store, "--json").out)["unreferenced"] == 200
    assert json.loads(embedonce("store", "info", store, "--json").out)["documents"] == 1000


def test_a_store_with_one_shard_has_nothing_to_compact(embedonce: Run, store: Path) -> None:
    shown = embedonce("store", "compact", store)
    assert shown.code == 0 and shown.out.endswith("; 1 shard became 1.\n")


def test_labels_are_replaced_by_id(embedonce: Run, store: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("id,label\nd0,c\nd1,c\n")
    shown = embedonce("store", "label", "new.csv", "--store", store)
    assert shown.out == (
        "made: 2 labels, 0 splits, 0 groups changed; 1,198 documents that are not in new.csv keep theirs.\n"
    )
    assert (store / "corpora" / "made.csv").read_text().splitlines()[1].endswith(",c")


def test_a_taxonomy_alone_is_attached(embedonce: Run, store: Path, tmp_path: Path) -> None:
    labels = sorted({line.rpartition(",")[2] for line in (store / "corpora" / "made.csv").read_text().splitlines()[1:]})
    (tmp_path / "edges.csv").write_text("child,parent\n" + "".join(f"{label},all\n" for label in labels))
    shown = embedonce("store", "label", "--taxonomy", "edges.csv", "--store", store)
    assert shown.out == "made: the taxonomy of edges.csv is attached.\n"
    assert f"the taxonomy of the labels: {len(labels) + 1} nodes on 2 levels, {len(labels)} leaves" in shown.err
    refused = embedonce("store", "label", "--store", store)
    assert refused.code == 2 and "Name a table with a column of ids" in refused.err


def test_tabular_columns_are_refused_as_they_would_be_ignored(embedonce: Run, store: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("id,label,price\nd0,x,1\n")
    arguments = ("store", "label", "new.csv", "--store", store)
    refused = embedonce(*arguments, "--tabular", "price")
    assert refused.code == 2 and "`store label` replaces labels, splits and groups, not tabular columns" in refused.err
    (tmp_path / "embedonce.toml").write_text('tabular = ["price"]\n')  # for `embed`
    assert embedonce(*arguments).code == 0


def test_a_label_file_with_strange_ids_is_refused(embedonce: Run, store: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("id,label\nd0,c\nx1,c\n")
    shown = embedonce("store", "label", "new.csv", "--store", store)
    assert shown.code == 1 and shown.err == (
        "Error: new.csv: 1 of 2 ids are not in corpus 'made' (the first is 'x1'). "
        "Name the column of the ids with --id.\n"
    )


@pytest.mark.parametrize("name", ["out.h5", "out.npz", "out.parquet"])
def test_a_store_is_exported_by_the_ending_and_not_over_a_file(embedonce: Run, store: Path, name: str) -> None:
    shown = embedonce("store", "export", name, "--store", store, "--corpus", "made")
    assert shown.code == 0 and shown.out.startswith(f"{name}: 1,200 documents of {store}, ")
    again = embedonce("store", "export", name, "--store", store)
    assert again.code == 2 and "--overwrite" in again.err
    assert embedonce("store", "export", name, "--store", store, "--overwrite").code == 0


def test_an_ending_that_says_nothing_is_asked_for(embedonce: Run, store: Path, tmp_path: Path) -> None:
    shown = embedonce("store", "export", "out.bin", "--store", store)
    assert (shown.code, shown.err) == (2, "Error: There is no export to 'bin'. Known: h5, npz, parquet.\n")
    assert not (tmp_path / "out.bin").exists()


def test_the_newest_store_that_has_the_corpus_is_labeled_and_exported(embedonce: Run, tmp_path: Path) -> None:
    make_store(tmp_path / "stores" / "one", *blobs(["a", "b"], documents=20))
    other, table = make_store(tmp_path / "stores" / "other", *blobs(["a", "b"], documents=20))
    other.save_corpus(replace(table, name="renamed"))
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"{name},c\n" for name in table.ids))
    os.utime(next((tmp_path / "stores" / "one" / "shards").iterdir()), (2e9, 2e9))
    labeled = embedonce("store", "label", "labels.csv", "--corpus", "renamed")
    assert labeled.code == 0 and labeled.out.startswith("renamed: ")
    exported = embedonce("store", "export", "all.npz", "--corpus", "renamed")
    assert exported.code == 0 and "stores/other" in exported.out
