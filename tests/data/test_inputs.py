"""Compressed files and standard input."""

import gzip
import io
import sys
import zipfile
from pathlib import Path

import pytest

from data.errors import BadData, CallError, ExtraMissing
from data.readers import read_corpus
from data.source_spec import SourceSpec
from tests.data.tables import WRITERS

TABLE = b"text,label\none,x\ntwo,y\n"


def texts(path: Path) -> list[str]:
    return [document.text for document in read_corpus(str(path)).documents]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Bytes that the test writes, and that are then read as standard input."""
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content, "ascii"))
    return content


def pipe(stdin: io.BytesIO, content: bytes) -> None:
    stdin.write(content)
    stdin.seek(0)


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, TABLE)
    return path


@pytest.mark.parametrize("ending", ["csv", "json", "parquet", "arrow"])
def test_any_table_may_be_compressed(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    WRITERS[ending](path, [{"text": "one", "label": "x"}])
    compressed = tmp_path / f"letters.{ending.upper()}.GZ"
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    corpus = read_corpus(str(compressed))
    assert (corpus.name, corpus.documents[0].text) == ("letters", "one")


def test_an_archive_of_one_file_is_read_without_what_systems_add(tmp_path: Path) -> None:
    path = zipped(tmp_path / "letters.zip", "a/", "a/b.csv", "__MACOSX/a/._b.csv", ".DS_Store")
    assert (texts(path), read_corpus(str(path)).name) == (["one", "two"], "letters")


@pytest.mark.parametrize("name", ["letters.zip", "letters.csv.zip", "my.letters.zip", "my.letters.csv.gz"])
def test_the_corpus_of_a_compressed_file_is_named_without_its_endings(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(TABLE))
    path = tmp_path / name if name.endswith("gz") else zipped(tmp_path / name, "a.csv")
    assert read_corpus(str(path)).name == ("my.letters" if name.startswith("my") else "letters")


def test_an_archive_of_several_files_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"letters\.zip holds 'a\.csv', 'b\.csv'\. Only an archive of one file is read"):
        read_corpus(str(zipped(tmp_path / "letters.zip", "a.csv", "b.csv")))
    with pytest.raises(BadData, match=r"letters\.zip holds no file"):
        read_corpus(str(zipped(tmp_path / "letters.zip")))


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "letters.zip", "a.csv")
    content = bytearray(path.read_bytes())
    for start in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[start] |= 1
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"letters\.zip is encrypted\. Unpack it\.$"):
        read_corpus(str(path))


@pytest.mark.parametrize("ending", ["gz", "zst", "zip"])
@pytest.mark.parametrize("damage", ["truncated", "another format", "empty"])
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path: Path, ending: str, damage: str) -> None:
    zstd = pytest.importorskip("backports.zstd")
    path = tmp_path / f"letters.csv.{ending}"
    many = b"text,label\n" + b"".join(b"text %d,x\n" % number for number in range(2000))
    compress = {"gz": gzip.compress, "zst": zstd.compress, "zip": lambda _: zipped(path, "a.csv").read_bytes()}[ending]
    path.write_bytes({"truncated": compress(many)[:-30], "another format": TABLE, "empty": b""}[damage])
    with pytest.raises(BadData, match=rf"letters\.csv\.{ending} is (damaged, or not what its name says: |empty)"):
        read_corpus(str(path))


def test_a_compressed_file_of_unknown_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.tar.gz").write_bytes(gzip.compress(b"a"))
    with pytest.raises(CallError, match=r"letters\.tar\.gz has an unknown format"):
        read_corpus(str(tmp_path / "letters.tar.gz"))


def test_without_zstd_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "letters.csv.zst").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "backports", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    with pytest.raises(ExtraMissing, match=r'read by backports\.zstd: pip install "embedonce\[zstd\]"\.$'):
        read_corpus(str(tmp_path / "letters.csv.zst"))


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        b"text\tlabel\none\tx\ntwo\ty\n",
        "\ufefftext;label\r\none;x\r\ntwo;y\r\n".encode(),
        TABLE.decode().encode("utf-16"),
        b'{"text": "one", "label": "x"}\n{"text": "two", "label": "y"}\n',
        b'\n [{"text": "one", "label": "x"},\n {"text": "two", "label": "y"}]',
    ],
)
def test_standard_input_is_json_by_its_first_character_and_delimited_otherwise(
    stdin: io.BytesIO, content: bytes
) -> None:
    pipe(stdin, content)
    corpus = read_corpus("-")
    assert [(document.text, document.labels) for document in corpus.documents] == [("one", ("x",)), ("two", ("y",))]
    assert (corpus.name, corpus.source) == ("stdin", "standard input")


def test_standard_input_of_one_text_per_line(stdin: io.BytesIO) -> None:
    pipe(stdin, b"One text\nAnother one\n")
    corpus = read_corpus("-", SourceSpec(header="none", text=("1",)))
    assert [document.text for document in corpus.documents] == ["One text", "Another one"]


def test_faults_of_standard_input_are_located(stdin: io.BytesIO) -> None:
    with pytest.raises(BadData, match=r"^standard input is empty\.$"):
        read_corpus("-")
    pipe(stdin, b"text,label\na\n")
    with pytest.raises(BadData, match=r"^standard input line 2 has 1 cell, but the header has 2\."):
        read_corpus("-")
