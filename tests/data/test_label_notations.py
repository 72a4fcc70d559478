"""Labels in every notation: one assignment of labels to documents, written in each, is read as equal corpora."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.documents import Corpus, Labels
from data.readers import read_corpus
from data.readers.in_memory import read_in_memory
from data.source_spec import SourceSpec
from tests.data.tables import write

Assignment = Sequence[Labels]
Notation = Callable[[Path, Sequence[str], Assignment], Corpus]

NAMES = st.lists(st.text("abcäö'\",-/", min_size=1, max_size=4).map("x".__add__), min_size=3, max_size=4, unique=True)


def number_of(names: Sequence[str], labels: Labels) -> list[int] | None:
    return None if labels is None else [names.index(label) for label in labels]


def flags(names: Sequence[str], labels: Labels) -> list[int] | None:
    return None if labels is None else [int(name in labels) for name in names]


def in_file(ending: str, cell: Callable[[Sequence[str], Labels], Any], **spec: Any) -> Notation:
    """A column "label" with a cell per document."""

    def read(folder: Path, names: Sequence[str], assignment: Assignment) -> Corpus:
        rows = [{"text": f"text {row}", "label": cell(names, labels)} for row, labels in enumerate(assignment)]
        options: dict[str, Any] = {name: tuple(names) if value is NAMES else value for name, value in spec.items()}
        return read_corpus(write(folder, ending, rows), SourceSpec(**({"path_separator": ""} | options)))

    return read


def in_columns(ending: str, yes: Any, no: Any) -> Notation:
    """A column per label."""

    def read(folder: Path, names: Sequence[str], assignment: Assignment) -> Corpus:
        rows = [
            {"text": "a"} | {name: None if labels is None else yes if name in labels else no for name in names}
            for labels in assignment
        ]
        label = io.StringIO()
        csv.writer(label, lineterminator="").writerow(names)
        return read_corpus(write(folder, ending, rows), SourceSpec(label=label.getvalue()))

    return read


def in_memory(cell: Callable[[Labels], Any]) -> Notation:
    return lambda _, __, assignment: read_in_memory(
        ["a"] * len(assignment), SourceSpec(path_separator=""), [cell(labels) for labels in assignment]
    )


def in_fasttext(folder: Path, _: Sequence[str], assignment: Assignment) -> Corpus:
    lines = ("".join(f"__label__{label} " for label in labels or ()) + "a text\n" for labels in assignment)
    (folder / "letters.txt").write_text("".join(lines), encoding="utf-8")
    return read_corpus(str(folder / "letters.txt"), SourceSpec(path_separator=""))


def in_classes(folder: Path, names: Sequence[str], cells: Sequence[Any], feature: Any) -> Corpus:
    """A Parquet file as Hugging Face's datasets writes it, with the names in the schema."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"text": ["a"] * len(cells), "label": cells})
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": feature}}})}
    parquet.write_table(table.replace_schema_metadata(metadata), folder / "letters.parquet")
    return read_corpus(str(folder / "letters.parquet"), SourceSpec(path_separator=""))


def class_label(names: Sequence[str]) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


def lists_of_classes(folder: Path, names: Sequence[str], assignment: Assignment) -> Corpus:
    cells = [number_of(names, labels) for labels in assignment]
    return in_classes(folder, names, cells, {"feature": class_label(names), "_type": "Sequence"})


def classes(folder: Path, names: Sequence[str], assignment: Assignment) -> Corpus:
    cells = [-1 if labels is None else names.index(labels[0]) for labels in assignment]
    return in_classes(folder, names, cells, class_label(names))


def text_of(write_list: Callable[[list[str]], str]) -> Callable[[Sequence[str], Labels], Any]:
    return lambda _, labels: "" if labels is None else write_list(list(labels))


def text_of_flags(write_list: Callable[[list[int]], str]) -> Callable[[Sequence[str], Labels], Any]:
    return lambda names, labels: "" if labels is None else write_list(flags(names, labels) or [])


def scores(names: Sequence[str], labels: Labels) -> dict[str, float] | None:
    return None if labels is None else {name: 0.75 if name in labels else 0.25 for name in names}


