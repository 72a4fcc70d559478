"""Fields within objects, by names with dots."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.errors import ColumnMissing
from data.readers import read_corpus
from data.source_spec import SourceSpec


def read(folder: Path, rows: list[dict[str, Any]], **spec: Any) -> Any:
    path = folder / "letters.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_corpus(str(path), SourceSpec(**spec))


def test_a_text_and_a_label_are_read_within_objects(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"doc": {"body": "one", "meta": {"label": "a"}}},
        {"doc": {"body": "two", "meta": None}},
        {"doc": {}},
    ]
    corpus = read(tmp_path, rows, text=("doc.body",), label="doc.meta.label")
    assert [(each.text, each.labels) for each in corpus.documents] == [("one", ("a",)), ("two", None), ("", None)]
    assert (corpus.spec.text, corpus.spec.label) == (("doc.body",), "doc.meta.label")


def test_a_name_with_a_dot_comes_first(tmp_path: Path) -> None:
    rows = [{"text": "one", "meta.label": "a", "meta": {"label": "b", "x.y": "c"}}]
    assert read(tmp_path, rows, label="meta.label").documents[0].labels == ("a",)
    assert read(tmp_path, rows, label="meta.x.y").documents[0].labels == ("c",)


def test_the_field_of_a_list_of_objects_is_a_list(tmp_path: Path) -> None:
    rows: list[Any] = [{"text": "one", "spans": [{"label": "a"}, {"label": "b"}, {}]}, {"text": "two", "spans": []}]
    corpus = read(tmp_path, rows, label="spans.label")
    assert (corpus.kind, [each.labels for each in corpus.documents]) == ("multilabel", [("a", "b"), ()])


def test_a_field_that_no_object_has_is_named_with_its_nearest(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": "one", "meta": {"label": "a"}}, {"text": "two", "meta": None}]
    with pytest.raises(
        ColumnMissing, match=r"no object in column 'meta' has the field 'lable'. Did you mean 'label'\?"
    ):
        read(tmp_path, rows, label="meta.lable")


def test_a_column_that_holds_no_objects_has_no_fields(tmp_path: Path) -> None:
    (tmp_path / "letters.csv").write_text("text,meta\none,x\n")
    with pytest.raises(ColumnMissing, match="no object in column 'meta' has the field 'label'"):
        read_corpus(str(tmp_path / "letters.csv"), SourceSpec(label="meta.label"))
