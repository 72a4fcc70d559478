"""A corpus in several files, one or more per split: every layout reads back as the same documents."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.documents import Document
from data.errors import BadData, CallError, ColumnMissing
from data.readers import read_column, read_corpus
from data.source_spec import SourceSpec
from tests.data.tables import WRITERS

Rows = Sequence[Mapping[str, str]]
Fill = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Fill:
    """Write a table of one row, or a text, under each name, and give the folder."""

    def fill(*names: str, **contents: str) -> str:
        for name in names:
            path = tmp_path / "tickets" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(contents.get(path.stem, f"text,label\n{name},a\n"), encoding="utf-8")
        return str(tmp_path / "tickets")

    return fill


def splits(source: str, spec: SourceSpec | None = None) -> list[tuple[str, str | None]]:
    return [(document.text, document.split) for document in read_corpus(source, spec).documents]


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "dev.csv", "test.csv"),
        ("tickets_train.csv", "tickets_valid.csv", "tickets_test.csv"),
        ("train-00000-of-00002.csv", "train-00001-of-00002.csv", "test-00000-of-00001-0a1b2c3d4e5f6a7b.csv"),
        ("data/train-00000-of-00001.csv", "data/validation-00000-of-00001.csv", "data/test-00000-of-00001.csv"),
        ("train/0000.csv", "train/0001.csv", "test/0000.csv"),
        ("Training.CSV", "TEST.CSV"),
        ("train.csv",),
    ],
)
def test_tables_named_for_splits_are_one_corpus(folder: Fill, names: tuple[str, ...]) -> None:
    usual = {"tr": "train", "de": "validation", "va": "validation", "te": "test"}
    expected = [
        (name, next(split for start, split in usual.items() if f"/{start}" in f"/{name}".lower().replace("_", "/")))
        for name in names
    ]
    assert splits(folder(*names)) == [(f"{text}", split) for text, split in expected]


def test_the_note_names_the_files_and_counts_the_others(folder: Fill) -> None:
    corpus = read_corpus(folder("README.md", "train-0-of-2.csv", "train-1-of-2.csv", "test-0-of-1.csv"))
    assert corpus.name == "tickets"
    assert corpus.notes[0] == (
        "one corpus is read from train-0-of-2.csv to train-1-of-2.csv and test-0-of-1.csv, with the splits that the "
        "files are named for; 1 other file is not read"
    )


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("a.csv", "b.csv"), r"is a folder of tables, and 'a\.csv', 'b\.csv' are not named for a split"),
        (("train.csv", "labels.csv"), r"and 'labels\.csv' is not named for a split"),
        (("train_test.csv",), r"'train_test\.csv' is not named for a split"),
        (("train.csv", "train.jsonl"), r"holds several formats: 'train\.csv', 'train\.jsonl'\."),
        (("dvd_train.csv", "books_test.csv"), r"the files of several corpora: 'books_test\.csv', 'dvd_train\.csv'\."),
        (("dev.csv", "train.csv", "val.csv"), r"several files of the validation split: 'dev\.csv', 'val\.csv'\."),
    ],
)
def test_a_folder_of_other_tables_is_refused_with_their_names(
    folder: Fill, names: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(BadData, match=rf"{problem}.*Name the files instead, as in `embedonce embed train\.csv "):
        read_corpus(folder(*names))


def test_a_table_next_to_folders_of_classes_is_not_read(folder: Fill) -> None:
    assert [document.id for document in read_corpus(folder("index.csv", "ham/1.txt")).documents] == ["ham/1.txt"]


def test_files_of_splits_are_named(folder: Fill) -> None:
    source = folder("one.csv", "two.csv", "three.csv")
    spec = SourceSpec(validation_file=f"{source}/two.csv", test_file=f"{source}/three.csv")
    corpus = read_corpus(f"{source}/one.csv", spec)
    assert [(document.id, document.split) for document in corpus.documents] == [
        ("train-1", "train"),
        ("validation-1", "validation"),
        ("test-1", "test"),
    ]
    assert corpus.name == "one"
    assert read_column(corpus.source, "label", corpus.spec) == dict.fromkeys(("train-1", "validation-1", "test-1"), "a")


def test_errors_name_the_file(folder: Fill) -> None:
    source = folder("train.csv", "test.csv", train="text,label,id\na,x,7\n", test="text,label,id\na,x,8\nb,x,7\n")
    with pytest.raises(
        BadData, match=r"tickets/train\.csv line 2 and \S*tickets/test\.csv line 3 have the same id '7'"
    ):
        read_corpus(source)


def test_columns_must_agree(folder: Fill) -> None:
    source = folder("train.csv", "test.csv", test="text\na\n")
    with pytest.raises(ColumnMissing, match=r"/test\.csv has no column 'label', which \S*/train\.csv has"):
        read_corpus(source)


@pytest.mark.parametrize(("source", "kind"), [("tickets", "folder"), ("reuters52", "benchmark")])
def test_a_file_of_a_split_needs_a_file(
    folder: Fill, source: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder("train.csv")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallError, match=rf"need a file of training documents; {source} is a {kind}\.$"):
        read_corpus(source, SourceSpec(test_file="test.csv"))


def test_a_column_of_splits_contradicts_files_of_splits(folder: Fill) -> None:
    with pytest.raises(CallError, match=r"--split label names a column, but files name the splits\. Leave it out\.$"):
        read_corpus(folder("train.csv", "test.csv"), SourceSpec(split="label"))


SPLITS = ("train", "validation", "test")
QUOTED = SourceSpec(quoting="standard")  # some of the random texts look like rows that a quote has swallowed
rows = st.tuples(st.sampled_from(SPLITS), st.sampled_from("ab"), st.text("xyz ,\"'\n", max_size=6))


def make_documents(rows: Sequence[tuple[str, str, str]]) -> list[Document]:
    return [Document(f"{row}", f"{row} {text}", (label,), split) for row, (split, label, text) in enumerate(rows)]


def rows_of(documents: Sequence[Document], split: str | None = None) -> Rows:
    chosen = [document for document in documents if split in (None, document.split)]
    columns = (
        {"id": one.id, "text": one.text, "label": one.labels[0] if one.labels else "", "split": str(one.split)}
        for one in chosen
    )
    return [row if split is None else {name: row[name] for name in ("id", "text", "label")} for row in columns]


@settings(max_examples=10, deadline=None)
@given(st.lists(rows, min_size=1, max_size=12).map(make_documents))
def test_every_layout_of_splits_reads_back_as_the_same_documents(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document]
) -> None:
    root = tmp_path_factory.mktemp("layouts")
    parts = {split: rows for split in SPLITS if (rows := rows_of(documents, split))}
    for ending, write in WRITERS.items():
        write(root / f"all.{ending}", rows_of(documents))
        assert sorted(read_corpus(f"{root}/all.{ending}", QUOTED).documents, key=lambda one: int(one.id)) == documents
        (root / ending).mkdir()
        for split, rows in parts.items():
            write(root / ending / f"tickets-{split}.{ending}", rows)
        assert sorted(read_corpus(f"{root}/{ending}", QUOTED).documents, key=lambda one: int(one.id)) == documents
        if "train" in parts and len(parts) > 1:
            others = {split: f"{root}/{ending}/tickets-{split}.{ending}" for split in parts}
            spec = replace(QUOTED, test_file=others.get("test"), validation_file=others.get("validation"))
            assert sorted(read_corpus(others["train"], spec).documents, key=lambda one: int(one.id)) == documents
    for document in documents:
        path = root / "classes" / str(document.split) / (document.labels or ("",))[0] / document.id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document.text, encoding="utf-8", newline="")
    (root / "classes" / "train" / "c").mkdir(parents=True, exist_ok=True)  # an empty folder
    read = read_corpus(f"{root}/classes").documents
    assert {(Path(one.id).name, one.text, one.labels, one.split) for one in read} == {
        (one.id, one.text, one.labels, one.split) for one in documents
    }
    shutil.rmtree(root)
