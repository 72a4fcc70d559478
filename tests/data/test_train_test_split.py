"""The split of a corpus, and what is said of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from data.corpus_summary import CorpusSummary
from data.documents import Corpus, Document
from data.errors import BadData
from data.source_spec import SourceSpec
from data.splits import Split
from data.splitting.train_test_split import assign_splits


def corpus(documents: Sequence[Document]) -> Corpus:
    kind = "multilabel" if any(len(document.labels or ()) > 1 for document in documents) else "single"
    return Corpus("letters", "letters.csv", documents, kind, None, ())  # type: ignore[arg-type]


def labelled(*labels: str, split: str | None = None) -> list[Document]:
    return [Document(f"{split}-{row}", f"{split} text {row}", (label,), split) for row, label in enumerate(labels)]


def sides(made: Corpus) -> list[str | None]:
    return [document.split for document in made.documents]


@pytest.mark.parametrize(
    ("word", "side"),
    [
        ("train", "train"),
        ("TRAINING", "train"),
        ("Test", "test"),
        (" testing ", "test"),
        ("dev", "validation"),
        ("Valid", "validation"),
    ],
)
def test_usual_words_for_a_split_are_understood(word: str, side: str) -> None:
    documents = [Document("a", "a", split=word), Document("b", "b", split="train"), Document("c", "c", split="test")]
    assert sides(assign_splits(corpus(documents), 0)) == [side, "train", "test"]


def test_validation_documents_are_counted_in_a_note() -> None:
    documents = [Document("a", "a", split="dev"), Document("b", "b", split="test")]
    assert assign_splits(corpus(documents), 0).notes == (
        "1 validation document counts as training, unless a fit has --validate-on split",
    )


def test_without_test_documents_some_are_drawn_from_the_others_and_the_validation_split_stays() -> None:
    documents = [*labelled(*["a"] * 20, split="train"), *labelled(*["a"] * 4, split="dev")]
    documents.append(Document("copy", documents[-1].text, ("a",), "train"))
    made = assign_splits(corpus(documents), 0)
    assert [sides(made).count(side) for side in ("train", "validation", "test")] == [17, 4, 4]
    assert sides(made)[-5:] == ["validation"] * 4 + ["train"]


def test_another_word_is_refused_by_row() -> None:
    documents = [*labelled("x", split="train"), Document("b7", "b", split="holdout")]
    with pytest.raises(BadData, match=r"letters\.csv: document 'b7' \(row 2\) has 'holdout' as its split\."):
        assign_splits(corpus(documents), 0)


def test_a_document_without_a_split_among_others_is_refused() -> None:
    documents = [Document("a", "a", split="train"), Document("b", "b")]
    with pytest.raises(BadData, match=r"document 'b' \(row 2\) has no split"):
        assign_splits(corpus(documents), 0)


def test_a_split_is_drawn_by_label_where_there_is_none() -> None:
    made = assign_splits(corpus(labelled(*["a"] * 50, *["b"] * 10)), 3)
    test = [document.labels for document in made.documents if document.split == Split.TEST]
    assert (test.count(("a",)), test.count(("b",))) == (10, 2)
    assert made.notes == (
        "12 of 60 documents are the test split, drawn by label with seed 3 (the source has no split)",
    )


def test_training_documents_alone_give_up_some_for_the_test() -> None:
    made = assign_splits(corpus(labelled(*["a"] * 10, split="train")), 0)
    assert sides(made).count("test") == 2
    assert made.notes[0].endswith("(the source has no test documents)")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_a_group_or_without_one_equal_texts_stay_on_one_side(rows: list[tuple[str, int, int]]) -> None:
    documents = [
        Document(str(row), f"text {text}", (label,), group=f"author {group}" if group else None)
        for row, (label, text, group) in enumerate(rows)
    ]
    try:
        made = assign_splits(corpus(documents), 0)
    except BadData:
        reject()  # the test split is empty
    ties = [(document.group or document.text, document.split) for document in made.documents]
    assert len(set(ties)) == len({tie for tie, _ in ties})


def test_groups_of_texts_are_not_counted_as_groups_of_the_source() -> None:
    texts = ["", "  ", "Hello", "hello", *(f"text {row}" for row in range(16))]
    groups = [*[None] * 4, *(f"author {row % 3}" for row in range(16))]
    pairs = enumerate(zip(texts, groups, strict=True))
    documents = [Document(str(row), text, ("a",), group=group) for row, (text, group) in pairs]
    made = replace(corpus(documents), spec=SourceSpec(group="author"))
    assert CorpusSummary.of(assign_splits(made, 0)).groups == 3


def test_a_text_that_many_authors_write_does_not_tie_them_together() -> None:
    documents = [Document(str(row), "thanks", ("a",), group=f"author {row}") for row in range(100)]
    made = assign_splits(corpus(documents), 0)
    assert sides(made).count("test") == 20
    assert any("1 text occurs in both train and test" in note for note in made.notes)


def test_blank_texts_are_not_taken_for_equal() -> None:
    made = assign_splits(corpus([Document(str(row), "  ", ("a",)) for row in range(10)]), 0)
    assert sides(made).count("test") == 2
    assert not any("both train and test" in note for note in made.notes)


def test_blank_texts_with_characters_without_width_are_spread_over_splits_and_folds() -> None:
    blanks = ["", " ", "\u200b", "\ufeff\n", "\u00a0\u2060"]
    made = assign_splits(corpus([Document(str(row), blanks[row % 5], ("a",)) for row in range(50)]), 0)
    assert sides(made).count("test") == 10
    assert len({document.group for document in made.documents}) == 50
    assert len(made.notes) == 1


def test_texts_that_differ_in_case_and_white_space_stay_together_in_the_split_and_in_folds() -> None:
    texts = ["Dear Sir,\nhello", "dear  sir, hello", "DEAR SIR, HELLO ", *(f"text {row}" for row in range(30))]
    for seed in range(8):
        made = assign_splits(corpus([Document(f"d{row}", text, ("a",)) for row, text in enumerate(texts)]), seed)
        assert len(set(sides(made)[:3])) == 1
        assert [document.group for document in made.documents] == [*["text like that of d0"] * 3, *[None] * 30]


def test_near_duplicates_across_given_splits_are_counted_like_exact_ones() -> None:
    texts = [
        ("train", "Same"),
        ("train", "exact"),
        ("dev", "other "),
        ("test", "exact"),
        ("test", "same"),
        ("test", "OTHER"),
    ]
    made = assign_splits(corpus([Document(str(row), text, split=side) for row, (side, text) in enumerate(texts)]), 0)
    assert made.notes[-1] == "3 texts occur in both train and test, 2 of them with other case or white space"


def test_duplicate_texts_across_train_and_validation_are_counted_too() -> None:
    texts = [("train", "same"), ("dev", "same"), ("test", "two")]
    made = assign_splits(corpus([Document(str(row), text, split=side) for row, (side, text) in enumerate(texts)]), 0)
    assert made.notes[-1] == "1 text occurs in both train and validation"


def test_an_empty_test_split_is_refused() -> None:
    documents = [Document(str(row), str(row), ("a",), group="Ada") for row in range(10)]
    expected = (
        r'letters\.csv: the test split is empty, .* stay together\. Add documents; .* ignore it with --group ""\.$'
    )
    with pytest.raises(BadData, match=expected):
        assign_splits(corpus(documents), 0)
    unlabeled = [Document(str(row), str(row), group="Ada") for row in range(10)]
    assert sides(assign_splits(corpus(unlabeled), 0)).count("test") == 0


def test_a_corpus_of_validation_documents_alone_is_refused_for_that() -> None:
    made = replace(corpus(labelled(*"aabb", split="dev")), spec=SourceSpec(split="part"))
    with pytest.raises(BadData, match=r'all documents are in the validation split\. Correct .* \(--split ""\), so'):
        assign_splits(made, 0)


def test_a_drawn_split_that_lacks_half_of_the_labels_is_refused() -> None:
    documents = [
        Document(f"{label}{row}", f"{label}{row}", (label,), group="one" if label in "ab" else f"{label}{row}")
        for label in "abc"
        for row in range(10)
    ]
    expected = (
        r"lacks 2 of the 3 labels that have at least 5 documents \(a, b\): documents of one group .* stay together"
    )
    with pytest.raises(BadData, match=expected):
        assign_splits(corpus(documents), 0)


def test_a_given_split_that_lacks_half_of_the_labels_is_refused() -> None:
    documents = [*labelled(*"aaaaabbbbb", split="train"), *labelled(*"aa", split="test")]
    with pytest.raises(BadData, match=r"lacks 1 of the 2 labels .* \(b\)\. Correct the split\.$"):
        assign_splits(corpus(documents), 0)
    in_column = replace(corpus(documents), spec=SourceSpec(split="part"))
    with pytest.raises(BadData, match=r"Correct the split, or leave it out \(--split \"\"\)"):
        assign_splits(in_column, 0)


def test_rare_labels_may_be_missing_in_the_test_split() -> None:
    documents = [*labelled(*"aaaaabbbbccccddddeeee", split="train"), *labelled("a", split="test")]
    assert "4 of 5 labels have no test document" in assign_splits(corpus(documents), 0).notes[0]


def test_test_labels_that_do_not_occur_in_training_are_reported_and_not_refused() -> None:
    documents = [*labelled(*"0000011111", split="train"), *labelled("-1", "-1", split="test")]
    assert assign_splits(corpus(documents), 0).notes == (
        "test documents cannot be predicted correctly, because their labels (-1) do not occur in training: fit with "
        "--no-test",
    )


def test_duplicate_texts_across_train_and_test_are_counted_in_a_note() -> None:
    texts = [("train", "same"), ("train", "same"), ("test", "same"), ("train", "one"), ("test", "two")]
    made = assign_splits(corpus([Document(str(row), text, split=side) for row, (side, text) in enumerate(texts)]), 0)
    assert made.notes == ("1 text occurs in both train and test",)


def test_labels_that_one_split_lacks_are_counted_in_a_note() -> None:
    documents = [*labelled(*["both"] * 5, *["old"] * 4, split="train"), *labelled("both", "new", split="test")]
    assert assign_splits(corpus(documents), 0).notes == (
        "label 'new' is only in the test split: it cannot be predicted and counts as missed",
        "label 'old' has no test document: test metrics include it only if predicted by mistake",
        "Labels with fewer than 5 training documents: old (4)",
    )


def test_several_labels_without_a_test_document_are_counted_in_one_note() -> None:
    documents = [*labelled(*"aaaaabbbbbcccccddddd", split="train"), *labelled(*"abc", split="test")]
    more = labelled(*"eeeee", split="dev")
    assert assign_splits(corpus([*documents, *more]), 0).notes[1:] == (
        "2 of 5 labels have no test document (d, e): test metrics include them only if predicted by mistake",
    )


def test_labels_only_in_the_test_split_are_listed() -> None:
    documents = [*labelled(*["a"] * 5, split="train"), *labelled("a", "x", "y", split="test")]
    assert assign_splits(corpus(documents), 0).notes == (
        "2 labels (x, y) are only in the test split: they cannot be predicted and count as missed",
    )


def test_rare_labels_are_named_with_their_counts_and_the_list_ends() -> None:
    names = [f"label-{row:02}" for row in range(12)]
    documents = [
        *labelled(*names, *["big"] * 5, "twice", "twice", split="train"),
        *labelled(*names, "big", "twice", split="test"),
    ]
    listed = ", ".join(f"{name} (1)" for name in names[:10])
    assert (
        assign_splits(corpus(documents), 0).notes[-1]
        == f"Labels with fewer than 5 training documents: {listed} and 3 more"
    )


def test_a_split_once_made_stays() -> None:
    once = assign_splits(corpus(labelled(*"aaaaabbbbb")), 0)
    again = assign_splits(once, 1)
    assert (sides(again), again.notes) == (sides(once), once.notes)


def test_multilabel_documents_are_split_too() -> None:
    documents = [Document(str(row), str(row), ("a", "b")[: row % 3]) for row in range(30)]
    assert sides(assign_splits(corpus(documents), 0)).count("test") == 6
