"""Every strategy for long documents: what its windows contain, and which tokens are dropped; the ends of sentences."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import CallError
from stages.embed.windows.window_arrays import expand_ranges, offsets_from_counts
from stages.embed.windows.windowing import WindowBounds, Windowing, sentence_ends

STRATEGIES = ("windows", "head-tail", "middle", "random", "sentences")
LENGTHS = st.lists(st.integers(0, 200), max_size=8)
# how to cut, tokens per document, the windows, and the ends of sentences of each document
Case = tuple[Windowing, list[int], WindowBounds, list[list[int]]]


@st.composite
def windowings(draw: st.DrawFn, strategies: tuple[str, ...] = STRATEGIES) -> Windowing:
    strategy, window = draw(st.sampled_from(strategies)), draw(st.integers(2, 40))
    stride = draw(st.integers(0, window - 1)) if strategy == "windows" else 0
    max_windows = draw(st.none() | st.integers(1, 5)) if strategy in ("windows", "sentences") else None
    return Windowing(window, stride, max_windows, strategy)


@st.composite
def cases(draw: st.DrawFn, strategies: tuple[str, ...] = STRATEGIES) -> Case:
    windowing, lengths = draw(windowings(strategies)), draw(LENGTHS)
    ends = [sorted(draw(st.sets(st.integers(0, length), max_size=20))) for length in lengths]
    fractions = np.array([draw(st.floats(0, 1, exclude_max=True)) for _ in lengths])
    tokens = np.array(lengths, dtype=np.int64)
    marks = [np.array(document, dtype=np.int64) for document in ends]
    return windowing, lengths, windowing.bounds(tokens, fractions, marks), ends


def windows_of(bounds: WindowBounds) -> list[list[range]]:
    windows = [range(f, f + n) for f, n in zip(bounds.first.tolist(), bounds.length.tolist(), strict=True)]
    offsets = offsets_from_counts(bounds.counts).tolist()
    return [windows[start:stop] for start, stop in pairwise(offsets)]


@settings(deadline=None)
@given(cases())
def test_a_window_is_inside_its_document_and_not_longer_than_the_maximum(case: Case) -> None:
    windowing, lengths, bounds, _ = case
    for length, windows in zip(lengths, windows_of(bounds), strict=True):
        assert windows
        assert all(window.start >= 0 and window.stop <= length for window in windows)
        assert all(len(window) <= windowing.window for window in windows)
        assert all(len(window) for window in windows) or (length, len(windows)) == (0, 1)
        assert windowing.max_windows is None or len(windows) <= windowing.max_windows
        assert windows == sorted(windows, key=lambda window: window.start)
        if length <= windowing.window and windowing.strategy != "sentences":
            assert windows == [range(length)]


@settings(deadline=None)
@given(cases())
def test_covered_tokens_are_those_of_the_windows(case: Case) -> None:
    _, _, bounds, _ = case
    by_hand = [len({token for window in windows for token in window}) for windows in windows_of(bounds)]
    assert bounds.covered_tokens.tolist() == by_hand


@settings(deadline=None)
@given(cases(("windows",)))
def test_windows_share_exactly_the_stride_and_each_adds_a_token(case: Case) -> None:
    windowing, lengths, bounds, _ = case
    for length, windows in zip(lengths, windows_of(bounds), strict=True):
        assert all(len(window) == windowing.window for window in windows[:-1])
        assert all(later.start - window.start == windowing.step for window, later in pairwise(windows))
        if windowing.max_windows is None:
            assert windows[-1].stop == length
        assert len(windows) == 1 or windows[-2].stop < length


@settings(deadline=None)
@given(cases(("head-tail",)))
def test_head_and_tail_are_half_a_window_each_at_the_ends(case: Case) -> None:
    windowing, lengths, bounds, _ = case
    for length, windows in zip(lengths, windows_of(bounds), strict=True):
        if length > windowing.window:
            half = windowing.window // 2
            assert windows == [range(windowing.window - half), range(length - half, length)]


@settings(deadline=None)
@given(cases(("middle",)))
def test_the_middle_window_has_as_many_tokens_before_it_as_behind_it(case: Case) -> None:
    _, lengths, bounds, _ = case
    for length, (window,) in zip(lengths, windows_of(bounds), strict=True):
        assert length - window.stop - window.start in (0, 1)


@settings(deadline=None)
@given(cases(("sentences",)))
def test_windows_contain_whole_sentences_unless_one_is_longer_than_a_window(case: Case) -> None:
    windowing, lengths, bounds, ends = case
    for length, windows, marks in zip(lengths, windows_of(bounds), ends, strict=True):
        for window in windows:
            within = [mark for mark in marks if window.start < mark <= window.start + windowing.window]
            if window.stop < length:
                assert window.stop == (max(within) if within else window.start + windowing.window)
        assert all(window.stop == later.start for window, later in pairwise(windows))
        if windowing.max_windows is None:
            assert windows[-1].stop == length


def test_a_random_window_can_be_at_every_position_of_its_document() -> None:
    tokens, fractions = np.full(4, 12), np.array([0, 0.34, 0.67, 1 - 2**-53])
    assert Windowing(10, strategy="random").bounds(tokens, fractions).first.tolist() == [0, 1, 2, 2]


def test_sentences_fill_windows_as_worked_out_by_hand() -> None:
    ends = [np.array([4, 6, 9, 25])]
    bounds = Windowing(8, strategy="sentences").bounds(np.array([28]), ends=ends)
    # 4 and 6 fit 8 tokens, 9 does not; from 6 on 9 fits; the sentence from 9 to 25 is cut after 8 and 16
    assert [(window.start, window.stop) for window in windows_of(bounds)[0]] == [
        (0, 6),
        (6, 9),
        (9, 17),
        (17, 25),
        (25, 28),
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=9))
def test_expanded_ranges_are_those_of_python(pairs: list[tuple[int, int]]) -> None:
    starts, counts = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    assert expand_ranges(starts, counts).tolist() == [n for start, count in pairs for n in range(start, start + count)]
    assert offsets_from_counts(counts).tolist() == [sum(counts[:row].tolist()) for row in range(len(pairs) + 1)]


@pytest.mark.parametrize(("window", "stride"), [(10, 10), (10, 11), (10, -1)])
def test_a_stride_of_a_window_or_more_or_below_zero_raises_an_error(window: int, stride: int) -> None:
    with pytest.raises(CallError, match=f"stride is {stride} and window is {window}"):
        Windowing(window, stride)


def test_head_and_tail_need_a_window_of_two_tokens() -> None:
    with pytest.raises(CallError, match="window is 1, but head-tail needs half a window at each end: use --window 2"):
        Windowing(1, strategy="head-tail")


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


def test_a_million_dots_that_end_no_sentence_take_no_longer_than_to_read() -> None:
    assert sentence_ends("." * 1_000_000 + "x") == []


@given(st.text(alphabet='a .!?\n。」")\u2026', max_size=40))
def test_ends_rise_and_lie_inside_the_text(text: str) -> None:
    ends = sentence_ends(text)
    assert ends == sorted(set(ends))
    assert all(0 < end <= len(text) for end in ends)
