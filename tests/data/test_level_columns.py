"""Labels from one column per level."""

import csv
from pathlib import Path

import pytest

from data.documents import Corpus
from data.errors import BadData, CallError, ColumnMissing
from data.readers import read_corpus, read_labels_by_id
from data.source_spec import SourceSpec

HEADER = ("id", "text", "area", "topic", "detail")
LEVELS = ("area", "topic", "detail")


def corpus(folder: Path, *rows: tuple[str, str, str], levels: tuple[str, ...] = LEVELS, **spec: str) -> Corpus:
    with (folder / "letters.csv").open("w") as file:
        csv.writer(file).writerows([HEADER, *((f"d{row}", f"text {row}", *cells) for row, cells in enumerate(rows))])
    return read_corpus(str(folder / "letters.csv"), SourceSpec(levels=levels, **spec))  # type: ignore[arg-type]


def test_a_label_is_the_path_of_its_levels_up_to_the_first_blank_one(tmp_path: Path) -> None:
    read = corpus(tmp_path, ("rec", "sport", "hockey"), ("rec", "sport", ""), ("sci", "", ""), ("", "", ""))
    assert [document.labels for document in read.documents] == [("rec/sport/hockey",), ("rec/sport",), ("sci",), None]
    assert read.kind == "path" and read.taxonomy is not None
    assert read.taxonomy.parents == {"rec": (), "sci": (), "rec/sport": ("rec",), "rec/sport/hockey": ("rec/sport",)}
    assert "1 of 4 documents have no label" in read.notes and read.spec.levels == LEVELS


def test_one_name_below_two_nodes_is_two_nodes(tmp_path: Path) -> None:
    read = corpus(tmp_path, ("rec", "other", ""), ("sci", "other", ""), path_separator=" > ")
    assert [document.labels for document in read.documents] == [("rec > other",), ("sci > other",)]
    assert read.taxonomy is not None and read.taxonomy.is_tree


def test_numbers_are_read_in_one_form(tmp_path: Path) -> None:
    assert corpus(tmp_path, ("1.0", "TRUE", ""), ("1", "true", "")).documents[0].labels == ("1/true",)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("rec", "", "hockey"), r"line 2: column 'topic' is blank and 'detail', the level below it, holds 'hockey'"),
        (("net", "tcp/ip", ""), r"line 2: column 'topic' holds 'tcp/ip', and '/' separates the levels"),
    ],
)
def test_a_row_that_is_no_path_is_named(tmp_path: Path, row: tuple[str, str, str], sentence: str) -> None:
    with pytest.raises(BadData, match=sentence):
        corpus(tmp_path, row)


def test_columns_that_cannot_be_levels_are_refused(tmp_path: Path) -> None:
    row = ("rec", "sport", "")
    with pytest.raises(ColumnMissing, match=r"has no column 'topc'\. Did you mean 'topic'"):
        corpus(tmp_path, row, levels=("area", "topc"))
    with pytest.raises(CallError, match=r"--levels has one column per level of the label\. Leave --label out"):
        corpus(tmp_path, row, label="area")
    with pytest.raises(CallError, match="--levels names a column twice: area, area"):
        corpus(tmp_path, row, levels=("area", "area"))


def test_a_later_file_is_read_by_the_same_levels(tmp_path: Path) -> None:
    known = corpus(tmp_path, ("rec", "sport", "")).spec
    (tmp_path / "new.csv").write_text("id,area,topic,detail\nd0,sci,space,\n")
    read = read_labels_by_id(str(tmp_path / "new.csv"), SourceSpec(), known)
    assert read.documents[0].labels == ("sci/space",)
    (tmp_path / "new.csv").write_text("id,label\nd0,sci/space\n")
    assert read_labels_by_id(str(tmp_path / "new.csv"), SourceSpec(), known).documents[0].labels == ("sci/space",)
