"""What only CSV and TSV can get wrong."""

import csv
from pathlib import Path

import pytest

from data.errors import BadData, CallError, ColumnMissing
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


def read(path: Path, content: str, spec: SourceSpec | None = None) -> tuple[list[str], list[str]]:
    """The texts of a file with this content, and the notes except for that on columns."""
    path.write_bytes(content.encode())
    corpus = read_corpus(str(path), spec)
    return [document.text for document in corpus.documents], [note for note in corpus.notes if "column" not in note]


class TestQuotes:
    """A quote that is never closed must not swallow the rows up to the next quote."""

    SWALLOWING = 'text,label\na,x\n"Hello, you,x\nb,y\nfive 5",z\nd,x\n'

    def test_between_tabs_quotes_are_text_if_every_line_is_a_row_without_them(self, tmp_path: Path) -> None:
        texts, notes = read(tmp_path / "a.tsv", 'text\tlabel\n"Hello\tx\nb\ty\nc"\tz\nd\tx\n')
        assert texts == ['"Hello', "b", 'c"', "d"]
        assert notes == ["double quotes are read as text (guessed; --quoting standard if they enclose cells)"]

    @pytest.mark.parametrize("text", ['"Hello" she said', '"Hello"', '5" pipe', '"a', '""', '"a "" b'])
    def test_between_tabs_a_quote_alone_is_no_sign_of_quoting(self, tmp_path: Path, text: str) -> None:
        assert read(tmp_path / "a.tsv", f"text\tlabel\n{text}\tx\nb\ty\n")[0] == [text, "b"]

    @pytest.mark.parametrize(
        "content",
        [
            '"text"\t"label"\n"a"\t"x"\n',  # the header
            'text\tlabel\n"a ""b"""\tx\n',  # doubled quotes
            'text\tlabel\n"a\tb"\tx\n',  # a tab within a cell
            'text\tlabel\n"a\n\nb"\tx\n',  # lines within a cell
        ],
    )
    @pytest.mark.parametrize("ending", ["csv", "tsv"])
    def test_between_tabs_quotes_enclose_cells_if_the_file_shows_it(
        self, tmp_path: Path, content: str, ending: str
    ) -> None:
        texts, notes = read(tmp_path / f"a.{ending}", content)
        assert len(texts) == 1 and not texts[0].startswith('"')
        assert "double quotes around a cell are no part of it (guessed; --quoting none reads them as text)" in notes

    def test_between_tabs_a_cell_that_swallows_rows_is_refused_in_a_quoted_file(self, tmp_path: Path) -> None:
        quoted = "".join(f'"a\n{number}"\tx\n' for number in range(3))
        with pytest.raises(BadData, match=r"a\.tsv line 8: a cell in double quotes opens here and closes on line 9"):
            read(tmp_path / "a.tsv", f'text\tlabel\n{quoted}"Hello\tx\nb"\ty\n')

    def test_between_commas_a_cell_that_swallows_rows_is_refused_with_both_lines(self, letters: Path) -> None:
        with pytest.raises(
            BadData,
            match=r"letters\.csv line 3: a cell in double quotes opens here and closes on line 5, but each of these "
            r"lines looks like a row of its own\. Close the quote, read quotes as text with --quoting none, or keep "
            r"the cell as it is with --quoting standard\.$",
        ):
            read(letters, self.SWALLOWING)

    def test_the_user_may_say_that_the_cell_is_meant(self, letters: Path) -> None:
        texts, notes = read(letters, self.SWALLOWING, SourceSpec(quoting="standard"))
        assert texts == ["a", "Hello, you,x\nb,y\nfive 5", "d"]
        assert notes == ["1 cell spans lines"]

    def test_without_quoting_each_line_is_a_row(self, letters: Path) -> None:
        texts, _ = read(letters, 'text,label\n"Hello,x\nb,y\nfive 5",z\n', SourceSpec(quoting="none"))
        assert texts == ['"Hello', "b", 'five 5"']

    @pytest.mark.parametrize(
        "text",
        [
            "Dear all,\nplease, note\nyours, Bob",
            "Dear all,\nregards,\nBob",
            "It cost\n1,000 dollars",
            "one\r\ntwo",
            ",\n,",
        ],
    )
    def test_a_letter_with_commas_is_not_taken_for_rows(self, letters: Path, text: str) -> None:
        texts, notes = read(letters, f'text,label\n"{text}",x\nb,y\n"{text}",y\n')
        assert texts == [text, "b", text]
        assert notes == ["2 cells span lines"]

    def test_texts_alone_may_span_lines(self, letters: Path) -> None:
        assert read(letters, 'text\n"a\nb"\n"c\nd"\n')[0] == ["a\nb", "c\nd"]

    def test_a_quote_that_swallows_the_rest_is_named_by_both_lines(self, letters: Path) -> None:
        with pytest.raises(BadData, match=r"line 3: a cell in double quotes is not closed.* \(up to line 5\)\."):
            read(letters, 'text,label\na,x\n"Hello,x\nb,y\nc,z\n')

    def test_a_row_that_a_quote_makes_too_long_is_named_by_both_lines(self, letters: Path) -> None:
        with pytest.raises(BadData, match=r"line 2 \(to line 3\) has 3 cells, but the header has 2"):
            read(letters, 'text,label\n"a,x\nb",y,z\n')


