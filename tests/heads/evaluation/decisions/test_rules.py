"""Rules: what they decide, and that they come back from JSON as they were."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from heads.evaluation.decisions import rule_from_json
from heads.evaluation.decisions.rules import (
    Argmax,
    DecisionRule,
    FixedThreshold,
    LogitAdjustment,
    PerLabelOffsets,
    PerLabelThresholds,
    SingleThreshold,
    WeightedMedian,
)
from heads.evaluation.score_matrix import scores_to_probabilities

SCORES = np.array([[0.0, 1.0, -1.0], [2.0, 1.5, -np.inf], [-1.0, -1.0, -0.5]], dtype=np.float32)

number = st.floats(allow_nan=False, allow_infinity=False)
per_label = st.lists(number, min_size=1, max_size=5).map(tuple)
rules = st.one_of(
    st.builds(Argmax),
    st.builds(LogitAdjustment, number, per_label),
    st.builds(PerLabelOffsets, per_label),
    st.builds(WeightedMedian),
    st.builds(FixedThreshold),
    st.builds(SingleThreshold, number),
    st.builds(PerLabelThresholds, per_label),
)


def test_argmax_gives_the_highest_score() -> None:
    assert Argmax().decide(SCORES).tolist() == [1, 0, 2]


def test_a_strength_of_one_takes_the_log_prior_off() -> None:
    # e^1.5 / 0.1 > e^2 / 0.5: 44.8 against 14.8; e^0 / 0.5 against e^1 / 0.1 and e^-1 / 0.4
    rule = LogitAdjustment(1.0, tuple(np.log([0.5, 0.1, 0.4])))
    assert rule.decide(SCORES).tolist() == [1, 1, 1]


def test_offsets_are_added() -> None:
    assert PerLabelOffsets((1.5, 0.0, 0.0)).decide(SCORES).tolist() == [0, 0, 0]


def test_the_median_lies_where_half_of_the_probability_is_reached() -> None:
    # the most probable label is the lowest, and more than half lies above it
    assert WeightedMedian().decide(np.log([[0.4, 0.25, 0.35], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])).tolist() == [1, 0, 2]


ordered_scores = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(-9, 9, width=32)
)


@given(ordered_scores)
def test_no_label_has_a_lower_expected_error_than_the_median(scores: NDArray[np.float32]) -> None:
    places = np.arange(scores.shape[1])
    expected = scores_to_probabilities(scores, multilabel=False) @ np.abs(places[:, None] - places)
    given_ = np.take_along_axis(expected, WeightedMedian().decide(scores)[:, None], axis=1)[:, 0]
    assert given_ == pytest.approx(expected.min(axis=1), abs=1e-5)


@given(ordered_scores, st.floats(-50, 50))
def test_the_median_heeds_differences_of_scores_alone_and_gives_no_label_never_seen(
    scores: NDArray[np.float32], shift: float
) -> None:
    exact = scores.astype(np.float64)
    unseen = np.where(np.arange(scores.shape[1]) == 0, -np.inf, exact)
    assert np.array_equal(WeightedMedian().decide(exact), WeightedMedian().decide(exact + round(shift)))
    assert scores.shape[1] == 1 or WeightedMedian().decide(unseen).min() > 0
    assert WeightedMedian().decide(np.full((1, 3), -np.inf)).tolist() == [0]


def test_half_gives_each_label_with_a_logit_above_zero() -> None:
    assert FixedThreshold().decide(SCORES).tolist() == [
        [False, True, False],
        [True, True, False],
        [False, False, False],
    ]


def test_one_threshold_holds_for_every_label() -> None:
    assert SingleThreshold(-0.75).decide(SCORES)[2].tolist() == [False, False, True]


def test_each_label_has_its_threshold() -> None:
    assert PerLabelThresholds((-2.0, 1.2, -5.0)).decide(SCORES)[1].tolist() == [True, True, False]


def test_codes_are_int64_and_marks_are_bool() -> None:
    assert all(rule.decide(SCORES).dtype == np.int64 for rule in (Argmax(), PerLabelOffsets((0.0, 0.0, 0.0))))
    assert all(rule.decide(SCORES).dtype == np.bool_ for rule in (FixedThreshold(), SingleThreshold(0.0)))


def test_a_label_that_was_never_seen_is_never_given() -> None:
    assert PerLabelOffsets((0.0, 0.0, 1e300)).decide(SCORES)[1] == 0
    assert not PerLabelThresholds((0.0, 0.0, -1e300)).decide(SCORES)[1, 2]


def test_a_threshold_between_two_neighbouring_scores_parts_them() -> None:
    low = np.nextafter(np.float32(1.0), np.float32(2.0))  # rounded to float32, halfway would be `high`
    high = np.nextafter(low, np.float32(2.0))
    between = (float(low) + float(high)) / 2
    scores = np.array([[low], [high]])
    assert SingleThreshold(between).decide(scores)[:, 0].tolist() == [False, True]
    assert PerLabelThresholds((between,)).decide(scores)[:, 0].tolist() == [False, True]


@pytest.mark.parametrize("rule", [LogitAdjustment(1.0, (0.0,)), PerLabelOffsets((0.0,)), PerLabelThresholds((0.0,))])
def test_a_rule_for_other_labels_is_refused(rule: DecisionRule) -> None:
    with pytest.raises(ValueError, match="the rule is for 1 labels, there are scores of 3"):
        rule.decide(SCORES)


@given(rules)
def test_a_rule_comes_back_from_json_exactly(rule: DecisionRule) -> None:
    assert rule_from_json(json.loads(json.dumps(rule.to_json(), allow_nan=False))) == rule


@pytest.mark.parametrize(
    "content", [{}, {"family": "oracle"}, {"family": "single threshold"}, {"family": "threshold 0.5", "x": 1}]
)
def test_what_is_no_rule_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="this is no decision rule"):
        rule_from_json(content)


@given(st.permutations(range(3)))
def test_a_reordered_rule_gives_the_same_labels(order: list[int]) -> None:
    columns = np.array(order)
    for rule in (PerLabelOffsets((0.3, -1.0, 1.25)), LogitAdjustment(0.5, (-1.0, -2.2, -3.1)), Argmax()):
        assert columns[rule.reordered(columns).decide(SCORES[:, columns])].tolist() == rule.decide(SCORES).tolist()
    thresholds = PerLabelThresholds((-2.0, 1.2, -5.0))
    assert np.array_equal(
        thresholds.reordered(columns).decide(SCORES[:, columns]), thresholds.decide(SCORES)[:, columns]
    )
