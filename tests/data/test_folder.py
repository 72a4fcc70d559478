"""A folder with one folder per class."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from data.documents import Document
from data.errors import BadData, CallError
from data.readers import read_corpus
from data.source_spec import SourceSpec

Fill = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Fill:
    """Write a file of its own name at each path, and give the folder."""

    def fill(*names: str) -> str:
        for name in names:
            path = tmp_path / "letters" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name, encoding="utf-8")
        return str(tmp_path / "letters")

    return fill


def test_a_files_folder_is_its_label_and_its_name_the_id(folder: Fill) -> None:
    corpus = read_corpus(folder("spam/b.txt", "ham/a", "ham/.hidden", ".git/config"))
    assert corpus.documents == [Document("ham/a", "ham/a", ("ham",)), Document("spam/b.txt", "spam/b.txt", ("spam",))]
    assert (corpus.name, corpus.kind, corpus.notes) == ("letters", "single", ())


def test_train_and_test_may_be_above_the_classes(folder: Fill) -> None:
    corpus = read_corpus(folder("train/ham/1", "test/ham/1", "dev/spam/1"))
    assert [(document.split, document.labels) for document in corpus.documents] == [
        ("dev", ("spam",)),
        ("test", ("ham",)),
        ("train", ("ham",)),
    ]


def test_files_next_to_train_and_test_do_not_turn_them_into_classes(folder: Fill) -> None:
    corpus = read_corpus(folder("README", "train/ham/1", "test/ham/1"))
    assert [(document.split, document.labels) for document in corpus.documents] == [
        ("test", ("ham",)),
        ("train", ("ham",)),
    ]
    assert corpus.notes == ("1 file outside the class folders is not read",)


def test_a_class_called_train_among_others_is_a_class(folder: Fill) -> None:
    corpus = read_corpus(folder("train/1", "bus/1"))
    assert [(document.split, document.labels) for document in corpus.documents] == [
        (None, ("bus",)),
        (None, ("train",)),
    ]


def test_a_file_called_test_is_no_split(folder: Fill) -> None:
    assert [document.split for document in read_corpus(folder("test")).documents] == [None]


def test_classes_within_classes_are_paths(folder: Fill) -> None:
    corpus = read_corpus(folder("rec/sport/1", "misc/1"))
    assert corpus.kind == "path"
    assert corpus.taxonomy is not None
    assert corpus.taxonomy.parents == {"misc": (), "rec": (), "rec/sport": ("rec",)}


def test_files_outside_the_classes_are_counted_in_a_note(folder: Fill) -> None:
    corpus = read_corpus(folder("README", "ham/1", "spam/1"))
    assert len(corpus.documents) == 2
    assert corpus.notes == ("1 file outside the class folders is not read",)


def test_classes_that_differ_only_by_case_are_reported(folder: Fill) -> None:
    assert "'Ham' and 'ham'" in read_corpus(folder("ham/1", "Ham/2")).notes[-1]


def test_files_alone_are_documents_without_labels(folder: Fill) -> None:
    assert [document.labels for document in read_corpus(folder("1", "2")).documents] == [None, None]


def test_links_are_followed_but_not_in_a_circle(folder: Fill, tmp_path: Path) -> None:
    source = folder("ham/1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2").write_text("linked", encoding="utf-8")
    Path(source, "spam").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    Path(source, "ham", "up").symlink_to(source, target_is_directory=True)
    assert [document.id for document in read_corpus(source).documents] == ["ham/1", "spam/2"]


def test_a_link_to_a_document_that_is_gone_is_an_error(folder: Fill) -> None:
    source = folder("ham/1", "spam/2")
    Path(source, "ham", "3").symlink_to("elsewhere")
    with pytest.raises(CallError, match=r"letters/ham/3 cannot be read: No such file"):
        read_corpus(source)


def test_text_is_left_as_it_is_but_for_the_byte_order_mark(folder: Fill) -> None:
    source = folder("ham/1")
    Path(source, "ham", "1").write_bytes(b"\xef\xbb\xbfa\r\nb\x00\rc\n")
    assert read_corpus(source).documents[0].text == "a\r\nb\x00\rc\n"


def test_a_file_that_is_not_utf_8_is_named_with_its_line(folder: Fill) -> None:
    source = folder("ham/1", "ham/2")
    Path(source, "ham", "2").write_bytes(b"one\ntw\xf6\n")
    with pytest.raises(BadData, match=r"letters/ham/2 line 2 is not UTF-8 \(byte 0xf6\)"):
        read_corpus(source)


def test_files_that_are_not_text_are_counted_and_not_read(folder: Fill) -> None:
    source = folder("ham/1", "ham/letter.pdf", "ham/photo", "spam/2", "spam/Thumbs.db", "spam/desktop.ini")
    contents = {"ham/letter.pdf": b"%PDF-1.4\nplain", "ham/photo": b"\xff\xd8\xff\xe0", "spam/Thumbs.db": b"\0\x01\xff"}
    for name, content in contents.items():
        Path(source, name).write_bytes(content)
    corpus = read_corpus(source)
    assert [document.id for document in corpus.documents] == ["ham/1", "spam/2"]
    assert corpus.notes == (
        "4 files that are not text are not read ('ham/letter.pdf', 'ham/photo', 'spam/Thumbs.db' and 1 more)",
    )


def test_a_folder_without_a_file_of_text_is_refused(folder: Fill) -> None:
    source = folder("ham/letter.pdf")
    Path(source, "ham/letter.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(BadData, match=r"letters holds no text files, only 'ham/letter\.pdf'\.$"):
        read_corpus(source)


def test_a_folder_of_documents_without_a_label_is_warned_of(folder: Fill) -> None:
    corpus = read_corpus(folder("train/pos/1", "train/unsup/1", "train/unsup/2", "test/pos/1"))
    assert corpus.notes == (
        "'unsup' (2 documents) is read as a class like the others; if it holds documents without a label, as in "
        "aclImdb, move it out of the folder",
    )


def test_blank_files_are_counted(folder: Fill) -> None:
    source = folder("ham/1", "ham/2")
    Path(source, "ham", "2").write_text(" \u200b\n", encoding="utf-8")
    assert read_corpus(source).notes == ("1 of 2 documents have no text",)


def test_a_name_that_is_not_utf_8_is_refused(folder: Fill) -> None:
    source = folder("ham/1")
    try:
        Path(os.fsdecode(os.fsencode(source) + b"/ham/\xff")).write_text("a", encoding="utf-8")
    except OSError:
        pytest.skip("this file system refuses such a name itself")
    with pytest.raises(BadData, match=r"holds a file whose name is not UTF-8: 'ham/\\udcff'"):
        read_corpus(source)


def test_a_folder_without_files_is_refused(folder: Fill, tmp_path: Path) -> None:
    (tmp_path / "letters" / "ham").mkdir(parents=True)
    with pytest.raises(BadData, match=r"letters holds no files\. Put each document into the folder of its class\.$"):
        read_corpus(folder())


def test_unused_columns_are_reported_in_a_note(folder: Fill) -> None:
    assert read_corpus(folder("ham/1"), SourceSpec(text=("body",))).notes == (
        "columns were named, but a folder has none and is read as it is",
    )


def test_a_folder_is_named_by_where_it_is(folder: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder("ham/1"))
    assert (read_corpus(".").name, read_corpus("..").name) == ("letters", Path.cwd().parent.name)
