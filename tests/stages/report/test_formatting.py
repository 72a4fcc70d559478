"""Numbers and labels as they are written on the page."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.report import formatting as wording


@pytest.mark.parametrize(
    ("value", "written"), [(0.4, "0.4 s"), (12.4, "12 s"), (119, "119 s"), (200, "3 min 20 s"), (3599.7, "60 min 00 s")]
)
def test_seconds_are_written_in_the_unit_that_suits_them(value: float, written: str) -> None:
    assert wording.seconds(value) == written


@pytest.mark.parametrize(("value", "written"), [(0, "0 %"), (0.0004, "under 0.1 %"), (0.012, "1.2 %"), (0.5, "50 %")])
def test_shares_are_percentages(value: float, written: str) -> None:
    assert wording.share(value) == written


@pytest.mark.parametrize(("value", "written"), [(999, "999"), (2568, "2,568"), (1_234_567, "1.23 M")])
def test_numbers_have_their_thousands_apart(value: int, written: str) -> None:
    assert wording.count(value) == written


@pytest.mark.parametrize(("value", "written"), [(2568, "2568"), (12_900, "12k"), (3_400_000, "3M")])
def test_numbers_in_small_cells_are_brief(value: int, written: str) -> None:
    assert wording.brief(value) == written


@pytest.mark.parametrize(("value", "written"), [(0.0344, "0.034"), (1.26, "1.3"), (85.2, "85")])
def test_milliseconds_have_two_digits_that_count(value: float, written: str) -> None:
    assert wording.milliseconds(value) == written


def test_one_thing_and_two_things() -> None:
    assert [wording.counted(number, "run") for number in (1, 2, 1200)] == ["1 run", "2 runs", "1,200 runs"]


def test_a_long_label_keeps_both_ends() -> None:
    assert wording.shortened("comp.sys.ibm.pc.hardware", 11) == "comp.…dware"


def test_a_wide_sign_takes_two_columns() -> None:
    assert wording.columns("日本a") == 5
    assert wording.shortened("日本語ラベル", 7) == "日…ル"


def test_a_joined_emoji_is_not_cut() -> None:
    flag = "🏳\ufe0f\u200d🌈"
    assert wording.shortened(flag + "a" * 20, 9).startswith(flag)


@settings(deadline=None)
@given(st.text(max_size=60), st.integers(3, 40))
def test_a_shortened_label_fits(label: str, most: int) -> None:
    short = wording.shortened(label, most)
    assert wording.columns(short) <= most
    assert short == label or "…" in short


def test_a_path_may_break_after_the_signs_that_join_it() -> None:
    assert wording.breakable("rec.sport/<b>") == "rec.<wbr>sport/&lt;b&gt;"


@settings(deadline=None)
@given(st.text(alphabet="ab.<>&/", max_size=20))
def test_a_breakable_label_is_the_same_text(label: str) -> None:
    assert wording.breakable(label).replace("<wbr>", "").unescape() == label


@settings(deadline=None)
@given(st.text(st.characters(), max_size=30))
def test_a_printable_text_can_be_written_and_stays_so(text: str) -> None:
    once = wording.printable(text)
    assert wording.printable(once) == once
    assert len(once.encode("utf-8").decode("utf-8")) == len(text)
