"""`embedonce embed` as a person calls it, with a tiny encoder."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.tiny_encoder import SENTENCES, make_encoder


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments that every call here shares; the table and the encoder are there."""
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path_factory.mktemp("cache")))
    folder = make_encoder(tmp_path_factory.mktemp("encoders") / "tiny")
    rows = "".join(f'{number},"{SENTENCES[number % 7]} {number}",{number % 2}\n' for number in range(30))
    (tmp_path / "table.csv").write_text(f"id,text,label\n{rows}", encoding="utf-8")
    return ["embed", "table.csv", "--model", str(folder), "--device", "cpu"]


def test_a_dry_run_prints_what_it_would_cost_and_writes_nothing(
    embedonce: Run, call: list[str], tmp_path: Path
) -> None:
    result = embedonce(*call, "--dry-run", "--long", "head", "--window", "10")
    assert result.code == 0
    for row in ("documents", "tokens", "windows", "dropped", "on disk", "in memory for a head", "time", "on cpu"):
        assert row in result.out
    estimate = json.loads(embedonce(*call, "--dry-run", "--json").out)
    assert (estimate["documents"], estimate["already_stored"], estimate["dropped_tokens"]) == (30, 0, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_dry_run_prints_what_the_source_holds(embedonce: Run, call: list[str], tmp_path: Path) -> None:
    rows = [
        ("0", "", "a"),
        ("1", "twice", "a"),
        ("2", "twice", ""),
        *((f"{n}", f"text {n}", "b") for n in range(3, 13)),
    ]
    (tmp_path / "table.csv").write_text("id,text,label\n" + "".join(f"{','.join(row)}\n" for row in rows))
    source = json.loads(embedonce(*call, "--dry-run", "--json").out)["source"]
    assert source["spec"] == {"text": ["text"], "label": "label", "id": "id"}
    assert {name: sum(counts.values()) for name, counts in source["labels"].items()} == {"b": 10, "a": 2}
    assert (source["unlabeled"], source["blank_texts"], source["duplicate_texts"]) == (1, 1, 1)
    assert source["characters"] == {"shortest": 0, "median": 6, "p95": 7, "longest": 7}
    shown = embedonce(*call, "--dry-run").out
    assert "text: text; label: label; id: id" in shown and "0 to 7 characters, median 6" in shown
    assert [row["id"] for row in source["first_documents"]] == ["0", "1", "2"]
    assert "2                 train   –        twice" in shown or "2                 test    –        twice" in shown


def test_a_dry_run_reports_the_taxonomy(embedonce: Run, call: list[str], tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("child,parent\n0,even\n1,odd\neven,number\nodd,number\n")
    shown = embedonce(*call, "--taxonomy", "edges.csv", "--dry-run", "--json")
    source = json.loads(shown.out)["source"]
    assert (source["kind"], source["spec"]["taxonomy"]) == ("path", "edges.csv")
    assert source["taxonomy"] == {
        "nodes": 5, "levels": 3, "leaves": 2, "inner_labels": 0, "several_parents": 0, "one_child": 2,
    }  # fmt: skip
    assert "taxonomy of the labels: 5 nodes on 3 levels, 2 leaves, 2 inner nodes have one child" in shown.err
    (tmp_path / "edges.csv").write_text("child,parent\n0,even\n")
    refused = embedonce(*call, "--taxonomy", "edges.csv")
    assert refused.code == 1 and "document '1' has the label '1', which is not in edges.csv" in refused.err
    assert not (tmp_path / "stores").exists()


def test_a_dry_run_tells_unlabeled_documents_from_those_to_which_no_label_applies(
    embedonce: Run, call: list[str], tmp_path: Path
) -> None:
    cells = ['"[a, b]"', "[a]", "[b]", "[]", "[]", ""] * 5
    rows = (f"text {row},{cell}\n" for row, cell in enumerate(cells))
    (tmp_path / "table.csv").write_text("text,label\n" + "".join(rows))
    source = json.loads(embedonce(*call, "--dry-run", "--json").out)["source"]
    assert (source["kind"], source["unlabeled"], source["no_label_applies"]) == ("multilabel", 5, 10)


def test_a_dry_run_of_many_labels_shows_the_most_and_the_least_frequent(
    embedonce: Run, call: list[str], tmp_path: Path
) -> None:
    rows = (f"text {n} {m},label-{n:02}\n" for n in range(30) for m in range(3 + n))
    (tmp_path / "table.csv").write_text("text,label\n" + "".join(rows))
    shown = embedonce(*call, "--dry-run").out
    assert "label-29" in shown and "label-00" in shown and "(10 more)" in shown and "label-15" not in shown


def test_parts_fill_one_store(embedonce: Run, call: list[str], tmp_path: Path) -> None:
    first = embedonce(*call, "--part", "1/2")
    assert first.code == 0
    assert "Part 1/2: " in first.err
    assert "documents of the other parts still to encode." in first.err
    second = json.loads(embedonce(*call, "--part", "2/2", "--json").out)
    assert (second["part"], second["missing_in_other_parts"]) == ("2/2", 0)
    assert json.loads(embedonce(*call, "--json").out)["encoded"] == 0


def test_a_part_that_is_none_is_refused_before_anything_is_done(
    embedonce: Run, call: list[str], tmp_path: Path
) -> None:
    result = embedonce(*call, "--part", "3/2")
    assert (result.code, result.out) == (2, "")
    assert "--part 3/2 is not valid" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_recipe_that_differs_from_the_stores_is_reported_field_by_field(embedonce: Run, call: list[str]) -> None:
    assert embedonce(*call, "--store", "one", "--window", "20", "--stride", "5").code == 0
    result = embedonce(*call, "--store", "one", "--long", "head")
    assert result.code == 2
    assert "stride is 5 in this store, 0 was requested; long is windows in this store, head was requested" in result.err
    assert embedonce(*call, "--store", "one").code == 0
    again = embedonce("embed", "table.csv", "--store", "one")
    assert again.code == 0 and "with the encoder of one." in again.err


def test_the_length_of_segments_follows_the_store_unless_it_is_given(embedonce: Run, call: list[str]) -> None:
    assert embedonce(*call, "--store", "own", "--keep", "cls,segments:4").code == 0
    assert embedonce(*call, "--store", "own", "--keep", "cls,segments").code == 0
    refused = embedonce(*call, "--store", "own", "--keep", "cls,segments:8")
    assert refused.code == 2 and "segment" in refused.err
