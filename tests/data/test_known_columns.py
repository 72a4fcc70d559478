"""A further file is read as the corpus was, as far as it has the same columns and the same format."""

from dataclasses import replace
from pathlib import Path

import pytest

from data.documents import Corpus
from data.errors import CallError, ColumnMissing
from data.readers import read_column, read_corpus, read_labels_by_id
from data.source_spec import SourceSpec

KNOWN = SourceSpec(text=("body",), label="queue", id="ticket", split="part", group="who", separator="|")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new.csv"


def read_new(path: Path, content: str, known: SourceSpec = KNOWN, **requested: str | tuple[str, ...]) -> Corpus:
    path.write_text(content)
    return read_corpus(str(path), SourceSpec(label="", split="", group="", **requested), known)  # type: ignore[arg-type]


def test_text_and_ids_are_read_from_the_columns_of_the_corpus_whatever_others_are_called(path: Path) -> None:
    corpus = read_new(path, "text,id,body,ticket\nno,1,yes,T7\n")
    (document,) = corpus.documents
    assert (document.id, document.text, corpus.notes) == ("T7", "yes", ())


def test_a_template_of_the_corpus_makes_the_new_texts(path: Path) -> None:
    known = SourceSpec(text=("subject", "body"), template="{subject}: {body}")
    assert read_new(path, "body,subject\nlong,short\n", known).documents[0].text == "short: long"
    assert read_new(path, "body,subject\nlong,short\n", known, text=("body",)).documents[0].text == "long"


def test_labels_splits_and_groups_of_new_text_are_neither_needed_nor_read(path: Path) -> None:
    document = read_new(path, "ticket,body,queue,part,who\nT7,yes,billing,test,me\n").documents[0]
    assert (document.labels, document.split, document.group) == (None, None, None)


def test_columns_that_are_absent_are_guessed_with_a_warning(path: Path) -> None:
    corpus = read_new(path, "text,id\nyes,7\n")
    assert (corpus.documents[0].id, corpus.documents[0].text) == ("7", "yes")
    assert corpus.notes == (
        f"{path} has no column 'body', from which the texts of the corpus were read.",
        f"{path} has no column 'ticket', from which the ids of the corpus were read.",
        "text is read from column 'text' and ids from 'id' (guessed; name them with --text and --id)",
    )


def test_without_any_column_of_text_the_error_names_that_of_the_corpus(path: Path) -> None:
    with pytest.raises(
        ColumnMissing, match=r"has no column 'body', from which the texts .* Name one with --text: 'note'"
    ):
        read_new(path, "note\nyes\n")


def test_a_column_that_the_user_named_must_exist(path: Path) -> None:
    with pytest.raises(ColumnMissing, match="has no column 'message'"):
        read_new(path, "body,ticket\nyes,T7\n", text=("message",))
    assert read_new(path, "body,message\nno,yes\n", text=("message",), id="").documents[0].text == "yes"


def test_labels_by_id_follow_the_columns_and_the_notation_of_the_corpus(path: Path) -> None:
    path.write_text("label,ticket,queue,id\nno,T7,billing|urgent,3\n")
    (document,) = read_labels_by_id(str(path), SourceSpec(), KNOWN).documents
    assert (document.id, document.labels) == ("T7", ("billing", "urgent"))
    path.write_text("ticket,label\nT7,billing;urgent\n")
    (document,) = read_labels_by_id(str(path), SourceSpec(separator=";"), KNOWN).documents
    assert document.labels == ("billing", "urgent")


def test_several_columns_of_labels_replace_one_with_its_notation(path: Path) -> None:
    path.write_text("ticket,queue,area,topic\nT7,billing|urgent,rec,sport\n")
    known = replace(KNOWN, label_names=("billing", "urgent"))
    corpus = read_labels_by_id(str(path), SourceSpec(levels=("area", "topic")), known)
    assert (corpus.kind, corpus.documents[0].labels) == ("path", ("rec/sport",))
    path.write_text("ticket,queue,oil,gas\nT7,billing|urgent,0,1\n")
    corpus = read_labels_by_id(str(path), SourceSpec(label="oil,gas"), replace(known, path_separator="."))
    assert (corpus.kind, corpus.documents[0].labels) == ("multilabel", ("gas",))
    for requested in (SourceSpec(levels=("oil", "gas"), separator=";"), SourceSpec(label="oil,gas", separator=";")):
        with pytest.raises(CallError, match="--separator"):
            read_labels_by_id(str(path), requested, known)


def test_a_column_is_read_by_the_ids_of_the_corpus(path: Path) -> None:
    path.write_text("id,ticket,trust\n3,T7,0.5\n")
    assert read_column(str(path), "trust", SourceSpec(), KNOWN) == {"T7": "0.5"}
    assert read_column(str(path), "trust", SourceSpec(id="id"), KNOWN) == {"3": "0.5"}


@pytest.mark.parametrize(
    ("original", "source", "same"),
    [
        ("old.csv", "folder/new.CSV", True),
        ("old.csv", "new.csv.gz", True),
        ("old.tsv.zst", "new.tsv", True),
        ("old.csv", "-", True),
        ("folder", "new.csv", True),
        ("old.csv", "new.jsonl", False),
        ("old.csv", "new", False),
    ],
)
def test_the_format_of_a_file_holds_for_files_of_the_same_extension(original: str, source: str, same: bool) -> None:
    spec = SourceSpec(text=("body",), test_file="test.csv", delimiter="|", header="none")
    kept = spec.for_file(source, original)
    assert (kept.text, kept.test_file) == (("body",), None)
    assert (kept.delimiter, kept.header) == (("|", "none") if same else (None, None))
