"""`embedonce taxonomy` as a person calls it."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.documents import Document
from data.taxonomy import Taxonomy
from tests.conftest import Run, write_csv
from tests.small_store import blobs, make_store

LABELS = {"rec/sport/hockey": 3, "rec/sport": 2, "rec/autos": 1, "sci/space": 1}


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    labels = [label for label, count in LABELS.items() for _ in range(count)]
    documents = [
        Document(f"d{row}", f"text {row}", (label,), "test" if row == 0 else "train")
        for row, label in enumerate(labels)
    ]
    return write_csv(tmp_path / "articles.csv", documents)


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and "──" not in line]


def test_paths_are_drawn_with_their_documents(embedonce: Run, articles: Path) -> None:
    result = embedonce("taxonomy", "articles.csv")
    assert result.code == 0
    summary, *drawn = lines(result.out)
    assert summary == (
        "articles: 6 nodes on 3 levels, 3 leaves, 1 inner node is a label, 2 inner nodes have one child; 7 documents."
    )
    assert drawn == [
        "at the",
        "node documents node itself train test",
        "rec 6 0 5 1",
        "├─ sport (label; one child) 5 2 4 1",
        "│ └─ hockey 3 3 2 1",
        "└─ autos 1 1 1 0",
        "sci (one child) 1 0 1 0",
        "└─ space 1 1 1 0",
    ]


def test_a_depth_a_sort_order_and_json(embedonce: Run, articles: Path) -> None:
    drawn = lines(embedonce("taxonomy", "articles.csv", "--depth", 2, "--sort", "name").out)[3:]
    assert [line.split(" (")[0] for line in drawn[1:3]] == ["├─ autos 1 1 1 0", "└─ sport"]
    assert "(label; one child; 1 node below)" in drawn[2]
    content = json.loads(embedonce("taxonomy", "articles.csv", "--json").out)
    (node,) = [node for node in content["nodes"] if node["node"] == "rec/sport"]
    assert node == {
        "node": "rec/sport",
        "parents": ["rec"],
        "level": 2,
        "children": 1,
        "documents": 5,
        "documents_at_node": 2,
        "train": 4,
        "test": 1,
    }


def test_long_names_are_wrapped_behind_the_lines_of_the_tree(
    embedonce: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["animals/birds of the northern hemisphere that migrate", "animals/鸟类" * 9, "animals/" + "x" * 90]
    write_csv(tmp_path / "t.csv", [Document(str(row), f"text {row}", (name,)) for row, name in enumerate(names)])
    monkeypatch.setenv("COLUMNS", "50")
    out = embedonce("taxonomy", "t.csv").out
    assert "│  " in out and "x" * 90 not in out


def test_an_edge_file_replaces_no_other_file(embedonce: Run, articles: Path) -> None:
    before = articles.read_bytes()
    refused = embedonce("taxonomy", "articles.csv", "--output", "articles.csv")
    assert refused.code == 2 and "articles.csv exists already. Name another --output, or remove it." in refused.err
    assert articles.read_bytes() == before


def test_the_corpus_of_a_store_is_drawn(embedonce: Run, tmp_path: Path) -> None:
    documents, vectors = blobs(["rec/a", "rec/b", "sci/c"], documents=12)
    taxonomy = Taxonomy.from_separator(["rec/a", "rec/b", "sci/c"], "/")
    make_store(tmp_path / "stores" / "one", documents, vectors, "path", taxonomy)
    newest, named = embedonce("taxonomy"), embedonce("taxonomy", "stores/one")
    assert newest.out == named.out and newest.out.startswith("made: 5 nodes on 2 levels")
    for options in (["stores/one", "--suggest", "run"], ["--run", "run", "--store", "stores/one"]):
        refused = embedonce("taxonomy", *options)
        assert refused.code == 2 and "each name a taxonomy" in refused.err


def test_the_file_of_a_taxonomy_is_drawn_without_documents(embedonce: Run, tmp_path: Path) -> None:
    (tmp_path / "pets.csv").write_text("parent,child\npets,cat\npets,pony\nfarm,pony\n", encoding="utf-8")
    (tmp_path / "pets.json").write_text('{"cat": "pets", "pony": ["pets", "farm"]}', encoding="utf-8")
    table, options, content = (
        embedonce("taxonomy", *each) for each in (["pets.csv"], ["--taxonomy", "pets.csv"], ["pets.json"])
    )
    assert table.out == options.out == content.out
    assert lines(table.out) == [
        "pets: 4 nodes on 2 levels, 2 leaves, 1 node has several parents, 1 inner node has one child.",
        *("node", "farm (one child)", "└─ pony (below pets and farm)"),
        *("pets", "├─ cat", "└─ pony (below pets and farm)"),
    ]
    refused = embedonce("taxonomy", "--taxonomy", "pets.csv", "--store", "x")
    assert refused.code == 2 and "each name a taxonomy" in refused.err


def test_flat_labels_are_refused_in_one_sentence(embedonce: Run, tmp_path: Path) -> None:
    make_store(tmp_path / "stores" / "one", *blobs(["a", "b"], documents=12))
    refused = embedonce("taxonomy")
    assert refused.code == 1 and "The labels of made have no taxonomy" in refused.err
    assert "`embedonce store label --taxonomy FILE`, or let" in refused.err and "--suggest RUN" in refused.err


def test_a_suggestion_is_drawn_and_written_as_an_edge_file(embedonce: Run, tmp_path: Path) -> None:
    rng, codes = np.random.default_rng(0), np.arange(120) % 4
    documents = [Document(f"d{row}", f"text {row}", ("abcd"[code],), "train") for row, code in enumerate(codes)]
    vectors = np.array([[0, 0], [1, 0], [50, 50], [51, 50]])[codes] + rng.normal(size=(120, 2))
    make_store(tmp_path / "stores" / "one", documents, vectors)
    assert embedonce("fit-head", "prototype", "--folds", 2, "--no-test", "--no-tune").code == 0
    (run,) = [path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    result = embedonce("taxonomy", "--suggest", run, "--output", "groups.csv")
    assert result.code == 0 and lines(result.out) == [
        f"{run}: 6 nodes on 2 levels, 4 leaves; 120 documents.",
        "node documents",
        *("a, b 60", "├─ a 30", "└─ b 30", "c, d 60", "├─ c 30", "└─ d 30"),
    ]
    with (tmp_path / "groups.csv").open(newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)]
    assert rows[0] == ("child", "parent")
    assert set(rows[1:]) == {("a, b", ""), ("c, d", ""), ("a", "a, b"), ("b", "a, b"), ("c", "c, d"), ("d", "c, d")}
    assert embedonce("store", "label", "--taxonomy", "groups.csv").code == 0
    assert lines(embedonce("taxonomy").out)[-3:] == ["c, d 60 60", "├─ c 30 30", "└─ d 30 30"]


def test_nodes_of_an_edge_file_that_a_spreadsheet_would_execute_are_texts_and_read_back(
    embedonce: Run, tmp_path: Path
) -> None:
    (tmp_path / "edges.json").write_text(json.dumps({"=1+1": ["-top"], "b": ["-top"]}))
    assert embedonce("taxonomy", "edges.json", "--output", "edges.csv").code == 0
    assert (tmp_path / "edges.csv").read_text() == "child,parent\n'-top,\n'=1+1,'-top\nb,'-top\n"
    assert lines(embedonce("taxonomy", "edges.csv").out)[1:] == lines(embedonce("taxonomy", "edges.json").out)[1:]


def test_the_mistakes_of_a_run_are_drawn(embedonce: Run, tmp_path: Path) -> None:
    labels = ["rec/a", "rec/b", "sci"]
    documents, vectors = blobs(labels, documents=60)
    documents = [replace(one, labels=("sci",)) if row in (3, 7) else one for row, one in enumerate(documents)]  # a lie
    make_store(tmp_path / "stores" / "one", documents, vectors, "path", Taxonomy.from_separator(labels, "/"))
    shown = embedonce("fit-head", "prototype", "--folds", 2, "--no-tune").out
    assert ["run", "hF1", "of", "labels", "level", "1", "level", "2", "distance"] in map(str.split, shown.splitlines())
    (run,) = [path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    result = embedonce("taxonomy", "--run", run)
    first, *drawn = lines(result.out)
    assert result.code == 0 and first.startswith(f"{run} on 15 test documents: hF1 0.")
    content = json.loads(embedonce("taxonomy", "--run", run, "--json").out)
    (sci,) = [node for node in content["nodes"] if node["node"] == "sci"]
    assert sci["lost"] > 0 and f"sci {sci['f1']:.3f} {sci['support']} {sci['lost']} {sci['lost_below']}" in drawn
    level = content["levels"][0]
    assert " ".join(str(value) for value in level.values()) in drawn
    assert embedonce("taxonomy", "--run", run, "--all", "--sort", "name").out.count("├─") == 1
    refused = embedonce("taxonomy", "--suggest", run)
    assert refused.code == 2 and "have a taxonomy already" in refused.err
