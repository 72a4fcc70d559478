"""Random deletion and shuffled sentences, and how many copies each document gets."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import CallError
from stages.augment.amounts import count_copies, count_labels
from stages.augment.words import delete_words, shuffle_sentences


@given(st.lists(st.sampled_from("abcde"), min_size=2), st.floats(0.01, 1), st.integers(0, 9))
def test_deletion_keeps_some_words_in_their_order_but_not_all(words: list[str], rate: float, seed: int) -> None:
    kept = (delete_words(" ".join(words), rate, Random(seed)) or "").split()
    assert 0 < len(kept) < len(words)
    rest = iter(words)
    assert all(word in rest for word in kept)  # a subsequence


def test_the_rate_is_the_share_of_the_words_that_are_deleted() -> None:
    text = " ".join(map(str, range(10_000)))
    assert len((delete_words(text, 0.1, Random(0)) or "").split()) == pytest.approx(9000, abs=100)


def test_one_word_cannot_be_deleted_and_characters_without_spaces_are_words() -> None:
    assert delete_words(" alone. ", 0.5, Random(0)) is None and delete_words("", 0.5, Random(0)) is None
    assert len(delete_words("日本語の文", 0.2, Random(0)) or "") in (3, 4)


def test_shuffled_sentences_are_the_same_sentences_between_the_same_spaces() -> None:
    text = "  One. Two! \n\nThree? four"
    shuffled = shuffle_sentences(text, Random(0)) or ""
    assert shuffled != text and sorted(shuffled.split()) == sorted(text.split())
    assert [each for each in shuffled if each.isspace()] == [each for each in text if each.isspace()]


@pytest.mark.parametrize("text", ["", "One sentence.", "no end at all", "Same. Same. Same."])
def test_a_single_sentence_cannot_be_shuffled(text: str) -> None:
    assert shuffle_sentences(text, Random(0)) is None


def test_each_document_gets_the_same_number_of_copies() -> None:
    labels = [("a",), ("b",), ("a",)]
    assert count_copies(labels, None, None) == [1, 1, 1]
    assert count_copies(labels, 3, None) == [3, 3, 3]


def test_rare_labels_are_filled_up_by_copies_of_their_documents_in_turn() -> None:
    labels = [("a",)] * 8 + [("b",)] * 3 + [("c/d",)]
    counts = count_copies(labels, None, 5)
    assert counts == [0] * 8 + [1, 1, 0] + [4]
    assert count_copies(labels, 1, 5) == [1] * 8 + [1, 1, 1] + [4]


@given(st.lists(st.sets(st.sampled_from("abcdef"), max_size=3).map(tuple), min_size=1), st.integers(2, 12))
def test_multilabel_documents_are_copied_until_every_label_is_full(labels: list[tuple[str, ...]], to: int) -> None:
    before = count_labels(labels)
    if all(count >= to for count in before.values()):
        with pytest.raises(CallError, match=f"to is {to}, and every label has at least as many"):
            count_copies(labels, None, to)
        return
    counts = count_copies(labels, None, to)
    after = Counter(before)
    for row, count in enumerate(counts):
        after.update(dict.fromkeys(labels[row], count))
        assert not count or any(before[label] < to for label in labels[row])
    assert all(count >= to for count in after.values())
