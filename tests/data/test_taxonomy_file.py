"""A taxonomy from a file of its own, and labels that must be its nodes."""

import csv
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.documents import Corpus
from data.errors import BadData, CallError, FileMissing
from data.readers import read_corpus
from data.readers.taxonomy_file import read_taxonomy, taxonomy_of_mapping
from data.source_spec import SourceSpec
from data.taxonomy import Taxonomy

SPORT = {"rec": (), "sci": (), "sport": ("rec",), "hockey": ("sport",), "space": ("sci",)}
GRAPHS = st.integers(1, 8).flatmap(
    lambda size: st.tuples(*(st.sets(st.integers(0, node - 1)) if node else st.just(set()) for node in range(size)))
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(GRAPHS, st.sampled_from(["csv", "tsv"]), st.sampled_from(["none", "child first", "parent first"]), st.randoms())
def test_every_graph_survives_a_file_of_its_edges(
    tmp_path: Path, graph: tuple[set[int], ...], ending: str, header: str, random: Random
) -> None:
    nodes = {f"n{node}": [f"n{above}" for above in sorted(parents)] for node, parents in enumerate(graph)}
    taxonomy = Taxonomy.from_parents(nodes)
    rows = [[child, parent] for child, above in taxonomy.parents.items() for parent in above or ("",)]
    random.shuffle(rows)
    rows = rows if header == "none" else [["child", "parent"], *rows]
    rows = [row[::-1] for row in rows] if header == "parent first" else rows
    path = tmp_path / f"edges.{ending}"
    with path.open("w") as file:
        csv.writer(file, delimiter="," if ending == "csv" else "\t").writerows(rows)
    read = read_taxonomy(str(path)).taxonomy
    assert {node: set(above) for node, above in read.parents.items()} == {k: set(v) for k, v in nodes.items()}
    assert taxonomy_of_mapping(taxonomy.to_json()).taxonomy == taxonomy


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "child,parent\nsport,rec\nhockey,sport\nspace,sci\n"),
        ("t.csv", "note,parent_id,Label\nx,rec,sport\ny,sport,hockey\n,sci,space\n"),
        ("t.tsv", "sport\trec\nhockey\tsport\nspace\tsci\n"),
        ("t.csv", "topic,broader\nsport,rec\nrec,\nhockey,sport\nsci,\nspace,sci\n"),
        ("t.json", '{"sport": "rec", "hockey": ["sport"], "space": "sci", "rec": null}'),
        ("t.json", '[{"id": "sport", "above": "rec"}, {"id": "hockey", "above": "sport"},'
                   '{"id": "space", "above": "sci"}]'),
        ("t.jsonl", '{"id": "sport", "parents": ["rec"]}\n{"id": "hockey", "parents": ["sport"]}\n'
                    '{"id": "space", "parents": ["sci"]}\n'),
    ],
)  # fmt: skip
def test_the_columns_are_known_by_a_header_in_any_order_or_by_their_order(tmp_path: Path, name: str, text: str) -> None:
    assert dict(read_taxonomy(write(tmp_path, name, text)).taxonomy.parents) == SPORT


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("t.csv", "", r"t\.csv is empty"),
        ("t.json", "", r"t\.json has no edges"),
        ("t.csv", "child,parent\n", r"t\.csv has no edges\. Write a column child and a column parent"),
        ("t.csv", "child,parent\na,b\nb,c\nc,a\n", r"t\.csv: The taxonomy has a cycle, .*: (a > c|c > b|b > a) >"),
        ("t.csv", "child,parent\na,a\n", r"has a cycle, in which each node is above the next: a > a\."),
        ("t.csv", "child,parent\na,b\na,\n", r"'a' is at the top \(line 3\) and below 'b' \(line 2\)\. Remove one"),
        ("t.csv", "child,parent\n,b\n", r"t\.csv line 2: 'b' has no child in its row"),
        ("t.csv", "a,b,c\n1,2,3\n", r"has the columns 'a', 'b', 'c', of which none is known as the child"),
        ("t.csv", "a\nb\n", r"has the column 'a', of which none is known"),
        ("t.json", '{"a": {"b": {}}}', r"the parents of 'a' are an object; write one name, or a list of names"),
        ("t.json", '{"a": [["b"]]}', r"the parents of 'a': expected one value, got a list"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_taxonomy_is_refused_in_a_sentence(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    with pytest.raises(BadData, match=sentence):
        read_taxonomy(write(tmp_path, name, text))


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="has an unknown format"):
        read_taxonomy(write(tmp_path, "t.owl", "a,b\n"))
    with pytest.raises(FileMissing, match=r"does not exist\. Name the file of the taxonomy"):
        read_taxonomy(str(tmp_path / "none.csv"))


def test_repeated_edges_and_parents_without_a_row_are_reported(tmp_path: Path) -> None:
    file = read_taxonomy(write(tmp_path, "t.csv", "child,parent\na,b\nc,\na,b\na,d\n"))
    assert file.taxonomy.parents == {"b": (), "c": (), "d": (), "a": ("b", "d")}
    repeated, implied = file.notes
    assert repeated.endswith("1 repeated edge counts once (the first: 'a' below 'b', line 4)")
    assert implied.endswith("2 parents have no rows and are nodes at the top ('b', 'd')")
    file = read_taxonomy(write(tmp_path, "t.csv", "a,b\n"))
    assert [note.partition("t.csv ")[2] for note in file.notes] == [
        "has no header: its first column is read as the child, the second as the parent"
    ]


def test_names_are_read_as_labels_are(tmp_path: Path) -> None:
    assert dict(read_taxonomy(write(tmp_path, "t.csv", "child,parent\n1.0, 2\n")).taxonomy.parents) == {
        "2": (),
        "1": ("2",),
    }
    assert taxonomy_of_mapping({"a": 1}).taxonomy.parents["a"] == ("1",)


def corpus(folder: Path, *cells: str, parents: dict[str, tuple[str, ...]] | None = None, **spec: str) -> Corpus:
    """A corpus of these cells of its label column, with a taxonomy."""
    with (folder / "letters.csv").open("w") as file:
        csv.writer(file).writerows([["text", "label"], *([f"text {cell}", cell] for cell in cells)])
    edges = write(folder, "t.json", json.dumps(parents or SPORT))
    return read_corpus(str(folder / "letters.csv"), SourceSpec(taxonomy=edges, **spec))  # type: ignore[arg-type]


def labels_of(read: Corpus) -> list[tuple[str, ...] | None]:
    return [document.labels for document in read.documents]


def test_labels_are_nodes_at_any_depth_and_the_kind_is_path(tmp_path: Path) -> None:
    read = corpus(tmp_path, "hockey", "sci", "")
    assert (read.kind, labels_of(read)) == ("path", [("hockey",), ("sci",), None])
    assert read.taxonomy is not None and dict(read.taxonomy.parents) == SPORT
    assert read.spec.taxonomy == str(tmp_path / "t.json")


def test_a_path_becomes_its_last_node_and_may_leave_out_nodes(tmp_path: Path) -> None:
    cells = ("rec > sport > hockey", "sport>hockey", "rec > hockey", "sci", "space")
    read = corpus(tmp_path, *cells, path_separator=">")
    assert labels_of(read) == [("hockey",)] * 3 + [("sci",), ("space",)]


def test_a_label_with_a_slash_is_a_node_and_no_guessed_path(tmp_path: Path) -> None:
    read = corpus(tmp_path, "tcp / ip", "a/b", parents={"tcp / ip": ("net",), "a/b": ("net",)})
    assert (read.kind, labels_of(read)) == ("path", [("tcp / ip",), ("a/b",)])


def test_several_paths_are_in_one_cell(tmp_path: Path) -> None:
    read = corpus(tmp_path, "rec > sport; sci > space", "hockey", separator=";", path_separator=">")
    assert (read.kind, labels_of(read)) == ("multilabel", [("sport", "space"), ("hockey",)])


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("hokey", r"document '2' has the label 'hokey', which is not in .*t\.json\. Did you mean 'hockey'\?"),
        ("xyz", r"'xyz', which is not in .*t\.json\. Add it there, or correct the label\."),
        ("rec > spot", r"has the label 'spot' in 'rec>spot', which is not in"),
        ("sci > hockey", r"has the path 'sci>hockey', but 'hockey' is not below 'sci' in .*: it is below 'sport'\."),
        ("space > sci", r"'sci' is not below 'space' in .*: it is at the top\."),
        ("sci > sci", r"'sci' is not below 'sci'"),
    ],
)  # fmt: skip
def test_a_label_that_contradicts_the_taxonomy_is_named(tmp_path: Path, cell: str, sentence: str) -> None:
    with pytest.raises(BadData, match=sentence):
        corpus(tmp_path, "hockey", cell, path_separator=">")


def test_further_unknown_labels_are_counted(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"'a', which is not in .*t\.json, nor are 2 further labels\."):
        corpus(tmp_path, "hockey", "a", "b", "c", "b")


def test_a_folder_of_classes_may_have_a_taxonomy(tmp_path: Path) -> None:
    for name in ("hockey", "rec/sport"):
        (tmp_path / "texts" / name).mkdir(parents=True)
        (tmp_path / "texts" / name / "one.txt").write_text("text")
    read = read_corpus(str(tmp_path / "texts"), SourceSpec(taxonomy=write(tmp_path, "t.json", json.dumps(SPORT))))
    assert labels_of(read) == [("hockey",), ("sport",)]
    assert not any("columns were named" in note for note in read.notes)
