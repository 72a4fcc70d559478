"""A corpus of several files: which they are, in which order, and what does not fit together."""

import gzip
import re
from pathlib import Path

import pytest

from data.documents import Corpus
from data.errors import BadData, CallError, ColumnMissing, EmbedOnceError, FileMissing
from data.packed import FileRowNumbers
from data.readers import read_corpus, read_labels_by_id
from data.source_spec import SourceSpec
from tests.data.tables import write

ROWS = [{"id": f"{name}{number}", "text": f"text {name} {number}", "label": name} for name in "ab" for number in (1, 2)]


def texts_of(corpus: Corpus) -> list[str]:
    return [document.text for document in corpus.documents]


def test_a_pattern_and_the_files_that_a_shell_makes_of_it_are_one_corpus_in_the_order_of_names(tmp_path: Path) -> None:
    first, second = (write(tmp_path, "csv", ROWS[start : start + 2], f"part-{start}") for start in (0, 2))
    by_pattern = read_corpus(f"{tmp_path}/*.csv")
    by_names = read_corpus(second, SourceSpec(files=(first,)))
    assert texts_of(by_pattern) == texts_of(by_names) == [row["text"] for row in ROWS]
    assert by_pattern.name == by_names.name == "part"
    assert f"one corpus is read from 2 files in the order of their names, {first} to {second}" in by_pattern.notes


def test_what_a_corpus_says_of_its_source_reads_it_again(tmp_path: Path) -> None:
    first, second = (write(tmp_path, "csv", ROWS[start : start + 2], f"part-{start}") for start in (0, 2))
    corpus = read_corpus(first, SourceSpec(files=(second,)))
    again = read_corpus(corpus.source, SourceSpec(), SourceSpec.from_json(corpus.spec.to_json()))
    assert texts_of(again) == texts_of(corpus)
    assert corpus.spec.for_file("other.csv", corpus.source).files is None


def test_files_may_differ_in_format_and_compression(tmp_path: Path) -> None:
    write(tmp_path, "jsonl", ROWS[:1], "1")
    write(tmp_path, "parquet", ROWS[1:2], "2")
    path = Path(write(tmp_path, "csv", ROWS[2:], "3"))
    (tmp_path / "3.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    corpus = read_corpus(f"{tmp_path}/*")
    assert texts_of(corpus) == [row["text"] for row in ROWS]
    assert [document.labels for document in corpus.documents] == [("a",), ("a",), ("b",), ("b",)]


def test_row_numbers_stay_unique_and_do_not_depend_on_other_files(tmp_path: Path) -> None:
    rows = [{"text": row["text"]} for row in ROWS]
    write(tmp_path, "csv", rows[:2], "x")
    write(tmp_path, "csv", rows[2:], "y")
    ids = read_corpus(f"{tmp_path}/*.csv").documents
    assert [document.id for document in ids] == ["x-1", "x-2", "y-1", "y-2"]


def test_files_of_one_name_in_several_folders_have_their_folder_in_the_ids(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, "csv", [{"text": name}], "x")
    corpus = read_corpus(f"{tmp_path}/**/*.csv")
    assert [document.id for document in corpus.documents] == ["one/x-1", "two/x-1"]


def test_row_numbers_of_files_are_a_sequence() -> None:
    numbers = FileRowNumbers(["a", "b", "c"], [2, 0, 1])
    assert list(numbers) == [numbers[row] for row in range(3)] == numbers[:] == ["a-1", "a-2", "c-1"]
    assert numbers[-1] == "c-1"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("*.parquet", FileMissing, "*.parquet matches no file. Check the folder and the ending."),
        ("fold*", FileMissing, "fold* matches no file, only 1 folder. Name one folder, or the files in them."),
    ],
)
def test_a_pattern_without_files_is_one_sentence(
    name: str, error: type[EmbedOnceError], message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(error, match=re.escape(message)):
        read_corpus(f"{tmp_path}/{name}")


@pytest.mark.parametrize("other", ["-", "reuters52", "."])
def test_only_files_are_read_together(other: str, tmp_path: Path) -> None:
    first = write(tmp_path, "csv", ROWS)
    with pytest.raises(CallError, match=f"{re.escape(other)} is .*, and only files are read together. Name it alone"):
        read_corpus(first, SourceSpec(files=(other,)))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(("lacking", "having"), [(0, 1), (1, 0)])
def test_a_file_without_a_column_of_the_others_is_named(ending: str, lacking: int, having: int, tmp_path: Path) -> None:
    rows = [[{"text": "one", "label": "a"}], [{"text": "two", "label": "b"}]]
    del rows[lacking][0]["label"]
    files = [write(tmp_path, ending, each, str(number)) for number, each in enumerate(rows)]
    with pytest.raises(ColumnMissing, match=f"^{files[lacking]} has no column 'label', which {files[having]} has"):
        read_corpus(f"{tmp_path}/*")


def test_the_same_id_in_two_files_is_named_with_both(tmp_path: Path) -> None:
    files = [write(tmp_path, "csv", ROWS[:1], name) for name in "xy"]
    message = f"{files[0]} line 2 and {files[1]} line 2 have the same id 'a1'"
    with pytest.raises(BadData, match=re.escape(message)):
        read_corpus(f"{tmp_path}/*")


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    write(tmp_path, "csv", ROWS)
    (tmp_path / "notes.md").write_text("nothing")
    with pytest.raises(CallError, match=r"notes\.md has an unknown format"):
        read_corpus(f"{tmp_path}/*")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = write(tmp_path, "csv", ROWS, "a[1]")
    assert texts_of(read_corpus(path)) == [row["text"] for row in ROWS]


def test_one_file_is_read_once_however_often_it_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "csv", ROWS)
    assert len(read_corpus(path, SourceSpec(files=(f"{tmp_path}/*.csv",))).documents) == len(ROWS)


def test_several_files_may_have_a_file_of_another_split(tmp_path: Path) -> None:
    for name, rows in {"x": ROWS[:1], "y": ROWS[1:2], "test": ROWS[2:]}.items():
        write(tmp_path, "csv", rows, name)
    corpus = read_corpus(f"{tmp_path}/[xy].csv", SourceSpec(test_file=f"{tmp_path}/test.csv"))
    assert [document.split for document in corpus.documents] == ["train", "train", "test", "test"]


def test_labels_are_read_from_several_files(tmp_path: Path) -> None:
    for number in (0, 2):
        write(tmp_path, "csv", ROWS[number : number + 2], str(number))
    corpus = read_labels_by_id(f"{tmp_path}/*.csv", SourceSpec(), SourceSpec())
    assert [document.id for document in corpus.documents] == [row["id"] for row in ROWS]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("part-00000-of-00002.csv", "part-00001-of-00002.csv"), "part"),
        (("tickets_jan.csv", "tickets_june.csv.gz"), "tickets"),
        (("2023.csv", "2024.csv"), "folder"),
        (("apples.csv", "ants.csv"), "folder"),
    ],
)
def test_a_corpus_is_named_for_what_its_files_have_in_common(
    names: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        content = f"text\n{name}\n".encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert read_corpus(f"{folder}/*").name == expected
