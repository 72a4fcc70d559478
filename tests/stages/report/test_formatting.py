"""Numbers and labels as the pages show them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.report.formatting import (
    display_width,
    format_compact_count,
    format_count,
    format_milliseconds,
    format_percent,
    insert_breaks,
    replace_unprintable,
    shorten,
)


@pytest.mark.parametrize(("value", "text"), [(0, "0 %"), (0.0004, "under 0.1 %"), (0.012, "1.2 %"), (0.5, "50 %")])
def test_shares_are_percentages(value: float, text: str) -> None:
    assert format_percent(value) == text


@pytest.mark.parametrize(("value", "text"), [(999, "999"), (2568, "2,568"), (1_234_567, "1.23 M")])
def test_numbers_have_thousands_separators(value: int, text: str) -> None:
    assert format_count(value) == text


@pytest.mark.parametrize(("value", "text"), [(2568, "2568"), (12_900, "12k"), (3_400_000, "3M")])
def test_numbers_in_small_cells_are_compact(value: int, text: str) -> None:
    assert format_compact_count(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0344, "0.034"), (1.26, "1.3"), (85.2, "85")])
def test_milliseconds_have_two_significant_digits(value: float, text: str) -> None:
    assert format_milliseconds(value) == text


def test_a_long_label_keeps_both_ends() -> None:
    assert shorten("comp.sys.ibm.pc.hardware", 11) == "comp.…dware"


def test_a_wide_character_takes_two_columns() -> None:
    assert display_width("日本a") == 5
    assert shorten("日本語ラベル", 7) == "日…ル"


def test_a_joined_emoji_is_not_split() -> None:
    flag = "🏳\ufe0f\u200d🌈"
    assert shorten(flag + "a" * 20, 9).startswith(flag)


@settings(deadline=None)
@given(st.text(max_size=60), st.integers(3, 40))
def test_a_shortened_label_fits(label: str, width: int) -> None:
    short = shorten(label, width)
    assert display_width(short) <= width
    assert short == label or "…" in short


def test_a_path_may_break_after_its_separators() -> None:
    assert insert_breaks("rec.sport/<b>") == "rec.<wbr>sport/&lt;b&gt;"


@settings(deadline=None)
@given(st.text(alphabet="ab.<>&/", max_size=20))
def test_a_label_with_breaks_is_the_same_text(label: str) -> None:
    assert insert_breaks(label).replace("<wbr>", "").unescape() == label


@settings(deadline=None)
@given(st.text(st.characters(), max_size=30))
def test_a_text_without_unprintable_characters_can_be_encoded_and_is_not_changed_again(text: str) -> None:
    once = replace_unprintable(text)
    assert replace_unprintable(once) == once
    assert len(once.encode("utf-8").decode("utf-8")) == len(text)
