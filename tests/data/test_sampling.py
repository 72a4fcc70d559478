"""A sample of a corpus: the same documents in any order, shares of splits and labels, groups as a whole."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.documents import Corpus, Document, Documents, Labels, SampleOf
from data.errors import CallError
from data.packed import StreamedTexts
from data.splitting.sampling import sample_name
from data.splitting.train_test_split import assign_splits
from data.tabular import Tabular, TabularColumn
from tests.conftest import ROOT

# the frequencies of labels of a real corpus: a few large ones, many small ones, one that is once in training
COUNTS = {"earn": 120, "acq": 60, "crude": 20, "trade": 12, "grain": 6, "jet": 3, "lead": 1}
SPLITS = ("train", "train", "train", "validation", "test")  # of every fifth document


def make_corpus(documents: Sequence[Document]) -> Corpus:
    kind = "multilabel" if any(len(document.labels or ()) > 1 for document in documents) else "single"
    return Corpus("letters", "letters.csv", documents, kind, None, ())  # type: ignore[arg-type]


def news() -> list[Document]:
    """Documents with the labels of COUNTS, three of five of each label in training."""
    rows = ((label, row) for label, count in COUNTS.items() for row in range(count))
    return [Document(f"{label}-{row}", f"{label} {row}", (label,), SPLITS[row % 5]) for label, row in rows]


def draw(documents: Sequence[Document], size: int, seed: int = 0) -> list[Document]:
    return list(assign_splits(make_corpus(documents), seed, sample=size).documents)


def ids(documents: Sequence[Document]) -> list[str]:
    return [document.id for document in documents]


@given(st.permutations(range(222)), st.integers(1, 222))
@settings(max_examples=10)
def test_the_order_of_rows_does_not_change_the_sample(order: Sequence[int], size: int) -> None:
    documents = news()
    assert set(draw([documents[row] for row in order], size)) == set(draw(documents, size))


def test_documents_with_equal_texts_are_told_apart_in_any_order() -> None:
    documents = [replace(document, text="thanks") for document in news()]
    shuffled = random.Random(0).sample(documents, len(documents))
    assert set(draw(shuffled, 40)) == set(draw(documents, 40))
    assert Counter(document.labels for document in draw(documents, 111))[("earn",)] == pytest.approx(60, abs=2)


SCRIPT = """
from data.documents import Corpus, Document
from data.splitting.train_test_split import assign_splits

