"""What only Excel workbooks can get wrong."""

import datetime
import sys
from pathlib import Path

import openpyxl
import pytest

from data.documents import Document
from data.errors import BadData, ColumnMissing, ExtraMissing
from data.readers import read_corpus
from data.source_spec import SourceSpec
from tests.data.tables import write_excel

pytest.importorskip("python_calamine")


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    return tmp_path / "letters.xlsx"


def test_cells_are_texts_numbers_dates_and_blanks(letters: Path) -> None:
    rows: list[list[object]] = [
        ["id", "text", "label", "n"],
        [7, " two\nlines ", 3, 0.5],
        [None, None, None, None],
        [8, datetime.date(2026, 1, 2), None],
        [9, 12, True],
    ]
    write_excel(letters, rows)
    assert list(read_corpus(str(letters)).documents) == [
        Document("7", " two\nlines ", ("3",)),
        Document("8", "2026-01-02", None),
        Document("9", "12", ("true",)),
    ]


def test_the_first_sheet_is_read_and_the_others_are_named(letters: Path) -> None:
    write_excel(letters, [["text"], ["a"]], "Notes", "Old")
    assert read_corpus(str(letters)).notes[0] == "the first sheet, 'Letters', is read, and not 'Notes', 'Old'"


def test_a_blank_cover_sheet_is_passed_over(letters: Path) -> None:
    write_excel(letters, [["text", "label"], ["a", "x"]], "Cover")
    workbook = openpyxl.load_workbook(letters)
    workbook.move_sheet("Cover", -1)
    workbook.save(letters)
    corpus = read_corpus(str(letters))
    assert list(corpus.documents) == [Document("1", "a", ("x",))]
    assert corpus.notes[0] == "the first sheet with cells, 'Letters', is read, and not 'Cover'"


def test_merged_cells_over_several_rows_are_reported(letters: Path) -> None:
    write_excel(letters, [["text", "label"], ["a", "x"], ["b", None]])
    workbook = openpyxl.load_workbook(letters)
    workbook["Letters"].merge_cells("B2:B3")
    workbook.save(letters)
    corpus = read_corpus(str(letters))
    assert [document.labels for document in corpus.documents] == [("x",), None]
    assert "1 merged cell spans rows and has a value in the first of these; the others are blank" in corpus.notes


def test_a_row_is_named_by_its_number_in_the_sheet(letters: Path) -> None:
    write_excel(letters, [["text", "id"], ["a", "u"], [None], ["b", "u"]])
    with pytest.raises(BadData, match=r"letters\.xlsx row 2 and row 4 have the same id 'u'"):
        read_corpus(str(letters))


def test_a_cell_beyond_the_header_is_refused_by_its_row(letters: Path) -> None:
    write_excel(letters, [["text"], ["a"], ["b", None, "c"]])
    with pytest.raises(BadData, match=r"letters\.xlsx row 3 has 3 cells, but the header has 1\. Give each column"):
        read_corpus(str(letters))


def test_a_sheet_may_have_no_header_and_its_notation_has_no_delimiter(letters: Path) -> None:
    write_excel(letters, [["a", "x"], ["b", "y"]])
    with pytest.raises(ColumnMissing, match="If the first row is a document, add --header none"):
        read_corpus(str(letters))
    corpus = read_corpus(str(letters), SourceSpec(header="none", delimiter=";", text=("1",), label="2"))
    assert [document.text for document in corpus.documents] == ["a", "b"]
    assert corpus.notes == ("--delimiter is not used: the file is .xlsx",)


def test_a_header_that_occurs_again_is_refused(letters: Path) -> None:
    write_excel(letters, [["text", "n"], ["a", 1], ["text", "n"], ["b", 2]])
    with pytest.raises(BadData, match=r"letters\.xlsx row 3 repeats the header"):
        read_corpus(str(letters))


@pytest.mark.parametrize("rows", [[], [[None]]])
def test_an_empty_sheet_is_called_empty(letters: Path, rows: list[list[None]]) -> None:
    write_excel(letters, rows)
    with pytest.raises(BadData, match=r"letters\.xlsx is empty\.$"):
        read_corpus(str(letters))


@pytest.mark.parametrize("content", [b"", b"text,label\na,x\n", b"PK\x03\x04" + b"\0" * 50])
def test_what_is_no_workbook_is_refused_in_a_sentence(letters: Path, content: bytes) -> None:
    letters.write_bytes(content)
    with pytest.raises(BadData, match=r"letters\.xlsx is not an Excel file that can be read \([^\n]*\)\.$"):
        read_corpus(str(letters))


def test_without_calamine_the_extra_is_named(letters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    letters.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(ExtraMissing, match=r'Excel .* is missing: pip install "embedonce\[excel\]"\.$'):
        read_corpus(str(letters))
