"""What only fastText's format can get wrong."""

import gzip
from pathlib import Path

import pytest

from data.documents import Labels
from data.errors import BadData, CallError
from data.readers import read_corpus


def read(path: Path, content: str) -> tuple[str, list[tuple[str, Labels]]]:
    path.write_text(content, encoding="utf-8")
    corpus = read_corpus(str(path))
    return corpus.kind, [(document.text, document.labels) for document in corpus.documents]


@pytest.mark.parametrize("name", ["cooking.txt", "cooking.ft", "cooking.train", "cooking"])
def test_a_text_file_whose_lines_begin_with_a_label_is_a_table(tmp_path: Path, name: str) -> None:
    content = '\ufeff__label__food-safety How hot?\n\n__label__sauce  Two  spaces, "a quote"\n'
    assert read(tmp_path / name, content) == (
        "single",
        [("How hot?", ("food-safety",)), ('Two  spaces, "a quote"', ("sauce",))],
    )


def test_one_line_with_two_labels_makes_the_corpus_multilabel(tmp_path: Path) -> None:
    content = "three\n__label__a __label__b one\n__label__a two\n"
    assert read(tmp_path / "t.txt", content) == ("multilabel", [("three", None), ("one", ("a", "b")), ("two", ("a",))])


def test_a_label_within_a_line_is_a_label_and_one_within_a_word_is_not(tmp_path: Path) -> None:
    content = "__label__a one __label__b two\n__label__a x__label__c\n"
    assert read(tmp_path / "t.txt", content)[1] == [("one two", ("a", "b")), ("x__label__c", ("a",))]


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress(b"__label__a one\n"))
    assert read_corpus(str(tmp_path / "t.txt.gz")).documents[0].labels == ("a",)


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"__label__a one\n__label__a \xff\n")
    with pytest.raises(BadData, match=r"t\.txt line 2 is not UTF-8"):
        read_corpus(str(tmp_path / "t.txt"))


def test_a_text_file_without_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("one\nof __label__a two\n")
    with pytest.raises(CallError, match=r"unknown format.*a text file whose lines begin with __label__"):
        read_corpus(str(tmp_path / "t.txt"))