rows = [Document(str(row), f"text {row}", ("ab"[row % 2],), ("train", "test")[row % 3 == 0]) for row in range(90)]
print(*(document.id for document in assign_splits(Corpus("x", "x", rows, "single", None, ()), 0, sample=20).documents))
"""


def test_another_process_draws_the_same_documents() -> None:
    command = [sys.executable, "-c", SCRIPT]
    seeds = ("1", "2")  # of Python's hashes of texts
    drawn = {
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={"PYTHONHASHSEED": seed}).stdout
        for seed in seeds
    }
    assert len(drawn) == 1 and len(drawn.pop().split()) == 20


def test_a_sample_is_in_the_order_of_the_source_and_another_seed_draws_another_one() -> None:
    drawn = draw(news(), 20)
    assert drawn == [document for document in news() if document in drawn]
    assert ids(draw(news(), 20, seed=1)) != ids(drawn)


def test_a_larger_sample_contains_the_smaller_ones() -> None:
    samples = [set(draw(news(), size)) for size in range(1, 223, 13)]
    assert all(small < large for small, large in pairwise(samples))


def test_most_of_a_sample_stays_when_the_corpus_grows() -> None:
    documents = [
        Document(f"{row}", f"text {row}", ("ab"[row % 2],), ("train", "test")[row % 3 == 0]) for row in range(600)
    ]
    before, after = draw(documents[:550], 100), draw(documents, 100)
    assert len(set(before) & set(after)) > 85


@pytest.mark.parametrize("size", [10, 50, 101])
def test_splits_have_their_share_within_one_document(size: int) -> None:
    drawn, total = (Counter(str(document.split) for document in some) for some in (draw(news(), size), news()))
    assert sum(drawn.values()) == size
    assert all(abs(drawn[split] - size * count / 222) <= 1 for split, count in total.items())


def test_labels_have_their_share_and_none_is_lost_from_training() -> None:
    drawn = [document for document in draw(news(), 40) if document.split == "train"]
    counts = Counter(label for document in drawn for label in document.labels or ())
    assert counts.keys() == {
        label for document in news() if document.split == "train" for label in document.labels or ()
    }
    assert counts["earn"] > counts["acq"] > counts["crude"] >= counts["lead"] == 1
    assert {document.labels for document in draw(news(), 3)} == {("earn",), ("acq",)}


def test_documents_of_rare_labels_are_drawn_as_often_as_those_of_others() -> None:
    labels = ["a" if row % 2 else f"rare {row}" for row in range(400)]
    documents = [Document(f"{row}", f"text {row}", (label,), "test") for row, label in enumerate(labels)]
    documents += [Document(f"train {row}", f"train {row}", ("a",), "train") for row in range(400)]
    drawn = Counter(document.labels == ("a",) for document in draw(documents, 400) if document.split == "test")
    assert drawn.total() == 200 and drawn[False] == pytest.approx(100, abs=20)


def test_of_several_labels_each_keeps_a_training_document() -> None:
    labels: list[Labels] = [("a",), ("a", "b"), ("b",), ("a", "b", "c"), (), None]
    documents = [Document(f"{row}", f"text {row}", labels[row % 6], "train") for row in range(300)]
    documents[7] = replace(documents[7], labels=("d",))
    documents += [Document(f"x{row}", f"test {row}", labels[row % 4], "test") for row in range(100)]
    drawn = draw(documents, 40)
    assert {label for document in drawn if document.split == "train" for label in document.labels or ()} == set("abcd")
    assert 3 <= sum(document.labels is None for document in drawn) <= 6
    assert 3 <= sum(document.labels == () for document in drawn) <= 6


def test_one_document_is_a_training_document_of_the_most_frequent_label() -> None:
    (drawn,) = draw(news(), 1)
    assert (drawn.split, drawn.labels) == ("train", ("earn",))


def test_a_corpus_with_one_label_or_none_is_sampled() -> None:
    for labels in (("a",), None):
        documents = [Document(f"{row}", f"text {row}", labels, ("train", "test")[row % 2]) for row in range(30)]
        assert Counter(document.split for document in draw(documents, 10)) == {"train": 5, "test": 5}


@pytest.mark.parametrize("size", [222, 1000])
def test_of_as_many_documents_as_there_are_all_are_taken_with_a_note(size: int) -> None:
    corpus = make_corpus(news())
    made, whole = assign_splits(corpus, 0, sample=size), assign_splits(corpus, 0)
    assert made.notes == (f"--sample {size} takes all documents: the source has 222", *whole.notes)
    assert (made.name, made.sample_of, made.whole_name) == ("letters", None, "letters")
    assert sample_name(corpus, size) == sample_name(corpus, None) == "letters"


def test_a_sample_says_what_it_is_and_its_notes_are_of_its_documents() -> None:
    corpus = assign_splits(make_corpus(news()), 0, sample=50)
    assert corpus.notes[0].startswith("a sample of 50 of 222 documents, drawn by split and label")
    assert (corpus.name, corpus.sample_of, corpus.whole_name) == (
        "letters-sample50",
        SampleOf("letters", 222),
        "letters",
    )
    count = sum(document.split == "validation" for document in corpus.documents)
    assert f"{count} validation documents count as training, unless a fit has --validate-on split" in corpus.notes


def test_documents_keep_the_split_that_is_drawn_for_the_whole_corpus() -> None:
    documents = [replace(document, split=None) for document in news()]
    whole = {document.id: document.split for document in assign_splits(make_corpus(documents), 0).documents}
    corpus = assign_splits(make_corpus(documents), 0, sample=60)
    assert all(document.split == whole[document.id] for document in corpus.documents)
    test = sum(document.split == "test" for document in corpus.documents)
    assert (
        f"{test} of 60 documents are the test split, drawn by label with seed 0 (the source has no split)"
        in corpus.notes
    )


def grouped() -> list[Document]:
    """Groups of three or four documents, some of them in both splits, and documents without a group."""
    names = [None if row % 11 == 0 else f"thread {row // 4}" for row in range(200)]
    return [
        Document(f"{row}", f"text {row}", ("ab"[row % 2],), ("train", "test")[row // 4 % 4 == 0 or row % 9 == 0], name)
        for row, name in enumerate(names)
    ]


@pytest.mark.parametrize("size", [7, 50, 120])
def test_groups_stay_whole(size: int) -> None:
    total = Counter(document.group for document in grouped())
    drawn = Counter(document.group for document in draw(grouped(), size))
    assert all(drawn[group] in (0, total[group]) for group in total if group)
    assert size - 3 <= sum(drawn.values()) <= size
    shuffled = random.Random(0).sample(grouped(), 200)
    assert set(draw(shuffled, size)) == set(draw(grouped(), size))


def test_a_sample_smaller_than_every_group_is_refused() -> None:
    documents = [replace(document, group=f"thread {row // 5}") for row, document in enumerate(news()[:220])]
    documents = [replace(document, split=("train", "test")[row // 5 % 2]) for row, document in enumerate(documents)]
    with pytest.raises(
        CallError, match=r"--sample 4 is too small: groups stay whole, and the smallest has 5 documents"
    ):
        draw(documents, 4)
    assert len(draw(documents, 5)) == 5


def test_near_duplicates_need_not_stay_together() -> None:
    documents = [replace(document, text="Thanks" if row % 2 else "thanks") for row, document in enumerate(news())]
    assert len(draw(documents, 10)) == 10


def test_texts_hashes_and_tabular_values_are_those_of_the_documents() -> None:
    documents = Documents.from_documents(news())
    streamed = replace(documents, texts=StreamedTexts("letters.csv", len(documents), lambda: iter(documents.texts)))
    prices = Tabular((TabularColumn("price", "number", np.arange(222.0)),))
    corpus = assign_splits(replace(make_corpus(streamed), tabular=prices), 0, sample=30)
    made = Documents.from_documents(corpus.documents)
    text_of, row_of = (
        dict(zip(documents.ids, documents.texts, strict=True)),
        {name: row for row, name in enumerate(documents.ids)},
    )
    assert isinstance(made.texts, StreamedTexts)
    assert list(made.texts) == made.texts_at(range(30)) == [text_of[name] for name in made.ids]
    assert (
        made.hashes is not None and made.hashes.keys.tolist() == replace(made, hashes=None).hash_texts().keys.tolist()
    )
    assert corpus.tabular is not None and corpus.tabular.columns[0].values.tolist() == [
        row_of[name] for name in made.ids
    ]
