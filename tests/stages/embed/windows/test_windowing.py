"""Every way with long documents: what its windows hold, and what is counted as dropped."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import CallError
from stages.embed.windows.window_arrays import expand_ranges, offsets_from_counts
from stages.embed.windows.windowing import WindowBounds, Windowing

WAYS = ("windows", "head-tail", "middle", "random", "sentences")
LENGTHS = st.lists(st.integers(0, 200), max_size=8)


@st.composite
def cuttings(draw: st.DrawFn, ways: tuple[str, ...] = WAYS) -> Windowing:
    way, window = draw(st.sampled_from(ways)), draw(st.integers(2, 40))
    stride = draw(st.integers(0, window - 1)) if way == "windows" else 0
    most = draw(st.none() | st.integers(1, 5)) if way in ("windows", "sentences") else None
    return Windowing(window, stride, most, way)


@st.composite
def placed(draw: st.DrawFn, ways: tuple[str, ...] = WAYS) -> tuple[Windowing, list[int], WindowBounds, list[list[int]]]:
    windowing, lengths = draw(cuttings(ways)), draw(LENGTHS)
    ends = [sorted(draw(st.sets(st.integers(0, length), max_size=20))) for length in lengths]
    fractions = np.array([draw(st.floats(0, 1, exclude_max=True)) for _ in lengths])
    tokens = np.array(lengths, dtype=np.int64)
    marks = [np.array(each, dtype=np.int64) for each in ends]
    return windowing, lengths, windowing.bounds(tokens, fractions, marks), ends


def windows_of(places: WindowBounds) -> list[list[range]]:
    each = [range(f, f + n) for f, n in zip(places.first.tolist(), places.length.tolist(), strict=True)]
    offsets = offsets_from_counts(places.counts).tolist()
    return [each[start:stop] for start, stop in pairwise(offsets)]


@settings(deadline=None)
@given(placed())
def test_a_window_is_inside_its_document_and_never_longer_than_asked(
    made: tuple[Windowing, list[int], WindowBounds, list[list[int]]],
) -> None:
    windowing, lengths, places, _ = made
    for length, windows in zip(lengths, windows_of(places), strict=True):
        assert windows
        assert all(window.start >= 0 and window.stop <= length for window in windows)
        assert all(len(window) <= windowing.window for window in windows)
        assert all(len(window) for window in windows) or (length, len(windows)) == (0, 1)
        assert windowing.most is None or len(windows) <= windowing.most
        assert windows == sorted(windows, key=lambda window: window.start)
        if length <= windowing.window and windowing.long != "sentences":
            assert windows == [range(length)]


@settings(deadline=None)
@given(placed())
def test_covered_tokens_are_those_of_the_windows(
    made: tuple[Windowing, list[int], WindowBounds, list[list[int]]],
) -> None:
    _, _, places, _ = made
    by_hand = [len({token for window in windows for token in window}) for windows in windows_of(places)]
    assert places.covered.tolist() == by_hand


@settings(deadline=None)
@given(placed(("windows",)))
def test_windows_share_exactly_the_stride_and_none_adds_nothing(
    made: tuple[Windowing, list[int], WindowBounds, list[list[int]]],
) -> None:
    windowing, lengths, places, _ = made
    for length, windows in zip(lengths, windows_of(places), strict=True):
        assert all(len(window) == windowing.window for window in windows[:-1])
        assert all(later.start - window.start == windowing.step for window, later in pairwise(windows))
        if windowing.most is None:
            assert windows[-1].stop == length
        assert len(windows) == 1 or windows[-2].stop < length


@settings(deadline=None)
@given(placed(("head-tail",)))
def test_head_and_tail_are_half_a_window_each_at_the_ends(
    made: tuple[Windowing, list[int], WindowBounds, list[list[int]]],
) -> None:
    windowing, lengths, places, _ = made
    for length, windows in zip(lengths, windows_of(places), strict=True):
        if length > windowing.window:
            half = windowing.window // 2
            assert windows == [range(windowing.window - half), range(length - half, length)]


@settings(deadline=None)
@given(placed(("middle",)))
def test_as_much_lies_before_the_middle_as_behind_it(
    made: tuple[Windowing, list[int], WindowBounds, list[list[int]]],
) -> None:
    _, lengths, places, _ = made
    for length, (window,) in zip(lengths, windows_of(places), strict=True):
        assert length - window.stop - window.start in (0, 1)


@settings(deadline=None)
@given(placed(("sentences",)))
def test_windows_hold_whole_sentences_unless_one_is_longer_than_a_window(
    made: tuple[Windowing, list[int], WindowBounds, list[list[int]]],
) -> None:
    windowing, lengths, places, ends = made
    for length, windows, marks in zip(lengths, windows_of(places), ends, strict=True):
        for window in windows:
            within = [mark for mark in marks if window.start < mark <= window.start + windowing.window]
            if window.stop < length:
                assert window.stop == (max(within) if within else window.start + windowing.window)
        assert all(window.stop == later.start for window, later in pairwise(windows))
        if windowing.most is None:
            assert windows[-1].stop == length


def test_a_random_window_may_stand_anywhere_and_nowhere_else() -> None:
    tokens, fractions = np.full(4, 12), np.array([0, 0.34, 0.67, 1 - 2**-53])
    assert Windowing(10, long="random").bounds(tokens, fractions).first.tolist() == [0, 1, 2, 2]


def test_sentences_are_packed_by_hand() -> None:
    ends = [np.array([4, 6, 9, 25])]
    places = Windowing(8, long="sentences").bounds(np.array([28]), ends=ends)
    # 4 and 6 fit 8 tokens, 9 does not; from 6 on 9 fits; the sentence from 9 to 25 is cut after 8 and 16
    assert [(window.start, window.stop) for window in windows_of(places)[0]] == [
        (0, 6),
        (6, 9),
        (9, 17),
        (17, 25),
        (25, 28),
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=9))
def test_ranges_are_pythons_ranges_one_after_another(pairs: list[tuple[int, int]]) -> None:
    starts, counts = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    assert expand_ranges(starts, counts).tolist() == [n for start, count in pairs for n in range(start, start + count)]
    assert offsets_from_counts(counts).tolist() == [sum(counts[:row].tolist()) for row in range(len(pairs) + 1)]


@pytest.mark.parametrize(("window", "stride"), [(10, 10), (10, 11), (10, -1)])
def test_a_stride_that_never_moves_on_is_refused(window: int, stride: int) -> None:
    with pytest.raises(CallError, match=f"stride is {stride} and window is {window}"):
        Windowing(window, stride)


def test_a_window_of_one_token_has_no_halves() -> None:
    with pytest.raises(
        CallError, match=r"window is 1: head-tail takes half a window at each end, so it needs 2 tokens"
    ):
        Windowing(1, long="head-tail")
