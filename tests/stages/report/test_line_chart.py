"""Axes, and lines drawn on them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heads.evaluation.metrics import ConfidenceInterval
from stages.report.line_chart import Axis, CountAxis, Line, LineChart, LogAxis, common_axis, step_path

shares = st.floats(0, 1)


def test_the_common_axis_ends_at_the_tenths_around_all_intervals() -> None:
    assert common_axis([ConfidenceInterval(0.8, 0.71, 0.88), ConfidenceInterval(0.93, 0.91, 0.95)]) == Axis(0.7, 1.0)


def test_a_bound_on_a_tenth_is_the_end_of_the_axis() -> None:
    assert common_axis([ConfidenceInterval(0.75, 0.7, 0.8)]) == Axis(0.7, 0.8)


def test_a_single_value_has_an_axis_that_is_not_empty() -> None:
    assert common_axis([ConfidenceInterval(1.0, 1.0, 1.0)]) == Axis(0.9, 1.0)
    assert common_axis([]) == Axis(0.0, 1.0)


def test_the_position_of_a_value_is_its_share_of_the_axis() -> None:
    assert [Axis(0.6, 1.0).percent(value) for value in (0.6, 0.7, 1.0)] == [0, 25, 100]


def test_ticks_are_tenths_and_every_second_one_on_a_long_axis() -> None:
    assert Axis(0.7, 1.0).ticks == (0.7, 0.8, 0.9, 1.0)
    assert Axis(0.5, 1.0).ticks == (0.6, 0.8, 1.0)
    assert Axis(0.0, 4.0).ticks == (0.0, 0.8, 1.6, 2.4, 3.2, 4.0)
    assert len(Axis(0.0, 99.9).ticks) <= 6


@settings(deadline=None)
@given(st.lists(st.tuples(shares, shares, shares).map(lambda three: ConfidenceInterval(*three)), min_size=1))
def test_every_interval_and_its_value_are_on_the_axis(intervals: list[ConfidenceInterval]) -> None:
    axis = common_axis(intervals)
    for interval in intervals:
        for bound in (interval.low, interval.value, interval.high):
            assert axis.percent(bound) == pytest.approx(min(100, max(0, axis.percent(bound))), abs=0.01)


@given(st.floats(2, 1e6), st.floats(1, 1e4))
def test_ticks_of_a_logarithmic_axis_are_few_and_within_it(low: float, factor: float) -> None:
    ticks = LogAxis(low, low * factor).ticks
    assert 2 <= len(ticks) <= 9 and list(ticks) == sorted(ticks)
    assert low - 0.5 <= ticks[0] and ticks[-1] <= low * factor + 0.5


def test_ticks_of_a_logarithmic_axis_begin_with_one_two_or_five() -> None:
    assert LogAxis(50, 5226).ticks == (50, 100, 200, 500, 1000, 2000, 5000)
    assert LogAxis(50, 200_000).ticks == (100, 1000, 10_000, 100_000)
    assert LogAxis(60, 90).ticks == (60, 90)


def test_ticks_of_counts_are_whole_numbers_from_the_first_on() -> None:
    assert CountAxis(0.5, 5.5).ticks == (1, 2, 3, 4, 5)
    assert CountAxis(0.5, 40.5).ticks == tuple(range(1, 41, 5))


def test_equal_factors_are_equal_distances_and_higher_values_are_further_up() -> None:
    chart = LineChart("", LogAxis(10, 1000), Axis(0.0, 1.0), "", "", (), width=100, height=50)
    assert [chart.x(value) for value in (10, 100, 1000)] == [0, 50, 100]
    assert [chart.y(value) for value in (0, 0.5, 1)] == [50, 25, 0]


def test_a_band_is_closed_and_lies_around_its_line() -> None:
    line = Line("", [0, 1], [0.5, 0.6], lower=[0.4, 0.5], upper=[0.6, 0.7])
    chart = LineChart("", Axis(0.0, 1.0), Axis(0.0, 1.0), "", "", (line,), width=100, height=100)
    assert chart.path(line) == "M0 50L100 40"
    assert chart.band(line) == "M0 40L100 30L100 50L0 60Z"


def test_steps_keep_a_value_until_the_next_position_and_end_at_the_last() -> None:
    assert step_path([0, 10, 30], [5, 7, 9]) == "M0 5H10V7H30"
    assert step_path([0, 10, 10, 30], [5, 6, 7, 9]) == "M0 5H10V7H30"
    assert step_path([3], [4]) == "M3 4"


def test_a_single_line_has_no_legend() -> None:
    first, second = Line("a", [0], [0]), Line("b", [1], [1])
    unit = Axis(0.0, 1.0)
    assert LineChart("", unit, unit, "", "", (first,)).legend == ()
    assert LineChart("", unit, unit, "", "", (first, second, Line("", [0], [1]))).legend == (first, second)
