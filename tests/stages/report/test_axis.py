"""The scale that all intervals share."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heads.evaluation.metrics import ConfidenceInterval
from stages.report.axis import Axis, common_axis

shares = st.floats(0, 1)


def test_the_scale_ends_at_the_tenths_around_all_intervals() -> None:
    assert common_axis([ConfidenceInterval(0.8, 0.71, 0.88), ConfidenceInterval(0.93, 0.91, 0.95)]) == Axis(0.7, 1.0)


def test_a_bound_on_a_tenth_is_the_end() -> None:
    assert common_axis([ConfidenceInterval(0.75, 0.7, 0.8)]) == Axis(0.7, 0.8)


def test_a_single_point_still_has_a_scale() -> None:
    assert common_axis([ConfidenceInterval(1.0, 1.0, 1.0)]) == Axis(0.9, 1.0)
    assert common_axis([]) == Axis(0.0, 1.0)


def test_a_value_lies_where_its_share_of_the_scale_is() -> None:
    assert [Axis(0.6, 1.0).percent(value) for value in (0.6, 0.7, 1.0)] == [0, 25, 100]


def test_ticks_are_tenths_and_every_second_one_on_a_long_scale() -> None:
    assert Axis(0.7, 1.0).ticks == (0.7, 0.8, 0.9, 1.0)
    assert Axis(0.5, 1.0).ticks == (0.6, 0.8, 1.0)
    assert Axis(0.0, 4.0).ticks == (0.0, 0.8, 1.6, 2.4, 3.2, 4.0)
    assert len(Axis(0.0, 99.9).ticks) <= 6


@settings(deadline=None)
@given(st.lists(st.tuples(shares, shares, shares).map(lambda three: ConfidenceInterval(*three)), min_size=1))
def test_every_interval_and_its_value_lie_on_the_scale(intervals: list[ConfidenceInterval]) -> None:
    scale = common_axis(intervals)
    for one in intervals:
        for bound in (one.low, one.value, one.high):
            assert scale.percent(bound) == pytest.approx(min(100, max(0, scale.percent(bound))), abs=0.01)
