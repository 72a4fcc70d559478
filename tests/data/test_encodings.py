"""Encodings: two are recognized, the others are named in the error and read only if the user says so."""

import gzip
from pathlib import Path

import pytest

from data.errors import BadData, CallError
from data.readers import read_corpus
from data.source_spec import SourceSpec


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    return tmp_path / "letters.csv"


def texts(path: Path, content: bytes, encoding: str | None = None) -> list[str]:
    path.write_bytes(content)
    return [document.text for document in read_corpus(str(path), SourceSpec(encoding=encoding)).documents]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_utf_16_is_read_with_and_without_a_byte_order_mark(letters: Path, encoding: str, end: str) -> None:
    assert texts(letters, f"text,label{end}naïve 文,x{end}".encode(encoding)) == ["naïve 文"]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_a_guess_and_a_note(letters: Path, codec: str) -> None:
    assert texts(letters, "text,label\na,x\n".encode(codec)) == ["a"]
    expected = f"the text is read as UTF-16 (guessed; name it with --encoding {codec})"
    assert read_corpus(str(letters)).notes[0] == expected
    assert expected not in read_corpus(str(letters), SourceSpec(encoding=codec)).notes


def test_a_mark_is_no_part_of_the_text_if_the_encoding_is_named(letters: Path) -> None:
    for encoding, named in [
        ("utf-8-sig", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16", "UTF16"),
    ]:
        assert texts(letters, "text\na\n".encode(encoding), named) == ["a"]


def test_utf_16_that_is_not_recognized_is_named_in_the_error(letters: Path) -> None:
    with pytest.raises(BadData, match=r"is not UTF-8\. It may be UTF-16: try --encoding utf-16-le, or save"):
        texts(
            letters, "上文,标签\n你好,x\n".encode("utf-16-le")
        )  # one byte of its first character is that of a new line


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        ("Un café agréable", "latin-1", "Latin-1 or Windows-1252"),
        ("El niño comió una piña", "latin-1", "Latin-1 or Windows-1252"),
        ("Grüße aus München", "cp1252", "Latin-1 or Windows-1252"),
        ("He said “hello” – it’s", "cp1252", "Windows-1252"),
        ("Привет как дела", "cp1251", "Windows-1251"),
        ("Zażółć gęślą jaźń", "cp1250", "Windows-1250"),
        ("こんにちは、お元気ですか", "shift_jis", "shift_jis"),
        ("你好，今天天气很好，我们去公园", "gb18030", "gb18030"),
    ],
)
def test_another_encoding_is_suggested_by_name_and_never_used_silently(
    letters: Path, text: str, encoding: str, name: str
) -> None:
    content = f"text,label\nplain,x\n{text},y\n".encode(encoding)
    with pytest.raises(BadData) as refused:
        texts(letters, content)
    assert "line 3 is not UTF-8 (byte 0x" in str(refused.value)
    assert f"It may be {name}, which reads it as '{text[:10]}" in str(refused.value)
    codec = str(refused.value).rpartition("--encoding ")[2].partition(";")[0]
    assert texts(letters, content, codec) == ["plain", text]


def test_the_named_encoding_is_refused_by_the_line_that_it_does_not_read(letters: Path) -> None:
    with pytest.raises(BadData, match=r"line 2 is not shift_jis \(byte 0xff\)"):
        texts(letters, b"text\n\xff\xff\xff\n", "shift_jis")


@pytest.mark.parametrize("name", ["latin-11", "base64", "", "a\0b"])
def test_an_unknown_encoding_is_refused_with_the_usual_names(letters: Path, name: str) -> None:
    with pytest.raises(CallError, match=r"No encoding is called .* Usual names are utf-8, utf-16, latin-1, cp1252"):
        texts(letters, b"text\na\n", name)


def test_utf_8_that_is_read_in_another_encoding_is_a_note(letters: Path) -> None:
    assert texts(letters, "text\ncafé\n".encode(), "cp1252") == ["cafÃ©"]
    note = "the file is valid UTF-8, but is read as cp1252 because --encoding says so"
    assert note in read_corpus(str(letters), SourceSpec(encoding="cp1252")).notes
    assert texts(letters, b"text\ncafe\n", "cp1252") == ["cafe"]
    assert note not in read_corpus(str(letters), SourceSpec(encoding="cp1252")).notes


@pytest.mark.parametrize(
    ("content", "explanation"),
    [
        (gzip.compress(b"text\na\n", mtime=0), "is compressed by gzip. Let its name end with .gz."),
        (b"PK\x03\x04\x14\0\xff\0", "is a ZIP archive or an Excel workbook. Let its name end with .zip or .xlsx."),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "is a workbook of an old Excel. Save it as .xlsx."),
        (b"PAR1\x15\x04\xff\0", "is a Parquet file. Let its name end with .parquet."),
        (b"%PDF-1.4\n%\xe2\xe3", "is a PDF file. Extract its text first."),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "is not a text file."),
    ],
)
def test_a_file_that_is_no_text_is_called_what_it_is(letters: Path, content: bytes, explanation: str) -> None:
    with pytest.raises(BadData) as refused:
        texts(letters, content)
    assert str(refused.value) == f"{letters} {explanation}"


def test_files_of_a_folder_have_the_encoding_that_is_named(tmp_path: Path) -> None:
    for label in "xy":
        (tmp_path / "letters" / label).mkdir(parents=True)
        (tmp_path / "letters" / label / "a.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(BadData, match=r"letters/x/a\.txt line 1 is not UTF-8 .* add --encoding cp1252"):
        read_corpus(str(tmp_path / "letters"))
    corpus = read_corpus(str(tmp_path / "letters"), SourceSpec(encoding="cp1252"))
    assert ([document.text for document in corpus.documents], corpus.notes) == (["café", "café"], ())
