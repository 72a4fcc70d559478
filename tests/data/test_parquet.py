"""What only Parquet can get wrong."""

import sys
from pathlib import Path

import pytest

from data.errors import BadData, ExtraMissing
from data.readers import read_corpus
from data.source_spec import SourceSpec
from tests.data.tables import write


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, "parquet", [{"text": "a"}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ExtraMissing, match=r'^Parquet and Arrow are read by pyarrow, .*: pip install "embedonce\[parquet\]"\.$'
    ):
        read_corpus(source)


@pytest.mark.parametrize("content", [b"", b"text,label\na,x\n", b"PAR1" * 10])
def test_what_is_no_parquet_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letters.parquet"
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"^[^\n]*letters\.parquet is not a Parquet file that can be read \([^\n]*\)\.$"):
        read_corpus(str(path))


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = Path(write(tmp_path, "parquet", [{"text": "a" * 1000}]))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadData, match="is not a Parquet file that can be read"):
        read_corpus(str(path))


def test_a_damaged_column_is_refused(tmp_path: Path) -> None:
    path = Path(write(tmp_path, "parquet", [{"text": str(number)} for number in range(1000)]))
    content = path.read_bytes()
    path.write_bytes(content[:40] + bytes(byte ^ 255 for byte in content[40:400]) + content[400:])
    with pytest.raises(BadData, match=r"letters\.parquet: column 'text' cannot be read"):
        read_corpus(str(path))


def test_no_rows_are_no_corpus(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), tmp_path / "letters.parquet")
    with pytest.raises(BadData, match=r"letters\.parquet has no rows\.$"):
        read_corpus(str(tmp_path / "letters.parquet"))


def test_texts_kept_as_a_dictionary_are_texts(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    column = pyarrow.array(["a", "b", "a"]).dictionary_encode()
    parquet.write_table(pyarrow.table({"text": column}), tmp_path / "letters.parquet")
    assert [document.text for document in read_corpus(str(tmp_path / "letters.parquet")).documents] == ["a", "b", "a"]


def test_a_map_is_an_object(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    scores = pyarrow.array([[("a", 1.0), ("b", 0.0)], None], pyarrow.map_(pyarrow.string(), pyarrow.float64()))
    path = tmp_path / "letters.parquet"
    parquet.write_table(pyarrow.table({"text": ["x", "y"], "label": scores}), path)
    assert [document.labels for document in read_corpus(str(path)).documents] == [("a",), None]
    assert read_corpus(str(path), SourceSpec(label="", group="label.a")).documents[0].group == "1"
