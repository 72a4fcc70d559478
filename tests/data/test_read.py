"""From what a user names to its reader."""

import os
from pathlib import Path

import pytest

from data.errors import CallError, FileMissing
from data.readers import read_corpus


def test_a_missing_file_suggests_the_closest_name_in_its_folder(tmp_path: Path) -> None:
    for name in ("letters.csv", "letters.txt", "lists.csv"):
        (tmp_path / name).touch()
    with pytest.raises(FileMissing, match=r"leters\.csv does not exist\. Did you mean 'letters\.csv'\?$"):
        read_corpus(str(tmp_path / "leters.csv"))


def test_a_misspelt_benchmark_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileMissing, match=r"^reuters-52 does not exist\. Did you mean 'reuters52'\?$"):
        read_corpus("reuters-52")


@pytest.mark.parametrize("source", ["qqqqqq", "no/such/folder/qqqq.csv", "q" * 5000])
def test_without_a_close_name_the_sources_of_a_corpus_are_listed(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileMissing, match=r"does not exist\. Name a file, a folder or a benchmark \(newsgroups, reuters52\)\.$"
    ):
        read_corpus(source)


def test_another_format_is_refused_with_those_that_are_read(tmp_path: Path) -> None:
    (tmp_path / "letters.docx").touch()
    expected = (
        r"letters\.docx has an unknown format\. "
        r"Name a \.csv, \.tsv, \.jsonl, \.ndjson, \.json, \.parquet, \.arrow, \.feather, \.xlsx file, which may "
        r"be compressed \(\.gz, \.zst, \.zip\), a text file whose lines begin with __label__, or "
        r"a folder with one folder per class\.$"
    )
    with pytest.raises(CallError, match=expected):
        read_corpus(str(tmp_path / "letters.docx"))


def test_endings_are_read_in_any_case_and_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "LETTERS.CSV").write_text("text\na\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_corpus("~/LETTERS.CSV").documents[0].text == "a"


def test_a_pipe_with_a_name_is_refused_because_files_are_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "letters.csv")
    with pytest.raises(CallError, match=r"letters\.csv is a pipe, which can be read only once\. Pass it as standard"):
        read_corpus(str(tmp_path / "letters.csv"))
