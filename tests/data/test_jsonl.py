"""What only JSON Lines can get wrong."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadData
from data.readers import read_corpus
from data.readers.files import InputFile
from data.readers.jsonl import read_json
from data.source_spec import SourceSpec


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    return tmp_path / "letters.jsonl"


def test_lines_end_at_new_lines_only(letters: Path) -> None:
    letters.write_bytes('\ufeff{"text": "a\u2028b\x85c"}\r\n\r\n{"text": "d"}'.encode())
    assert [document.text for document in read_corpus(str(letters)).documents] == ["a\u2028b\x85c", "d"]


def test_a_key_that_a_line_lacks_is_no_label(letters: Path) -> None:
    letters.write_text('{"text": "a"}\n{"label": "x", "text": "b"}\n', encoding="utf-8")
    corpus = read_corpus(str(letters))
    assert [document.labels for document in corpus.documents] == [None, ("x",)]
    assert corpus.notes[-1] == "1 of 2 documents have no label"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("{'text': 'a'}", r"is not JSON \(Expecting property name enclosed in double quotes, character 2\)"),
        ('{"text": "a"', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('["a"]', r"is not an object but '\[\"a\"\]'"),
        ("7", "is not an object but '7'"),
    ],
)
def test_a_line_that_is_no_object_is_named(letters: Path, line: str, found: str) -> None:
    letters.write_text(f'{{"text": "a"}}\n\n{line}\n', encoding="utf-8")
    with pytest.raises(BadData, match=rf"letters\.jsonl line 3 {found}.*Write one object per line\.$"):
        read_corpus(str(letters))


def test_half_a_character_is_replaced_and_counted_in_a_note(letters: Path) -> None:
    lines = [
        '{"text": "cut \\uD83D"}',
        '{"text": "\\ud83d\\ude00", "label": ["\\udc00"]}',
        '{"text": "\\ud83d\\uDE00"}',
    ]
    letters.write_text("\n".join(lines), encoding="utf-8")
    corpus = read_corpus(str(letters))
    assert [document.text for document in corpus.documents] == ["cut \ufffd", "😀", "😀"]
    assert corpus.documents[1].labels == ("\ufffd",)
    assert corpus.notes[0] == "half a character is read as U+FFFD in 2 lines"


def test_text_that_is_not_utf_8_is_named_by_its_line(letters: Path) -> None:
    letters.write_bytes(b'{"text": "a"}\n{"text": "\xff"}\n')
    with pytest.raises(BadData, match=r"letters\.jsonl line 2 is not UTF-8 \(byte 0xff\)"):
        read_corpus(str(letters))


CELLS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.text())


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), CELLS, min_size=1), min_size=1))
def test_cells_are_those_that_json_reads_and_none_where_a_line_lacks_them(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        table = read_json(InputFile.plain(path, "any.jsonl"), SourceSpec())
    found = {name: list(table.cells(name)) for name in table.names}
    assert found == {
        name: [row.get(name) for row in rows] for name in dict.fromkeys(key for row in rows for key in row)
    }


ARRAY = '\n[{"text": "a", "label": "x"},\n\n {"text": "b\\ud800",\n  "n": 1}\n]\n'


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_an_array_of_objects_is_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"letters.{ending}"
    path.write_text(ARRAY, encoding="utf-8")
    table = read_json(InputFile.plain(path, "any"), SourceSpec())
    assert {name: list(table.cells(name)) for name in table.names} == {
        "text": ["a", "b\ufffd"],
        "label": ["x", None],
        "n": [None, 1],
    }
    assert (list(table.lines or ()), len(table.notes)) == ([2, 4], 1)


def test_json_lines_may_be_called_json(tmp_path: Path) -> None:
    (tmp_path / "letters.json").write_text('{"text": "a"}\n{"text": "b"}\n', encoding="utf-8")
    assert [document.text for document in read_corpus(str(tmp_path / "letters.json")).documents] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            '[{"text": "a"},\n{"text": "b"}\n{"text": "c"}]',
            r"line 3 is not JSON \(Expecting ',' or '\]' after a value\)",
        ),
        ('[{"text": "a"},\n{"text": "b"}', r"line 2 is not JSON \(Expecting ',' or '\]' after a value\)"),
        ('[{"text": "a"},\n\n{"text": b}]', r"line 3 is not JSON \(Expecting value\)"),
        ('[{"text": "a"}\n]\n[', r"line \d is not JSON \(Extra data after the array\)"),
        ('[{"text": "a"},\n"b"]', r"line 2 is not an object but '\"b\"'"),
        ("[" * 100_000, r"line 1 is not JSON \(maximum recursion depth"),
    ],
)
def test_a_fault_of_an_array_is_named_by_its_line(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "letters.json").write_text(content, encoding="utf-8")
    with pytest.raises(BadData, match=rf"letters\.json {problem}.*\. Write an array of objects\.$"):
        read_corpus(str(tmp_path / "letters.json"))


def test_an_array_without_objects_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "letters.json").write_text("[ ]", encoding="utf-8")
    with pytest.raises(BadData, match=r"letters\.json is empty\.$"):
        read_corpus(str(tmp_path / "letters.json"))


def test_columns_of_pandas_are_named_with_the_way_to_write_rows(tmp_path: Path) -> None:
    table = pytest.importorskip("pandas").DataFrame({"text": ["a", "b"], "label": ["x", "y"]})
    table.to_json(tmp_path / "letters.json")
    with pytest.raises(BadData, match=r"letters\.json holds columns, as pandas writes them .*orient=\"records\""):
        read_corpus(str(tmp_path / "letters.json"))


def test_one_row_of_objects_with_the_same_fields_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"en": {"text": "good day"}, "de": {"text": "guten Tag"}}\n')
    corpus = read_corpus(str(tmp_path / "one.jsonl"), SourceSpec(text=("en.text",)))
    assert [document.text for document in corpus.documents] == ["good day"]