MULTILABEL: Mapping[str, Notation] = {
    "JSON": in_file("csv", text_of(json.dumps)),
    "Python list": in_file("tsv", text_of(lambda labels: f"{labels} ")),
    "Python tuple": in_file("csv", text_of(lambda labels: str(tuple(labels)))),
    "NumPy": in_file("csv", text_of(lambda labels: str(np.array(labels, dtype=object)))),
    "NumPy texts": in_file("csv", text_of(lambda labels: str([np.str_(label) for label in labels]))),
    "separator": in_file("csv", text_of(lambda labels: "; ".join(labels) or "[]"), separator=";"),
    "JSONL": in_file("jsonl", lambda _, labels: labels),
    "nested": in_file("jsonl", lambda _, labels: {"true": {"labels": labels}}, label="label.true.labels"),
    "Parquet": in_file("parquet", lambda _, labels: labels),
    "columns in CSV": in_columns("csv", "1.0", "0"),
    "columns in JSONL": in_columns("jsonl", True, False),
    "columns in Parquet": in_columns("parquet", 1, 0),
    "0 and 1 in CSV": in_file("csv", text_of_flags(str), label_names=NAMES),
    "0 and 1 in NumPy": in_file("csv", text_of_flags(lambda row: str(np.array(row, float))), label_names=NAMES),
    "0 and 1 in JSONL": in_file("jsonl", flags, label_names=NAMES),
    "0 and 1 in Parquet": in_file("parquet", flags, label_names=NAMES),
    "numbers in JSONL": in_file("jsonl", number_of, label_names=NAMES),
    "ClassLabel": lists_of_classes,
    "cats": in_file("jsonl", scores),
    "cats in CSV": in_file("csv", lambda n, labels: "" if labels is None else json.dumps(scores(n, labels))),
    "memory": in_memory(lambda labels: labels),
    "sets in memory": in_memory(lambda labels: None if labels is None else set(labels)),
}
SINGLE: Mapping[str, Notation] = {
    "CSV": in_file("csv", lambda _, labels: labels and labels[0]),
    "TSV": in_file("tsv", lambda _, labels: labels and f" {labels[0]} "),
    "JSONL": in_file("jsonl", lambda _, labels: labels and labels[0]),
    "Parquet": in_file("parquet", lambda _, labels: labels and labels[0]),
    "numbers in CSV": in_file("csv", lambda n, labels: labels and f"{n.index(labels[0])}.0", label_names=NAMES),
    "numbers in JSONL": in_file("jsonl", lambda n, labels: labels and n.index(labels[0]), label_names=NAMES),
    "ClassLabel": classes,
    "fastText": in_fasttext,
    "memory": in_memory(lambda labels: labels and labels[0]),
}


def sets(corpus: Corpus) -> list[frozenset[str] | None]:
    return [None if labels is None else frozenset(labels) for labels in (each.labels for each in corpus.documents)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notations")


@settings(max_examples=10)
@given(NAMES, st.data())
def test_multilabel_corpora_are_equal_in_every_notation(folder: Path, names: list[str], data: st.DataObject) -> None:
    subsets = st.none() | st.sets(st.sampled_from(names)).map(lambda chosen: tuple(sorted(chosen, key=names.index)))
    assignment = [(names[2],), (names[0], names[1]), *data.draw(st.lists(subsets, max_size=6))]
    expected = [None if labels is None else frozenset(labels) for labels in assignment]
    for notation, read in MULTILABEL.items():
        corpus = read(folder, names, assignment)
        assert (notation, corpus.kind, sets(corpus)) == (notation, "multilabel", expected)
    in_lines = in_fasttext(folder, names, assignment)  # which cannot say that no label applies
    assert (in_lines.kind, sets(in_lines)) == ("multilabel", [labels or None for labels in expected])


@settings(max_examples=10)
@given(NAMES, st.data())
def test_single_label_corpora_are_equal_in_every_notation(folder: Path, names: list[str], data: st.DataObject) -> None:
    labels = st.none() | st.sampled_from(names).map(lambda name: (name,))
    assignment = [(names[0],), *data.draw(st.lists(labels, max_size=6))]
    for notation, read in SINGLE.items():
        corpus = read(folder, names, assignment)
        assert (notation, corpus.kind, [each.labels for each in corpus.documents]) == (notation, "single", assignment)


@settings(max_examples=10)
@given(st.lists(st.none() | st.integers(-3, 12), min_size=1, max_size=6))
def test_numbers_are_equal_labels_in_every_notation(folder: Path, numbers: list[int | None]) -> None:
    numbers = [*numbers, 7]
    expected = [None if number is None else (str(number),) for number in numbers]
    cells: Mapping[str, Callable[[int], Any]]
    cells = {"csv": str, "tsv": lambda number: f"{number}.00", "jsonl": float, "ndjson": int, "parquet": float}
    for ending, cell in cells.items():
        rows = [{"text": "a", "label": None if number is None else cell(number)} for number in numbers]
        assert [each.labels for each in read_corpus(write(folder, ending, rows)).documents] == expected
    assert [each.labels for each in read_in_memory(["a"] * len(numbers), SourceSpec(), numbers).documents] == expected


@settings(max_examples=10)
@given(st.lists(st.lists(st.sampled_from(["a", "b c", "é"]), min_size=2, max_size=4), min_size=1, max_size=6))
def test_paths_are_equal_in_every_notation(folder: Path, paths: list[list[str]]) -> None:
    expected = [("/".join(path),) for path in paths]
    writings: Sequence[tuple[str, str, str | None]]
    writings = [("csv", "/", None), ("jsonl", " / ", None), ("parquet", "/ ", "/"), ("tsv", " > ", ">")]
    for ending, between, separator in writings:
        rows = [{"text": "a", "label": between.join(path)} for path in paths]
        corpus = read_corpus(write(folder, ending, rows), SourceSpec(path_separator=separator))
        assert corpus.kind == "path"
        found = [each.labels or ("",) for each in corpus.documents]
        assert [(label.replace(separator or "/", "/"),) for (label,) in found] == expected
