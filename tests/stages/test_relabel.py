"""Labels, splits and groups are replaced by id; features, and documents that a file lacks, stay as they are."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from data.documents import Document, blank_group, similar_group
from data.errors import BadData, CallError, ColumnMissing
from data.source_spec import SourceSpec
from data.taxonomy import Taxonomy
from featurestore import CorpusTable, FeatureStore
from stages.relabel import RelabelResult, relabel
from tests.conftest import ROOT
from tests.featurestore.store.test_reading import CountedIds
from tests.small_store import blobs, make_store

LABELS = ["rec/a", "rec/b", "sci/c"]


@pytest.fixture
def dataset(tmp_path: Path) -> tuple[FeatureStore, CorpusTable]:
    documents, vectors = blobs(["a", "b"], documents=4)
    return make_store(tmp_path / "store", documents, vectors)


def given(
    dataset: tuple[FeatureStore, CorpusTable], folder: Path, text: str, **spec: str
) -> tuple[RelabelResult, CorpusTable]:
    """What came of a file of that content, and the table after it."""
    (folder / "new.csv").write_text(text)
    store, table = dataset
    done = relabel(store, table, str(folder / "new.csv"), SourceSpec(**spec))  # type: ignore[arg-type]
    return done, store.corpus("made")


def test_documents_that_a_file_lacks_stay_as_they_are(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    before = dataset[1]
    done, after = given(dataset, tmp_path, "id,label\nd2,new\n")
    assert (done.changed, done.missing) == ({"labels": 1, "splits": 0, "groups": 0}, 3)
    assert list(after.labels) == [*before.labels[:2], ("new",), before.labels[3]]
    assert (after.splits, after.keys, after.kind) == (before.splits, before.keys, "single")


def test_splits_and_groups_are_read_if_they_are_given(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    before = dataset[1]
    done, after = given(dataset, tmp_path, "id,split,group\nd0,testing,x\nd3,Train,y\n", group="group")
    assert done.changed == {"labels": 0, "splits": 2, "groups": 2}
    assert list(after.splits) == ["test", "train", "train", "train"]
    assert list(after.groups) == ["x", None, None, "y"] and after.labels == before.labels


def test_a_split_and_groups_that_were_declined_for_the_corpus_are_not_read(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    known = dataset[0], replace(dataset[1], spec=SourceSpec(label="", split="", group=""))
    done, _ = given(known, tmp_path, "id,label,split,group\nd0,new,test,x\n")
    assert done.changed == {"labels": 1, "splits": 0, "groups": 0}


def test_documents_that_have_numbers_for_ids_are_not_matched_by_a_column_of_their_file(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    numbered = replace(dataset[1], ids=list("1234"), source=str(tmp_path / "new.csv"), spec=SourceSpec(id=""))
    text = "id,label\n4,a\n3,b\n2,c\n1,d\n"
    _, after = given((dataset[0], numbered), tmp_path, text)
    assert list(after.labels) == [("a",), ("b",), ("c",), ("d",)]
    other = dataset[0], replace(numbered, source="made.csv")
    assert list(given(other, tmp_path, text)[1].labels) == [("d",), ("c",), ("b",), ("a",)]
    assert list(given(other, tmp_path, text, id="")[1].labels) == list(after.labels)


def test_documents_without_a_new_group_keep_that_of_their_texts(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    similar, blank = similar_group("d0"), blank_group("d2")
    known = dataset[0], replace(dataset[1], groups=[similar, similar, blank, "old"])
    done, after = given(known, tmp_path, "id,thread\nd0,x\nd1,\nd2,\nd3,\n", group="thread")
    assert list(after.groups) == ["x", similar, blank, None] and done.changed["groups"] == 2


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_labels_belong_to_their_ids_in_any_order_of_rows(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path, order: list[int]
) -> None:
    done, after = given(dataset, tmp_path, "id,label\n" + "".join(f"d{row},new {row}\n" for row in order))
    assert list(after.labels) == [(f"new {row}",) for row in range(4)] and done.missing == 0


def test_a_file_is_read_as_the_corpus_was(dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path) -> None:
    spec = SourceSpec(text=("body",), label="queue", id="ticket", delimiter="|", test_file="test.csv")
    done, after = given((dataset[0], replace(dataset[1], spec=spec)), tmp_path, "label|queue|ticket\nno|new|d2\n")
    assert done.changed["labels"] == 1 and after.labels[2] == ("new",)


def test_an_empty_label_removes_the_label(dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path) -> None:
    done, after = given(dataset, tmp_path, "id,label\nd0,\nd1,b\n")
    assert after.labels[0] is None and "1 of 2 documents have no label" in done.notes


def test_all_documents_may_get_labels_of_another_kind(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path
) -> None:
    rows = "".join(f"d{row},{label}\n" for row, label in enumerate([*LABELS, LABELS[0]]))
    _, after = given(dataset, tmp_path, "id,label\n" + rows)
    assert after.kind == "path" and after.taxonomy == Taxonomy.from_separator(LABELS, "/")


def test_some_documents_may_not(dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path) -> None:
    with pytest.raises(CallError, match="has labels of kind 'path' for some documents of 'made', and the labels of"):
        given(dataset, tmp_path, "id,label\nd0,rec/a\n", path_separator="/")


def test_labels_of_some_documents_have_the_kind_of_the_others(tmp_path: Path) -> None:
    vectors = blobs(["a"], documents=3)[1]
    labels = [("a/b",), ("c",), ("d/e",)]
    documents = [Document(f"d{row}", f"text {row}", label) for row, label in enumerate(labels)]
    single = make_store(tmp_path / "single", documents, vectors)
    _, after = given(single, tmp_path, "id,label\nd0,d/e\nd1,a/b\n")
    assert (after.kind, list(after.labels)) == ("single", [("d/e",), ("a/b",), ("d/e",)])
    documents = [replace(document, labels=("a", "b")) for document in documents]
    several = make_store(tmp_path / "several", documents, vectors, "multilabel")
    _, after = given(several, tmp_path, 'id,label\nd0,b\nd1,"[a/x]"\n')
    assert (after.kind, list(after.labels)) == ("multilabel", [("b",), ("a/x",), ("a", "b")])
    _, after = given(several, tmp_path, 'id,label\nd0,"[""b""]"\nd1,a\n')
    assert list(after.labels) == [("b",), ("a",), ("a", "b")]
    _, after = given(several, tmp_path, "id,label\nd0,b\nd1,a\nd2,a\n")
    assert after.kind == "single"  # as all of them are new
    unlabeled = [replace(document, labels=None) for document in documents]
    with pytest.raises(CallError, match="labels of kind 'path'"):
        given(make_store(tmp_path / "unlabeled", unlabeled, vectors), tmp_path, "id,label\nd0,d/e\n")


def test_one_path_of_a_document_with_several_is_read_as_the_others(tmp_path: Path) -> None:
    tree, vectors = Taxonomy.from_separator(LABELS, "/"), blobs(["a"], documents=3)[1]
    documents = [Document(f"d{row}", f"text {row}", tuple(LABELS)) for row in range(3)]
    store, table = make_store(tmp_path / "several", documents, vectors, "multilabel", tree)
    known = store, replace(table, spec=SourceSpec(path_separator="/"))
    _, after = given(known, tmp_path, 'id,label\nd0,rec/a\nd1,"[ sci/ c ]"\n')
    assert (after.kind, list(after.labels)) == ("multilabel", [("rec/a",), ("sci/c",), tuple(LABELS)])
    assert after.taxonomy == tree


def test_a_new_path_joins_the_tree(tmp_path: Path) -> None:
    documents = [Document(f"d{row}", f"text {row}", (label,)) for row, label in enumerate(LABELS)]
    vectors = blobs(["a"], documents=3)[1]
    dataset = make_store(tmp_path / "tree", documents, vectors, "path", Taxonomy.from_separator(LABELS, "/"))
    _, after = given(dataset, tmp_path, "id,label\nd0,sci/new\n")
    assert after.taxonomy is not None and after.taxonomy.ancestors("sci/new") == ("sci", "sci/new")
    assert {*LABELS, "sci/new"} <= set(after.taxonomy.nodes)


@pytest.fixture
def edges(tmp_path: Path) -> str:
    (tmp_path / "edges.csv").write_text("child,parent\na,letter\nb,letter\nletter,sign\n1,sign\n")
    return str(tmp_path / "edges.csv")


def test_a_taxonomy_is_attached_to_labels_that_stay(dataset: tuple[FeatureStore, CorpusTable], edges: str) -> None:
    store, table = dataset
    done = relabel(store, table, None, SourceSpec(taxonomy=edges))
    after = store.corpus("made")
    assert done.changed == {"labels": 0, "splits": 0, "groups": 0} and list(after.labels) == list(table.labels)
    assert after.kind == "path" and after.taxonomy is not None
    assert after.taxonomy.ancestors("a") == ("sign", "letter", "a")
    assert (after.spec.taxonomy, after.spec.path_separator) == (edges, "")
    assert done.notes == ("the taxonomy of the labels: 5 nodes on 3 levels, 3 leaves",)


def test_labels_and_their_taxonomy_are_replaced_at_once(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path, edges: str
) -> None:
    done, after = given(dataset, tmp_path, "id,label\nd0,sign/1\n", taxonomy=edges, path_separator="/")
    assert (done.changed["labels"], done.missing, after.kind) == (1, 3, "path")
    assert after.labels[0] == ("1",) and list(after.labels[1:]) == list(dataset[1].labels[1:])


def test_new_labels_must_be_in_the_taxonomy_that_the_corpus_has(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path, edges: str
) -> None:
    relabel(*dataset, None, SourceSpec(taxonomy=edges))
    known = dataset[0], dataset[0].corpus("made")
    with pytest.raises(BadData, match=r"document 'd0' has the label 'leter', which is not in the taxonomy of 'made'"):
        given(known, tmp_path, "id,label\nd0,leter\n")
    with pytest.raises(BadData, match=r"'leter', which is not in the taxonomy of 'made'\. Did you mean 'letter'"):
        given(known, tmp_path, "id,label\nd0,leter\nd1,a\nd2,a\nd3,a\n")
    _, after = given(known, tmp_path, "id,label\nd0,letter\n")
    assert after.labels[0] == ("letter",) and after.taxonomy == known[1].taxonomy
    _, other = given(known, tmp_path, "id,label\nd0,x\nd1,y\nd2,x\nd3,y\n")  # of another task
    assert (other.kind, other.taxonomy) == ("single", None)


def test_a_multilabel_corpus_keeps_its_kind_and_its_taxonomy(tmp_path: Path, edges: str) -> None:
    documents = [Document(f"d{row}", f"text {row}", ("a", "1")) for row in range(3)]
    store, table = make_store(tmp_path / "several", documents, blobs(["a"], documents=3)[1], "multilabel")
    relabel(store, table, None, SourceSpec(taxonomy=edges))
    _, after = given((store, store.corpus("made")), tmp_path, 'id,label\nd0,"[b, letter]"\n')
    assert (after.kind, after.labels[0]) == ("multilabel", ("b", "letter")) and after.taxonomy is not None


def test_labels_that_stay_must_be_in_a_new_taxonomy(dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("child,parent\na,letter\n")
    with pytest.raises(BadData, match=r"made: document 'd0' has the label 'b', which is not in .*edges\.csv"):
        relabel(*dataset, None, SourceSpec(taxonomy=str(tmp_path / "edges.csv")))
    with pytest.raises(CallError, match="Name a table with a column of ids and one of labels, or a taxonomy"):
        relabel(*dataset, None, SourceSpec())
    assert dataset[0].corpus("made") == dataset[1]


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("id,label\nd9,a\n", BadData, "1 of 1 ids are not in corpus 'made'"),
        ("id,colour\nd0,red\n", BadData, "has no labels, splits or groups"),
        ("name,label\nd0,a\n", ColumnMissing, "has no column 'id'"),
        ("id,label\nd0,a\nd0,b\n", BadData, "line 2 and line 3 have the same id 'd0'"),
    ],
)
def test_what_cannot_be_used_changes_nothing(
    dataset: tuple[FeatureStore, CorpusTable], tmp_path: Path, text: str, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        given(dataset, tmp_path, text)
    assert dataset[0].corpus("made") == dataset[1]


def test_a_blank_cell_unlabels_and_an_empty_list_says_that_no_label_applies(tmp_path: Path) -> None:
    documents = [Document(f"d{row}", f"text {row}", ("a", "b")) for row in range(3)]
    dataset = make_store(tmp_path / "several", documents, blobs(["a"], documents=3)[1], "multilabel")
    done, after = given(dataset, tmp_path, "id,label\nd0,\nd1,[]\n")
    assert list(after.labels) == [None, (), ("a", "b")] and done.changed["labels"] == 2


def test_the_ids_are_read_a_fixed_number_of_times(tmp_path: Path) -> None:
    store, table = make_store(tmp_path / "store", *blobs(["a", "b"], documents=50))
    (tmp_path / "new.csv").write_text("id,label\n" + "".join(f"d{row},new\n" for row in range(0, 50, 2)))
    ids = CountedIds(table.ids)
    done = relabel(store, replace(table, ids=ids), str(tmp_path / "new.csv"), SourceSpec())
    assert (done.changed["labels"], done.missing) == (25, 25)
    assert ids.passes <= 2  # to find the rows, and to write the table


def test_labeling_loads_no_library_of_heads() -> None:
    code = "import sys, stages.relabel, stages.stores; print({'sklearn', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
