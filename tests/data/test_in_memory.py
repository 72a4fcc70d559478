"""Documents in memory: the same corpus as from a file, from every kind of source."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.documents import Labels
from data.errors import BadData, CallError, ColumnMissing
from data.readers.in_memory import read_in_memory
from data.source_spec import SourceSpec

TEXTS = ["the puck", "a used car", "the goal", "an old engine"]
LABELS = ["hockey", "autos", "hockey", "autos"]


def frame(library: str) -> Any:
    module = pytest.importorskip(library)
    return module.DataFrame({"number": [1, 2, 3, 4], "body": TEXTS, "queue": LABELS})


def dataset() -> Any:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["autos", "hockey"])}
    )
    return datasets.Dataset.from_dict({"text": TEXTS, "label": [1, 0, 1, 0]}, features=features)


def pairs(corpus: Any) -> list[tuple[str, Labels]]:
    return [(document.text, document.labels) for document in corpus.documents]


EXPECTED = [(text, (label,)) for text, label in zip(TEXTS, LABELS, strict=True)]


def test_a_list_of_texts_takes_a_list_of_labels() -> None:
    corpus = read_in_memory(TEXTS, SourceSpec(), LABELS)
    assert pairs(corpus) == EXPECTED
    assert [document.id for document in corpus.documents] == ["1", "2", "3", "4"]


def test_an_array_of_texts_is_a_list_of_texts() -> None:
    assert pairs(read_in_memory(np.array(TEXTS), SourceSpec(), LABELS)) == EXPECTED


def test_a_list_of_texts_needs_no_labels() -> None:
    assert [labels for _, labels in pairs(read_in_memory(TEXTS, SourceSpec()))] == [None] * 4


def test_lists_of_labels_make_a_multilabel_corpus() -> None:
    corpus = read_in_memory(TEXTS, SourceSpec(), [["hockey", "used"], [], ["hockey"], ["autos"]])
    assert corpus.kind == "multilabel"
    assert pairs(corpus)[0] == ("the puck", ("hockey", "used"))


@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
def test_numbers_of_numpy_in_lists_are_those_of_python(dtype: str) -> None:
    matrix = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=dtype)
    names = SourceSpec(label_names=("a", "b", "c"))
    expected = [("a", "c"), ("c",), ("b",), ()]
    for labels in ([list(row) for row in matrix], [tuple(row) for row in matrix], list(matrix)):
        assert [found for _, found in pairs(read_in_memory(TEXTS, names, labels))] == expected
    scores = [dict(zip("abc", row, strict=True)) for row in matrix]
    assert [found for _, found in pairs(read_in_memory(TEXTS, SourceSpec(), scores))] == expected


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_data_frame_is_read_by_its_columns(library: str) -> None:
    corpus = read_in_memory(frame(library), SourceSpec(text=("body",), label="queue", id="number"))
    assert pairs(corpus) == EXPECTED
    assert corpus.documents[2].id == "3"


def test_numbers_that_name_columns_are_texts() -> None:
    numbered = pytest.importorskip("pandas").DataFrame(list(zip(LABELS, TEXTS, strict=True)))
    assert pairs(read_in_memory(numbered, SourceSpec(text=("1",), label="0"))) == EXPECTED


@pytest.mark.parametrize("names", [["text", "text"], [1, "1"]])
def test_two_columns_with_one_name_are_refused(names: list[Any]) -> None:
    table = pytest.importorskip("pandas").DataFrame(list(zip(TEXTS, LABELS, strict=True)), columns=names)
    with pytest.raises(BadData, match=f"more than one column called '?{names[1]}'?. Rename all but one"):
        read_in_memory(table, SourceSpec())


def test_two_columns_of_arrow_with_one_name_are_refused() -> None:
    arrow = pytest.importorskip("pyarrow")
    with pytest.raises(BadData, match="more than one column called"):
        read_in_memory(arrow.table([arrow.array(TEXTS)] * 2, names=["text", "text"]), SourceSpec())


def test_a_missing_label_of_pandas_is_no_label() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"text": TEXTS, "label": ["hockey", None, float("nan"), pandas.NA]})
    assert [labels for _, labels in pairs(read_in_memory(table, SourceSpec()))] == [("hockey",), None, None, None]


def test_class_numbers_of_a_dataset_are_read_as_names() -> None:
    assert pairs(read_in_memory(dataset(), SourceSpec())) == EXPECTED


def test_a_dataset_with_unknown_classes_has_documents_without_labels() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"])})
    unlabelled = datasets.Dataset.from_dict({"text": TEXTS, "label": [0, 1, -1, None]}, features=features)
    assert [labels for _, labels in pairs(read_in_memory(unlabelled, SourceSpec()))] == [("a",), ("b",), None, None]


def test_the_same_rows_have_the_same_name_and_other_rows_another() -> None:
    name = read_in_memory(TEXTS, SourceSpec(), LABELS).name
    assert read_in_memory(list(TEXTS), SourceSpec(), list(LABELS)).name == name
    assert read_in_memory(TEXTS, SourceSpec(), LABELS[::-1]).name != name
    assert read_in_memory(TEXTS, SourceSpec(), name="mine.v2").name == "mine.v2"


def lazy() -> Any:
    return pytest.importorskip("polars").DataFrame({"text": TEXTS}).lazy()


@pytest.mark.parametrize(
    ("source", "labels", "columns", "sentence"),
    [
        ("one text", None, SourceSpec(), "type str is no source"),
        ({"text": TEXTS}, None, SourceSpec(), "'text' is not the name of a split"),
        (object(), None, SourceSpec(), "type object is no source"),
        ([], None, SourceSpec(), "has no rows"),
        (["a", 3], None, SourceSpec(), "Text 2 of the list is of type int"),
        (TEXTS, LABELS[:3], SourceSpec(), "4 texts and 3 labels"),
        (TEXTS, None, SourceSpec(text=("body",)), "has no columns"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(source: Any, labels: Any, columns: SourceSpec, sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        read_in_memory(source, columns, labels)


def test_a_lazy_frame_is_refused() -> None:
    with pytest.raises(CallError, match="data frame"):
        read_in_memory(lazy(), SourceSpec())


def test_labels_next_to_a_table_are_refused() -> None:
    with pytest.raises(CallError, match="given twice"):
        read_in_memory(frame("pandas"), SourceSpec(), LABELS)


def test_a_cell_that_is_no_text_is_named_by_its_row() -> None:
    table = pytest.importorskip("polars").DataFrame({"text": [["a"], ["b"]], "label": ["x", "y"]})
    with pytest.raises(BadData, match="row 1"):
        read_in_memory(table, SourceSpec(text=("text",)))


def test_reading_a_list_imports_no_data_frame_library() -> None:
    code = (
        "import sys; from data.readers.in_memory import read_in_memory; "
        "from data.source_spec import SourceSpec; read_in_memory(['a', 'b'], SourceSpec(), ['x', 'y']); "
        "print('narwhals' in sys.modules, 'pandas' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.split() == ["False", "False"]


@pytest.mark.parametrize("library", ["datasets", "pandas"])
def test_a_dict_of_splits_is_one_corpus_with_these_splits(library: str) -> None:
    module = pytest.importorskip(library)
    source: Any = {"dev": frame("pandas").iloc[:1], "train": frame("pandas").iloc[1:]}
    if library == "datasets":
        rows = dataset()
        source = module.DatasetDict(validation=rows.select([0]), train=rows.select([1, 2, 3]))
    spec = SourceSpec(text=("body",), label="queue") if library == "pandas" else SourceSpec()
    corpus = read_in_memory(source, spec)
    assert pairs(corpus) == EXPECTED
    assert [document.split for document in corpus.documents] == ["validation", "train", "train", "train"]
    assert [document.id for document in corpus.documents][:2] == ["validation-1", "train-1"]
    assert corpus.name != read_in_memory({"train": source[next(iter(source))], "test": source["train"]}, spec).name


@pytest.mark.parametrize(
    ("source", "spec", "sentence"),
    [
        ({"letters": None}, SourceSpec(), r"'letters' is not the name of a split \(train, validation or test\)"),
        ({}, SourceSpec(), "The dict has no splits"),
        ({"train": None}, SourceSpec(split="side"), "split='side' names a column, but the keys of the dict name"),
        (
            {"train": ["a"]},
            SourceSpec(),
            "'train' of the dict is a list. Pass a data frame or a dataset for each split",
        ),
        ({"train": ["a"], "test": ("b",)}, SourceSpec(), "'train', 'test' of the dict are lists"),
    ],
)
def test_a_dict_that_has_no_splits_is_refused(source: Any, spec: SourceSpec, sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        read_in_memory(source, spec)


def test_a_column_that_a_split_lacks_is_named_with_the_split() -> None:
    whole = frame("pandas")
    with pytest.raises(ColumnMissing, match="split test has no column 'queue', which split train has"):
        read_in_memory({"train": whole, "test": whole.drop(columns="queue")}, SourceSpec(text=("body",), label="queue"))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_series_is_a_list_of_texts(library: str) -> None:
    table = frame(library)
    assert pairs(read_in_memory(table["body"], SourceSpec(), table["queue"])) == EXPECTED


def test_a_column_of_a_dataset_is_a_list_of_texts() -> None:
    assert pairs(read_in_memory(dataset()["text"], SourceSpec(), LABELS)) == EXPECTED


def test_a_set_is_refused_because_it_has_no_order_not_for_its_labels() -> None:
    with pytest.raises(CallError, match="type set is no source"):
        read_in_memory(set(TEXTS), SourceSpec(), LABELS)


def test_names_of_files_are_not_taken_for_texts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(CallError, match=r"the names of files\. To read these, pass Path objects"):
        read_in_memory([str(tmp_path / "a.csv")], SourceSpec())
