"""Which tokens are pieces of one word, by the characters around the places where they meet."""

import numpy as np
import pytest

from stages.explain.words import find_word_starts


def words_of(text: str, *pieces: str) -> list[str]:
    """The text of each word of these pieces, which follow one another in the text."""
    spans, place = [], 0
    for piece in pieces:
        place = text.index(piece, place)
        spans.append((place, place := place + len(piece)))
    starts = np.flatnonzero(find_word_starts(text, np.array(spans), np.array([len(pieces)]))).tolist()
    stops = [*starts[1:], len(spans)]
    return [text[spans[start][0] : spans[stop - 1][1]] for start, stop in zip(starts, stops, strict=True)]


@pytest.mark.parametrize(
    ("text", "pieces", "words"),
    [
        ("τιμή πετρελαίου.", [*"τιμή", *"πετρελαίου", "."], ["τιμή", "πετρελαίου", "."]),
        (
            "Don't re-run v2",
            ["Do", "n", "'", "t", "re", "-", "run", "v", "2"],
            ["Don", "'", "t", "re", "-", "run", "v2"],
        ),
        (" le prix", [" l", "e", " pri", "x"], [" le", " prix"]),
        ("हिन्दी में", ["ह", "िन", "्द", "ी", "में"], ["हिन्दी", "में"]),
        ("a\u0301b", ["a", "b"], ["a\u0301b"]),  # the tokenizer removes accents
        ("石油価格 ราคา", [*"石油価格", "รา", "คา"], [*"石油価格", "รา", "คา"]),
        ("한국어 문장", ["한국", "어", "문장"], ["한국어", "문장"]),
    ],
)
def test_pieces_that_meet_between_letters_are_one_word(text: str, pieces: list[str], words: list[str]) -> None:
    assert words_of(text, *pieces) == words


def test_bytes_of_one_character_are_one_word() -> None:
    spans = np.array([[0, 2], [2, 3], [2, 3], [2, 3], [3, 4]])  # "ok", an emoji of three tokens, "!"
    assert find_word_starts("ok\U0001f600!", spans, np.array([5])).tolist() == [True, True, False, False, True]


def test_a_word_that_two_chunks_divide_is_a_word_of_each() -> None:
    spans = np.array([[0, 1], [1, 2], [1, 2], [2, 3]])  # the second chunk begins with the last token of the first
    assert find_word_starts("abc", spans, np.array([2, 0, 2])).tolist() == [True, False, True, False]


def test_tokens_without_characters_are_no_part_of_a_word() -> None:
    spans = np.array([[0, 1], [1, 1], [1, 2]])
    assert find_word_starts("ab", spans, np.array([3])).tolist() == [True, True, True]
    assert find_word_starts("", np.zeros((0, 2), np.int64), np.array([0])).tolist() == []
