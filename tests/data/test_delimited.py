"""What only CSV and TSV can get wrong."""

import csv
from pathlib import Path

import pytest

from data.errors import BadData, ColumnMissing
from data.readers import read_corpus
from data.source_spec import SourceSpec


def texts(path: Path, content: bytes, columns: SourceSpec | None = None) -> list[str]:
    path.write_bytes(content)
    return [document.text for document in read_corpus(str(path), columns).documents]


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    return tmp_path / "letters.csv"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_any_line_end_is_read_with_and_without_a_byte_order_mark(letters: Path, mark: bytes, end: bytes) -> None:
    assert texts(letters, mark + end.join([b"text,label", b"one,x", b"", b"two,y", b""])) == ["one", "two"]


def test_a_text_may_be_of_any_length_and_the_modules_limit_stays(letters: Path) -> None:
    usual = csv.field_size_limit(1000)
    try:
        assert texts(letters, b"text\n" + b"a" * 300_000 + b"\n") == ["a" * 300_000]
        assert csv.field_size_limit() == 1000
    finally:
        csv.field_size_limit(usual)


@pytest.mark.parametrize(("sign", "called"), [(";", "semicolon"), ("\t", "tab")])
def test_a_csv_file_with_another_sign_in_its_header_is_read_by_that_sign(letters: Path, sign: str, called: str) -> None:
    letters.write_text(f"\ufefftext{sign}label\na,b{sign}x\n", encoding="utf-8")
    corpus = read_corpus(str(letters))
    assert (corpus.documents[0].text, corpus.documents[0].labels) == ("a,b", ("x",))
    assert corpus.notes[0] == f"cells end at each {called}"


def test_a_row_with_another_number_of_cells_is_named_by_its_line(letters: Path) -> None:
    expected = (
        r"letters\.csv line 5 has 3 cells, but the header has 2\. "
        "Put a text with a comma or a new line in it between double quotes."
    )
    with pytest.raises(BadData, match=expected):
        texts(letters, b'text,label\n"one\n1",x\n\nHello, you,x\n')


@pytest.mark.parametrize("row", [b'"never closed,x\nnext,y\n', b'"closed" too soon,x\nnext,y\n'])
def test_broken_quotes_are_named_by_the_line_where_the_row_starts(letters: Path, row: bytes) -> None:
    with pytest.raises(BadData, match=r"letters\.csv line 3: a cell in double quotes is not closed"):
        texts(letters, b"text,label\na,x\n" + row)


def test_text_that_is_not_utf_8_is_named_by_its_line(letters: Path) -> None:
    rows = b"text,label\n" + b"plain,x\n" * 20_000  # far beyond what is decoded at a time
    with pytest.raises(BadData, match=r"letters\.csv line 20002 is not UTF-8 \(byte 0xe9\)\. It may be Latin-1 or"):
        texts(letters, rows + "café,x\n".encode("latin-1"))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_an_empty_file_is_called_empty(tmp_path: Path, ending: str, content: bytes) -> None:
    with pytest.raises(BadData, match=rf"letters\.{ending} is empty\.$"):
        texts(tmp_path / f"letters.{ending}", content)


def test_a_header_alone_is_no_corpus(letters: Path) -> None:
    with pytest.raises(BadData, match=r"letters\.csv has a header and no rows\."):
        texts(letters, b"text,label\n")


def test_a_column_that_occurs_twice_is_refused_when_it_is_read(letters: Path) -> None:
    with pytest.raises(BadData, match="has 2 columns called 'text'"):
        texts(letters, b"text,text,label\na,b,x\n")
    assert texts(letters, b"text,n,n\na,1,2\n") == ["a"]


def test_spaces_around_a_header_name_are_no_part_of_it(letters: Path) -> None:
    assert texts(letters, b"label, text\nx,one\n", SourceSpec(text=("text",))) == ["one"]


def test_a_tsv_file_with_commas_is_not_read_as_csv(tmp_path: Path) -> None:
    with pytest.raises(ColumnMissing, match="Name one with --text: 'text,label'"):
        texts(tmp_path / "letters.tsv", b"text,label\na,x\n")
