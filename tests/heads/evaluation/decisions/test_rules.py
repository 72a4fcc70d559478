"""Decision rules: their predictions, and their round trip through JSON."""

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


def test_argmax_predicts_the_highest_score() -> None:
    assert Argmax().decide(SCORES).tolist() == [1, 0, 2]


def test_a_strength_of_one_subtracts_the_log_prior() -> None:
    # e^1.5 / 0.1 > e^2 / 0.5: 44.8 and 14.8; e^0 / 0.5 < e^1 / 0.1, as is e^-1 / 0.4
    rule = LogitAdjustment(1.0, tuple(np.log([0.5, 0.1, 0.4])))
    assert rule.decide(SCORES).tolist() == [1, 1, 1]


def test_offsets_are_added() -> None:
    assert PerLabelOffsets((1.5, 0.0, 0.0)).decide(SCORES).tolist() == [0, 0, 0]


def test_the_median_is_the_first_label_with_half_of_the_cumulative_probability() -> None:
    # row 1: the most probable label is the lowest, and more than half of the probability is above it
    assert WeightedMedian().decide(np.log([[0.4, 0.25, 0.35], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])).tolist() == [1, 0, 2]


ordinal_scores = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(-9, 9, width=32)
)


@given(ordinal_scores)
def test_no_label_has_a_lower_expected_error_than_the_median(scores: NDArray[np.float32]) -> None:
    positions = np.arange(scores.shape[1])
    expected = scores_to_probabilities(scores, multilabel=False) @ np.abs(positions[:, None] - positions)
    error = np.take_along_axis(expected, WeightedMedian().decide(scores)[:, None], axis=1)[:, 0]
    assert error == pytest.approx(expected.min(axis=1), abs=1e-5)


@given(ordinal_scores, st.floats(-50, 50))
def test_the_median_depends_on_score_differences_only_and_predicts_no_unseen_label(
    scores: NDArray[np.float32], shift: float
) -> None:
    exact = np.round(scores.astype(np.float64), 6)  # a difference of 1e-16 is lost in a sum with 50
    unseen = np.where(np.arange(scores.shape[1]) == 0, -np.inf, exact)
    assert np.array_equal(WeightedMedian().decide(exact), WeightedMedian().decide(exact + round(shift)))
    assert scores.shape[1] == 1 or WeightedMedian().decide(unseen).min() > 0
    assert WeightedMedian().decide(np.full((1, 3), -np.inf)).tolist() == [0]


def test_the_fixed_threshold_predicts_each_label_with_a_logit_above_zero() -> None:
    assert FixedThreshold().decide(SCORES).tolist() == [
        [False, True, False],
        [True, True, False],
        [False, False, False],
    ]


def test_a_single_threshold_applies_to_every_label() -> None:
    assert SingleThreshold(-0.75).decide(SCORES)[2].tolist() == [False, False, True]


def test_each_label_has_its_threshold() -> None:
    assert PerLabelThresholds((-2.0, 1.2, -5.0)).decide(SCORES)[1].tolist() == [True, True, False]


def test_codes_are_int64_and_indicators_are_bool() -> None:
    assert all(rule.decide(SCORES).dtype == np.int64 for rule in (Argmax(), PerLabelOffsets((0.0, 0.0, 0.0))))
    assert all(rule.decide(SCORES).dtype == np.bool_ for rule in (FixedThreshold(), SingleThreshold(0.0)))


def test_an_unseen_label_is_never_predicted() -> None:
    assert PerLabelOffsets((0.0, 0.0, 1e300)).decide(SCORES)[1] == 0
    assert not PerLabelThresholds((0.0, 0.0, -1e300)).decide(SCORES)[1, 2]


def test_a_threshold_between_two_adjacent_scores_separates_them() -> None:
    low = np.nextafter(np.float32(1.0), np.float32(2.0))  # the midpoint rounded to float32 would be `high`
    high = np.nextafter(low, np.float32(2.0))
    between = (float(low) + float(high)) / 2
    scores = np.array([[low], [high]])
    assert SingleThreshold(between).decide(scores)[:, 0].tolist() == [False, True]
    assert PerLabelThresholds((between,)).decide(scores)[:, 0].tolist() == [False, True]


@pytest.mark.parametrize("rule", [LogitAdjustment(1.0, (0.0,)), PerLabelOffsets((0.0,)), PerLabelThresholds((0.0,))])
def test_a_rule_for_other_labels_is_refused(rule: DecisionRule) -> None:
    with pytest.raises(ValueError, match="the rule is for 1 labels, but the scores have 3 columns"):
        rule.decide(SCORES)


@given(rules)
def test_a_rule_comes_back_from_json_exactly(rule: DecisionRule) -> None:
    assert rule_from_json(json.loads(json.dumps(rule.to_json(), allow_nan=False))) == rule


@pytest.mark.parametrize(
    "content", [{}, {"family": "oracle"}, {"family": "single threshold"}, {"family": "threshold 0.5", "x": 1}]
)
def test_content_that_is_not_a_rule_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="the content is not a decision rule"):
        rule_from_json(content)


@given(st.permutations(range(3)))
def test_a_reordered_rule_predicts_the_same_labels(order: list[int]) -> None:
    columns = np.array(order)
    for rule in (PerLabelOffsets((0.3, -1.0, 1.25)), LogitAdjustment(0.5, (-1.0, -2.2, -3.1)), Argmax()):
        assert columns[rule.reordered(columns).decide(SCORES[:, columns])].tolist() == rule.decide(SCORES).tolist()
    thresholds = PerLabelThresholds((-2.0, 1.2, -5.0))
    assert np.array_equal(
        thresholds.reordered(columns).decide(SCORES[:, columns]), thresholds.decide(SCORES)[:, columns]
    )
