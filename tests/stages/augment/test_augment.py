"""Copies of a corpus: which documents are copied, what is refused, and that the copies read as they were made."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.documents import Document, Kind
from data.errors import BadData, CallError, EmbedOnceError, UnknownName
from data.readers import read_corpus
from data.taxonomy import Taxonomy
from featurestore import CorpusTable, FeatureStore
from stages.augment.augment import augment
from stages.augment.copied_corpus import AugmentedCorpus
from stages.augment.plan import AugmentPlan
from stages.fitting.copies import parse_origins
from tests.small_store import make_store

Made = tuple[FeatureStore, CorpusTable]
SPLITS = ["train", "train", "train", "validation", "test"]


def make(folder: Path, labels: Sequence[Any] = ("a", "b"), kind: Kind = "single", texts: Sequence[str] = ()) -> Made:
    """A store and its source, made.jsonl, with five documents per label."""
    given = [(label,) if isinstance(label, str) else tuple(label) for label in labels for _ in SPLITS]
    words = texts or [f"One of {row}. Two are {'many' if row % 2 else 'few'}. Last {row}." for row in range(len(given))]
    documents = [
        Document(f"d{row}", text, own, SPLITS[row % 5])
        for row, (text, own) in enumerate(zip(words, given, strict=False))
    ]
    lines = [
        {"id": each.id, "text": each.text, "label": list(each.labels or ()) if kind == "multilabel" else own[0]}
        | {"split": each.split}
        for each, own in zip(documents, given, strict=False)
    ]
    (folder / "made.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    taxonomy = Taxonomy.from_separator({own[0] for own in given}, "/") if kind == "path" else None
    store, table = make_store(folder / "store", documents, np.eye(len(documents)), kind, taxonomy)
    return store, replace(table, source=str(folder / "made.jsonl"))


def copied(
    folder: Path, made: tuple[FeatureStore, CorpusTable], method: str = "sentences", **options: Any
) -> AugmentedCorpus:
    return augment(*made, AugmentPlan(method=method, **options), out=folder / "out.jsonl")


def test_labeled_training_documents_are_copied_and_none_of_validation_or_test(tmp_path: Path) -> None:
    store, table = make(tmp_path)
    table = replace(table, labels=[None, *table.labels[1:]])
    copies = copied(tmp_path, (store, table), copies=2)
    assert sorted({copy.origin.id for copy in copies.made}) == ["d1", "d2", "d5", "d6", "d7"]
    assert copies.planned == len(copies.made) == 10
    assert copies.made[0].document.id == "d1~sentences-1"
    assert copies.documents == {"a": 2, "b": 3} and copies.copies == {"a": 4, "b": 6}


def test_the_file_is_read_as_the_copies_were_made(tmp_path: Path) -> None:
    kinds: list[tuple[Kind, list[Any]]] = [
        ("single", ["a/b", "c/d"]),
        ("multilabel", [["x", "y"], ["1"], []]),
        ("path", ["a/b", "a/c"]),
    ]
    for kind, labels in kinds:
        folder = tmp_path / kind
        folder.mkdir()
        copies = copied(folder, make(folder, labels, kind))
        copies.write()
        read = read_corpus(str(copies.file), copies.corpus.spec)
        assert [*read.documents] == [*copies.corpus.documents]
        assert (read.kind, read.name, read.spec.group) == (kind, copies.corpus.name, "copy_of")


def test_a_copy_names_its_origin_with_the_key_of_its_text(tmp_path: Path) -> None:
    store, table = make(tmp_path)
    for copy in copied(tmp_path, (store, table)).made:
        (origin,) = parse_origins(copy.document.group or "")
        assert origin.id == copy.origin.id and table.keys[table.rows_of([origin.id])[0]].startswith(origin.key)


def test_the_same_plan_makes_the_same_copies_and_another_seed_others(tmp_path: Path) -> None:
    made = make(tmp_path)
    texts = [[copy.document.text for copy in copied(tmp_path, made, "deletion", seed=seed).made] for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_a_copy_equals_no_document_and_no_other_copy(tmp_path: Path) -> None:
    texts = ["a b", "c d", "a", "x y", "z"] * 2  # "a b" without a word is a test document, or "b"
    copies = copied(tmp_path, make(tmp_path, texts=texts), "deletion", copies=3)
    made = [copy.document.text for copy in copies.made]
    assert sorted(made) == ["b", "c", "d"] and copies.planned == 18


def test_a_copy_does_not_depend_on_the_others(tmp_path: Path) -> None:
    made = make(tmp_path)
    few = {copy.document.id: copy.document.text for copy in copied(tmp_path, made, "deletion").made}
    many = {copy.document.id: copy.document.text for copy in copied(tmp_path, made, "deletion", copies=3).made}
    assert few.items() <= many.items()


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("deletion", "each has only one word"),
        ("sentences", "none has two sentences"),
        ("keyword-exchange", "no label has two documents with different keywords"),
        ("keyword-shuffle", "none has two different keywords"),
    ],
)
def test_an_augmentation_that_changes_nothing_is_an_error(tmp_path: Path, method: str, reason: str) -> None:
    made = make(tmp_path, texts=["same"] * 10)
    with pytest.raises(BadData, match=f"{method} changes none of 6 training documents of made: {reason}"):
        copied(tmp_path, made, method)
    assert not (tmp_path / "out.jsonl").exists()


def test_texts_that_are_gone_are_reported_with_what_to_do(tmp_path: Path) -> None:
    store, table = make(tmp_path)
    (tmp_path / "made.jsonl").rename(tmp_path / "moved.jsonl")
    with pytest.raises(EmbedOnceError, match=r"texts are not available: .* Name a file that has them with --source"):
        copied(tmp_path, (store, table))
    again = augment(
        store, table, AugmentPlan(method="sentences"), source=str(tmp_path / "moved.jsonl"), out=tmp_path / "o.jsonl"
    )
    assert len(again.made) == 6


def test_texts_from_standard_input_are_gone(tmp_path: Path) -> None:
    store, table = make(tmp_path)
    with pytest.raises(CallError, match=r"made was read from standard input\. Name a file that has its texts"):
        copied(tmp_path, (store, replace(table, source="-")))


def test_a_name_of_another_corpus_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    made = make(tmp_path)
    for name, message in (("made.jsonl", "has a corpus 'made' that is not from"), ("o.csv", "must end in .jsonl")):
        with pytest.raises(CallError, match=message):
            augment(*made, AugmentPlan(method="sentences"), out=tmp_path / name)


def test_copies_are_not_copied_again(tmp_path: Path) -> None:
    store, table = make(tmp_path)
    spec = copied(tmp_path, (store, table)).corpus.spec
    with pytest.raises(CallError, match=r"made holds copies. Copy the documents that they were made of"):
        copied(tmp_path, (store, replace(table, spec=spec)))


def test_options_out_of_range_or_without_a_meaning_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"no method 'delete'.* 'deletion'"):
        AugmentPlan(method="delete")
    for options, message in (
        ({"method": "sentences", "rate": 0.5}, "no meaning for sentences"),
        ({"method": "deletion", "rate": 0.0}, "must be above 0"),
        ({"method": "deletion", "model": "bert"}, "--model is for mlm"),
    ):
        with pytest.raises(CallError, match=message):
            AugmentPlan(**options)
