"""An encoder never learns from test documents, their duplicates or their groups, nor from held-out documents."""

from collections.abc import Sequence

import numpy as np
import pytest

from data.documents import Corpus, Document, Kind
from data.errors import BadData, CallError
from data.splitting.train_test_split import assign_splits
from data.target import Target
from stages.adapt.documents import TrainingDocuments, hash_labels


def corpus(documents: Sequence[Document], kind: Kind = "single") -> Corpus:
    read = Corpus("made", "made.csv", documents, kind, None, ())
    return assign_splits(read, seed=0)


def rows(count: int, label: str = "a", split: str = "train", start: int = 0) -> list[Document]:
    return [Document(f"{label}{row}", f"text {label} {row}", (label,), split) for row in range(start, start + count)]


def learned_ids(documents: Sequence[Document], **options: bool) -> set[str]:
    training = TrainingDocuments(corpus(documents), **{"with_labels": False} | options)
    return {training.documents.ids[row] for row in training.hold_out(0.0, 0).learned}


USUAL = [*rows(6), *rows(6, "b"), *rows(2, "a", "test", 6), *rows(2, "b", "test", 6)]
TESTED = [*rows(2, "a", "test", 900), *rows(2, "b", "test", 900)]


def test_test_documents_are_not_learned_from() -> None:
    assert learned_ids(USUAL) == {f"{label}{row}" for label in "ab" for row in range(6)}


def test_a_training_document_with_the_text_of_a_test_document_is_not_learned_from() -> None:
    extra = [Document("same", "text a 6", ("a",), "train"), Document("variant", " TEXT  a 6\n", ("a",), "train")]
    assert not {"same", "variant"} & learned_ids([*USUAL, *extra])


def test_a_training_document_in_a_group_of_a_test_document_is_not_learned_from() -> None:
    extra = [
        Document("sibling", "quite another text", ("a",), "train", group="thread"),
        Document("tested", "a tested text", ("a",), "test", group="thread"),
        Document("other", "one more text", ("a",), "train", group="elsewhere"),
    ]
    learned = learned_ids([*USUAL, *extra])
    assert "sibling" not in learned
    assert "other" in learned


def test_documents_of_a_validation_split_are_training_documents() -> None:
    assert "val" in learned_ids([*USUAL, Document("val", "a validation text", ("a",), "validation")])


def test_blank_documents_are_not_learned_from() -> None:
    assert "blank" not in learned_ids([*USUAL, Document("blank", " \u200b ", ("a",), "train")])


def test_unlabeled_documents_are_learned_from_unless_labels_are_learned() -> None:
    documents = [*USUAL, Document("free", "a text without a label", None, "train")]
    assert "free" in learned_ids(documents)
    assert "free" not in learned_ids(documents, with_labels=True)


def test_texts_of_the_test_split_are_learned_from_on_request() -> None:
    assert learned_ids(USUAL, include_test=True) == {document.id for document in USUAL}


def test_labels_of_the_test_split_are_never_learned_from() -> None:
    with pytest.raises(CallError, match="--include-test-text is for methods without labels"):
        learned_ids(USUAL, include_test=True, with_labels=True)


def test_held_out_documents_are_stratified_and_not_learned_from() -> None:
    training = TrainingDocuments(corpus([*rows(40), *rows(20, "b"), *TESTED]), with_labels=True)
    selection = training.hold_out(0.3, seed=0)
    assert not set(selection.learned) & set(selection.held_out)
    held_out = [training.documents.labels[row] for row in selection.held_out]
    assert (held_out.count(("a",)), held_out.count(("b",))) == (12, 6)


def test_groups_are_held_out_as_a_whole() -> None:
    grouped = [
        Document(f"g{row}", f"grouped {row}", ("ab"[row % 2],), "train", group=f"group {row // 4}") for row in range(40)
    ]
    training = TrainingDocuments(corpus([*grouped, *TESTED]), with_labels=True)
    selection = training.hold_out(0.3, seed=0)
    groups = training.documents.groups
    assert not {groups[row] for row in selection.learned} & {groups[row] for row in selection.held_out}


def test_a_text_in_two_groups_is_not_learned_from_if_one_of_them_is_held_out() -> None:
    documents = [
        Document(f"d{row}", f"text {row // 2}", ("ab"[row // 2 % 2],), "train", group=f"{row % 2} {row // 8}")
        for row in range(80)
    ]
    training = TrainingDocuments(corpus([*documents, *TESTED]), with_labels=True)
    texts = training.documents.texts
    for selection in (training.hold_out(0.3, seed=0), *training.folds(3, seed=0)):
        assert not {texts[row] for row in selection.learned} & {texts[row] for row in selection.held_out}


def test_each_document_is_held_out_of_one_fold() -> None:
    training = TrainingDocuments(corpus([*rows(30), *rows(9, "b"), *TESTED]), with_labels=True)
    folds = training.folds(3, seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.held_out for fold in folds])), training.rows)
    assert all(len(fold.learned) + len(fold.held_out) == len(training.rows) for fold in folds)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([Document("a", "one", ("x",), "train"), Document("b", " One", ("x",), "test")], "no training document"),
        ([Document(str(row), f"text {row}", None, "train") for row in range(5)], "no document has a label"),
        ([*rows(5), *rows(2, "a", "test", 5)], "all training documents have the same label"),
    ],
)
def test_nothing_to_learn_is_one_sentence(documents: list[Document], message: str) -> None:
    with pytest.raises(BadData, match=message):
        TrainingDocuments(corpus(documents), with_labels=True)


def test_a_share_that_holds_out_nothing_is_one_sentence() -> None:
    one_group = [Document(f"g{row}", f"text {row}", ("ab"[row % 2],), "train", group="all") for row in range(8)]
    training = TrainingDocuments(corpus([*one_group, *TESTED]), with_labels=True)
    with pytest.raises(BadData, match=r"no document is held out with --hold-out 0.3"):
        training.hold_out(0.3, seed=0)


def test_the_hash_of_labels_depends_on_who_has_them_and_not_on_the_order() -> None:
    labels = [("oil", "gas"), ("oil",), ()]
    first = hash_labels("abc", Target.from_labels(labels, "multilabel"))
    assert hash_labels("cba", Target.from_labels(labels[::-1], "multilabel")) == first
    assert hash_labels("acb", Target.from_labels(labels, "multilabel")) != first
    single = [("oil",), ("gas",)]
    hashes = {hash_labels("ab", Target.from_labels(single, kind)) for kind in ("single", "path", "multilabel")}
    assert len(hashes) == 3
