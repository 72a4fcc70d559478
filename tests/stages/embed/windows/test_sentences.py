from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.embed.windows.sentences import sentence_ends


def pieces(text: str) -> list[str]:
    ends = [0, *sentence_ends(text), len(text)]
    return [text[start:stop] for start, stop in pairwise(ends) if start < stop]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rose. It fell!  Why?", ["It rose.", " It fell!", "  Why?"]),
        ("It rose 3.5 points at reuters.com.", ["It rose 3.5 points at reuters.com."]),
        ('He said "no." (Twice.) Then...', ['He said "no."', " (Twice.)", " Then..."]),
        ("Цена выросла. Почему? «Так.» Вот…", ["Цена выросла.", " Почему?", " «Так.»", " Вот…"]),
        (
            "価格が上がった。なぜ？「知らない。」彼は言った",
            ["価格が上がった。", "なぜ？", "「知らない。」", "彼は言った"],
        ),
        ("가격이 올랐다. 왜?", ["가격이 올랐다.", " 왜?"]),
        ("لماذا؟ لا أدري.", ["لماذا؟", " لا أدري."]),
        ("A title\n\nA line\r\nthe next", ["A title\n\n", "A line\r\n", "the next"]),
        ("", []),
        ("...", ["..."]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@given(st.text(alphabet='a .!?\n。」")\u2026', max_size=40))
def test_ends_rise_and_lie_inside_the_text(text: str) -> None:
    ends = sentence_ends(text)
    assert ends == sorted(set(ends))
    assert all(0 < end <= len(text) for end in ends)
