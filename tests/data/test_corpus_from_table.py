"""The contract of every reader of tables; a new one is a line in `tables.WRITERS`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.documents import Document
from data.errors import BadData, CallError, ColumnMissing
from data.label_cells import canonical_label
from data.readers import read_corpus
from data.source_spec import SourceSpec
from tests.data.tables import WRITERS, Rows, write

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [
        "",
        "\0",
        "\r",
        "a\nb\r\nc",
        'a "quoted" word',
        '"',
        "''",
        ",;\t|",
        "\ufeff",
        "\u2028\x85",
        "👩‍🔬 naïve café",
        "[]",
        "nan",
    ]
)
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool)


@pytest.fixture(scope="module", params=list(WRITERS))
def ending(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@given(st.lists(st.tuples(ANY_TEXT, NAME), min_size=1, max_size=8, unique_by=lambda row: row[1]))
def test_what_was_written_is_read(ending: str, rows: list[tuple[str, str]]) -> None:
    written = [{"text": text, "label": name, "id": name} for text, name in rows]
    with TemporaryDirectory() as folder:
        corpus = read_corpus(write(Path(folder), ending, written), SourceSpec(path_separator="", separator=""))
    assert list(corpus.documents) == [Document(name, text, (canonical_label(name),)) for text, name in rows]
    assert corpus.kind == "single"


class TestEveryReader:
    """Facts that hold for each format."""

    def test_a_corpus_is_called_as_its_file(self, ending: str, tmp_path: Path) -> None:
        source = write(tmp_path, ending, [{"text": "a", "label": "x"}], name="mes lettres: août")
        corpus = read_corpus(source)
        assert (corpus.name, corpus.source) == ("mes-lettres-août", source)

    def test_guessed_columns_are_reported(self, ending: str, tmp_path: Path) -> None:
        source = write(tmp_path, ending, [{"body": "a", "Category": "x", "n": "1"}])
        (document,) = read_corpus(source).documents
        assert document == Document("1", "a", ("x",))
        assert read_corpus(source).notes == (
            "text is read from column 'body' and labels from 'Category' (guessed; name them with --text and --label)",
        )

    def test_named_columns_are_read_without_a_word(self, ending: str, tmp_path: Path) -> None:
        row = {"a": "a text", "b": "x", "c": "7", "d": "Test", "e": "Ada"}
        corpus = read_corpus(
            write(tmp_path, ending, [row]), SourceSpec(text=("a",), label="b", id="c", split="d", group="e")
        )
        assert list(corpus.documents) == [Document("7", "a text", ("x",), "Test", "Ada")]
        assert corpus.notes == ()

    def test_a_misspelt_column_is_named_with_its_nearest(self, ending: str, tmp_path: Path) -> None:
        source = write(tmp_path, ending, [{"headline": "a", "label": "x"}])
        with pytest.raises(ColumnMissing, match=r"letters\.\w+ has no column 'hedline'\. Did you mean 'headline'\?$"):
            read_corpus(source, SourceSpec(text=("hedline",)))

    def test_without_ids_rows_are_numbered_from_one(self, ending: str, tmp_path: Path) -> None:
        source = write(tmp_path, ending, [{"text": word} for word in "abc"])
        assert [document.id for document in read_corpus(source).documents] == ["1", "2", "3"]

    def test_two_rows_of_one_id_are_both_named(self, ending: str, tmp_path: Path) -> None:
        rows = [{"id": name, "text": "a"} for name in ("u1", "u2", "u1")]
        first, again = ("row 1", "row 3") if ending in ("parquet", "arrow") else ("line 2", "line 4")
        if ending in ("json", "jsonl", "ndjson"):  # without a header
            first, again = "line 1", "line 3"
        with pytest.raises(BadData, match=rf"letters\.{ending} {first} and {again} have the same id 'u1'\."):
            read_corpus(write(tmp_path, ending, rows))

    def test_ids_may_be_ignored(self, ending: str, tmp_path: Path) -> None:
        source = write(tmp_path, ending, [{"id": "u", "text": "a"}, {"id": "u", "text": "b"}])
        assert [document.id for document in read_corpus(source, SourceSpec(id="")).documents] == ["1", "2"]

    def test_a_missing_id_is_named_by_its_place(self, ending: str, tmp_path: Path) -> None:
        with pytest.raises(BadData, match=r"(line|row) \d has no id in column 'id'"):
            read_corpus(write(tmp_path, ending, [{"id": "u", "text": "a"}, {"id": " ", "text": "b"}]))

    def test_documents_without_label_or_text_are_counted_in_a_note(self, ending: str, tmp_path: Path) -> None:
        rows = [{"text": "a", "label": "x"}, {"text": " ", "label": " "}, {"text": "c", "label": ""}]
        corpus = read_corpus(write(tmp_path, ending, rows))
        assert [document.labels for document in corpus.documents] == [("x",), None, None]
        assert corpus.notes[1:] == ("2 of 3 documents have no label", "1 of 3 documents have no text")

    def test_texts_that_look_like_missing_values_are_kept_and_reported(self, ending: str, tmp_path: Path) -> None:
        rows = [{"text": text, "label": "x"} for text in ("nan", "None", "nan", "a nan", "\u200b ")]
        corpus = read_corpus(write(tmp_path, ending, rows))
        assert [document.text for document in corpus.documents][:3] == ["nan", "None", "nan"]
        assert corpus.notes[1:] == ("1 of 5 documents have no text", "3 texts are 'None', 'nan', kept as text")

    def test_a_file_without_labels_is_read_with_a_note(self, ending: str, tmp_path: Path) -> None:
        corpus = read_corpus(write(tmp_path, ending, [{"text": "a"}]))
        assert (corpus.documents[0].labels, corpus.kind) == (None, "single")
        assert corpus.notes[-1] == "no column is read as the label; name it with --label if there is one"

    def test_a_cell_that_holds_a_list_in_json_is_multilabel(self, ending: str, tmp_path: Path) -> None:
        rows = [{"text": "a", "label": '["x", "y"]'}, {"text": "b", "label": "z"}, {"text": "c", "label": "[]"}]
        corpus = read_corpus(write(tmp_path, ending, rows))
        assert [document.labels for document in corpus.documents] == [("x", "y"), ("z",), ()]
        assert corpus.kind == "multilabel"

    def test_paths_bring_their_tree(self, ending: str, tmp_path: Path) -> None:
        corpus = read_corpus(
            write(tmp_path, ending, [{"text": "a", "label": "rec/sport"}, {"text": "b", "label": "sci/med"}])
        )
        assert corpus.kind == "path"
        assert corpus.taxonomy is not None
        assert corpus.taxonomy.ancestors("rec/sport") == ("rec", "rec/sport")

    def test_a_file_that_may_not_be_read_is_refused_in_a_sentence(
        self, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(13, "Permission denied")

        source = write(tmp_path, ending, [{"text": "a"}])
        monkeypatch.setattr(Path, "open", refuse)  # the tests may run as a user whom nothing is refused
        with pytest.raises(CallError, match=rf"letters\.{ending} cannot be read: Permission denied\.$"):
            read_corpus(source)


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet", "arrow"])
def test_a_list_of_the_format_itself_is_multilabel(ending: str, tmp_path: Path) -> None:
    rows: Rows = [{"text": "a", "label": ["x", " y ", "x"]}, {"text": "b", "label": []}, {"text": "c", "label": None}]
    corpus = read_corpus(write(tmp_path, ending, rows))
    assert [document.labels for document in corpus.documents] == [("x", "y"), (), None]
    assert corpus.kind == "multilabel"


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet", "arrow"])
def test_numbers_and_nothing_are_read_as_a_person_writes_them(ending: str, tmp_path: Path) -> None:
    rows: Rows = [{"id": 7, "text": "a", "label": 3.0}, {"id": 8, "text": None, "label": float("nan")}]
    corpus = read_corpus(write(tmp_path, ending, rows))
    assert list(corpus.documents) == [Document("7", "a", ("3",)), Document("8", "")]


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        (["a"], r"a list \(\['a'\]\)\. Name a column with one text"),
        ({"a": 1}, r"an object .*\. Name a field of it, as in column\.field"),
        (b"a", r"bytes \(b'a'\)\. Save the column as text"),
    ],
)
def test_a_text_that_is_none_is_refused_with_what_to_do(cell: object, found: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=rf"row 1: expected one value, got {found}"):
        read_corpus(write(tmp_path, "parquet", [{"text": cell, "label": "x"}]))


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet", "arrow"])
def test_a_text_that_is_a_list_is_refused_by_its_place(ending: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"letters\.\w+ (line|row) 1: expected one value, got a list"):
        read_corpus(write(tmp_path, ending, [{"text": ["a"], "label": "x"}]))