class TestDelimiters:
    @pytest.mark.parametrize(("sign", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "vertical bar")])
    def test_a_sign_that_fits_every_row_is_preferred(self, letters: Path, sign: str, name: str) -> None:
        texts, notes = read(
            letters, f"title, text{sign}label\na{sign}x\nb, c, d{sign}y\n", SourceSpec(text=("title, text",))
        )
        assert texts == ["a", "b, c, d"]
        assert notes == [f"cells end at each {name}"]

    def test_a_delimiter_may_be_named(self, letters: Path) -> None:
        assert read(letters, "text;a~label\nb~x\n", SourceSpec(delimiter="~", text=("text;a",))) == (["b"], [])
        for tab in ("\t", "tab", "\\t"):
            assert read(letters, "text, a\tlabel\nb\tx\n", SourceSpec(delimiter=tab, text=("text, a",)))[0] == ["b"]

    @pytest.mark.parametrize("sign", ["", "||", '"', "\n"])
    def test_what_cannot_be_a_delimiter_is_refused(self, letters: Path, sign: str) -> None:
        with pytest.raises(CallError, match=r"The delimiter is '.*'\. Give one character, or tab"):
            read(letters, "text\na\n", SourceSpec(delimiter=sign))

    @pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
    def test_the_line_of_excel_that_names_the_delimiter_is_no_header(self, letters: Path, line: str) -> None:
        assert read(letters, f"\ufeff{line}\r\ntext;label\r\na,b;x\r\n")[0] == ["a,b"]
        with pytest.raises(BadData, match="line 4 has 3 cells"):
            read(letters, f"{line}\r\ntext;label\r\na;x\r\na;b;x\r\n")

    def test_spaces_between_delimiter_and_quote_are_skipped(self, letters: Path) -> None:
        texts, notes = read(letters, '"text", "label"\n"a, b", "x"\n" c", "y"\n')
        assert texts == ["a, b", " c"]
        assert notes == ["spaces after a comma are not part of a cell"]

    @pytest.mark.parametrize("cell", [" b", '" b"', '" ""b"" c"', ' b 5"'])
    def test_other_spaces_are_text(self, letters: Path, cell: str) -> None:
        (text,), _ = read(letters, f"label,text\nx,{cell}\n")
        assert text.startswith(" ")


class TestHeader:
    def test_without_a_header_columns_are_numbered(self, letters: Path) -> None:
        spec = SourceSpec(header="none", text=("1",), label="2")
        assert read(letters, "a,x\nb,y\n", spec)[0] == ["a", "b"]
        assert read(letters, "1,2\na,x\n", spec)[0] == ["1", "a"]
        with pytest.raises(BadData, match="line 2 has 3 cells, but the first row has 2"):
            read(letters, "a,x\na,b,x\n", spec)
        with pytest.raises(ColumnMissing, match=r"has no column 'text'\. Known: 1, 2"):
            read(letters, "a,x\nb,y\n", SourceSpec(header="none", text=("text",)))

    def test_a_table_that_seems_to_lack_its_header_gets_the_advice(self, letters: Path) -> None:
        with pytest.raises(ColumnMissing, match=r"Name one with --text: 'a', 'x'\. If .* add --header none\.$"):
            read(letters, "a,x\nb,y\n")
        with pytest.raises(BadData, match=r"has a header and no rows\. If .* add --header none\.$"):
            read(letters, "One document\n")

    @pytest.mark.parametrize("again", ["text,label", "\ufefftext,label", '"text","label"', " text,label"])
    def test_a_header_that_occurs_again_is_refused_with_its_line(self, letters: Path, again: str) -> None:
        with pytest.raises(BadData, match=r"letters\.csv line 3 repeats the header, as if files had been joined"):
            read(letters, f"text,label\na,x\n{again}\nb,y\n")

    def test_another_value_of_header_or_quoting_is_refused(self, letters: Path) -> None:
        with pytest.raises(CallError, match="The header is 'no'"):
            read(letters, "text\na\n", SourceSpec(header="no"))
        with pytest.raises(CallError, match="The quoting is 'all'"):
            read(letters, "text\na\n", SourceSpec(quoting="all"))
