"""Arrow files, Arrow streams, and datasets of Hugging Face on disk."""

import json
import sys
from pathlib import Path

import pytest

from data.errors import BadData, CallError, ExtraMissing
from data.readers import read_corpus
from data.source_spec import SourceSpec
from tests.data.tables import arrow_table, write_arrow

ROWS = [{"text": "one", "label": "x"}, {"text": "two", "label": "y"}]


def save_to_disk(folder: Path, *shards: list[dict[str, str]]) -> Path:
    """What `datasets.Dataset.save_to_disk` writes."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05}-of-{len(shards):05}.arrow" for number in range(len(shards))]
    for name, rows in zip(names, shards, strict=True):
        write_arrow(folder / name, rows, stream=True)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def read(path: Path, spec: SourceSpec | None = None) -> list[tuple[str, tuple[str, ...] | None, str | None]]:
    documents = read_corpus(str(path), spec).documents
    return [(document.text, document.labels, document.split) for document in documents]


@pytest.mark.parametrize("stream", [False, True])
def test_a_file_and_a_stream_are_read(tmp_path: Path, stream: bool) -> None:
    write_arrow(tmp_path / "letters.arrow", ROWS, stream=stream)
    assert read(tmp_path / "letters.arrow") == [("one", ("x",), None), ("two", ("y",), None)]


def test_a_feather_file_is_read(tmp_path: Path) -> None:
    from pyarrow import feather

    feather.write_feather(arrow_table(ROWS), str(tmp_path / "letters.feather"))
    assert read(tmp_path / "letters.feather") == [("one", ("x",), None), ("two", ("y",), None)]


@pytest.mark.parametrize("content", [b"", b"text,label\na,x\n", b"ARROW1" * 10, b"\xff\xff\xff\xff" * 20])
def test_what_is_no_arrow_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letters.arrow"
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"^[^\n]*letters\.arrow is not an Arrow file that can be read \([^\n]*\)\.$"):
        read_corpus(str(path))


def test_offsets_beyond_a_damaged_column_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "letters.arrow"
    write_arrow(path, [{"text": "aaaa"}, {"text": "bbbb"}])
    content = path.read_bytes()
    place = content.index((4).to_bytes(4, "little") + (8).to_bytes(4, "little"))  # the ends of the two texts
    path.write_bytes(content[:place] + (4).to_bytes(4, "little") + (2**30).to_bytes(4, "little") + content[place + 8 :])
    with pytest.raises(BadData, match=r"letters\.arrow: column 'text' cannot be read"):
        read_corpus(str(path))


def test_no_rows_are_no_corpus(tmp_path: Path) -> None:
    import pyarrow

    table = arrow_table(ROWS).slice(0, 0)
    with pyarrow.ipc.new_file(str(tmp_path / "letters.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(BadData, match=r"letters\.arrow has no rows\.$"):
        read_corpus(str(tmp_path / "letters.arrow"))


def test_a_dataset_on_disk_is_read_shard_by_shard(tmp_path: Path) -> None:
    folder = save_to_disk(tmp_path / "letters", ROWS[:1], ROWS[1:])
    assert read(folder) == [("one", ("x",), None), ("two", ("y",), None)]
    assert read_corpus(str(folder)).name == "letters"


def test_the_datasets_of_a_dictionary_are_splits(tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    for split, row in [("train", ROWS[0]), ("validation", ROWS[1]), ("test", ROWS[1])]:
        save_to_disk(folder / split, [row])
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
    assert [split for _, _, split in read(folder)] == ["train", "validation", "test"]
    assert [document.id for document in read_corpus(str(folder)).documents] == ["train-1", "validation-1", "test-1"]
    with pytest.raises(CallError, match="--split label names a column, but files name the splits"):
        read(folder, SourceSpec(split="label"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"_data_files": 3}'])
def test_a_dataset_without_a_list_of_its_files_is_refused(tmp_path: Path, content: str) -> None:
    folder = save_to_disk(tmp_path / "letters", ROWS)
    (folder / "state.json").write_text(content)
    with pytest.raises(BadData, match=r"letters: state\.json has no list '_data_files'\. Save the dataset again\.$"):
        read_corpus(str(folder))


def test_a_dataset_that_lacks_a_file_names_it(tmp_path: Path) -> None:
    folder = save_to_disk(tmp_path / "letters", ROWS)
    (folder / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(CallError, match=r"letters/data-00000-of-00001\.arrow cannot be read: No such file"):
        read_corpus(str(folder))


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_to_disk(tmp_path / "letters", ROWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExtraMissing, match=r'pip install "embedonce\[parquet\]"\.$'):
        read_corpus(str(folder))


def test_the_library_itself_writes_what_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict(train=rows, test=rows.select([1])).save_to_disk(str(tmp_path / "letters"))
    assert [split for _, _, split in read(tmp_path / "letters")] == ["train", "train", "test"]
    rows.save_to_disk(str(tmp_path / "more"), num_shards=2)
    assert [text for text, _, _ in read(tmp_path / "more")] == ["one", "two"]
