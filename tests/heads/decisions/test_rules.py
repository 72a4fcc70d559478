"""Rules: what they decide, and that they come back from JSON as they were."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heads.decisions import rule_from_json
from heads.decisions.rules import Argmax, Half, LabelOffsets, LabelThresholds, LogitAdjustment, OneThreshold, Rule

SCORES = np.array([[0.0, 1.0, -1.0], [2.0, 1.5, -np.inf], [-1.0, -1.0, -0.5]], dtype=np.float32)

number = st.floats(allow_nan=False, allow_infinity=False)
per_label = st.lists(number, min_size=1, max_size=5).map(tuple)
rules = st.one_of(
    st.builds(Argmax),
    st.builds(LogitAdjustment, number, per_label),
    st.builds(LabelOffsets, per_label),
    st.builds(Half),
    st.builds(OneThreshold, number),
    st.builds(LabelThresholds, per_label),
)


def test_argmax_gives_the_highest_score() -> None:
    assert Argmax().decide(SCORES).tolist() == [1, 0, 2]


def test_a_strength_of_one_takes_the_log_prior_off() -> None:
    # e^1.5 / 0.1 > e^2 / 0.5: 44.8 against 14.8; e^0 / 0.5 against e^1 / 0.1 and e^-1 / 0.4
    rule = LogitAdjustment(1.0, tuple(np.log([0.5, 0.1, 0.4])))
    assert rule.decide(SCORES).tolist() == [1, 1, 1]


def test_offsets_are_added() -> None:
    assert LabelOffsets((1.5, 0.0, 0.0)).decide(SCORES).tolist() == [0, 0, 0]


def test_half_gives_each_label_with_a_logit_above_zero() -> None:
    assert Half().decide(SCORES).tolist() == [[False, True, False], [True, True, False], [False, False, False]]


def test_one_threshold_holds_for_every_label() -> None:
    assert OneThreshold(-0.75).decide(SCORES)[2].tolist() == [False, False, True]


def test_each_label_has_its_threshold() -> None:
    assert LabelThresholds((-2.0, 1.2, -5.0)).decide(SCORES)[1].tolist() == [True, True, False]


def test_codes_are_int64_and_marks_are_bool() -> None:
    assert all(rule.decide(SCORES).dtype == np.int64 for rule in (Argmax(), LabelOffsets((0.0, 0.0, 0.0))))
    assert all(rule.decide(SCORES).dtype == np.bool_ for rule in (Half(), OneThreshold(0.0)))


def test_a_label_that_was_never_seen_is_never_given() -> None:
    assert LabelOffsets((0.0, 0.0, 1e300)).decide(SCORES)[1] == 0
    assert not LabelThresholds((0.0, 0.0, -1e300)).decide(SCORES)[1, 2]


def test_a_threshold_between_two_neighbouring_scores_parts_them() -> None:
    low = np.nextafter(np.float32(1.0), np.float32(2.0))  # rounded to float32, halfway would be `high`
    high = np.nextafter(low, np.float32(2.0))
    between = (float(low) + float(high)) / 2
    scores = np.array([[low], [high]])
    assert OneThreshold(between).decide(scores)[:, 0].tolist() == [False, True]
    assert LabelThresholds((between,)).decide(scores)[:, 0].tolist() == [False, True]


@pytest.mark.parametrize("rule", [LogitAdjustment(1.0, (0.0,)), LabelOffsets((0.0,)), LabelThresholds((0.0,))])
def test_a_rule_for_other_labels_is_refused(rule: Rule) -> None:
    with pytest.raises(ValueError, match="the rule is for 1 labels, there are scores of 3"):
        rule.decide(SCORES)


@given(rules)
def test_a_rule_comes_back_from_json_exactly(rule: Rule) -> None:
    assert rule_from_json(json.loads(json.dumps(rule.to_json(), allow_nan=False))) == rule


@pytest.mark.parametrize("content", [{}, {"family": "oracle"}, {"family": "one threshold"}, {"family": "0.5", "x": 1}])
def test_what_is_no_rule_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="this is no decision rule"):
        rule_from_json(content)


@given(st.permutations(range(3)))
def test_a_reordered_rule_gives_the_same_labels(order: list[int]) -> None:
    columns = np.array(order)
    for rule in (LabelOffsets((0.3, -1.0, 1.25)), LogitAdjustment(0.5, (-1.0, -2.2, -3.1)), Argmax()):
        assert columns[rule.reordered(columns).decide(SCORES[:, columns])].tolist() == rule.decide(SCORES).tolist()
    thresholds = LabelThresholds((-2.0, 1.2, -5.0))
    assert np.array_equal(
        thresholds.reordered(columns).decide(SCORES[:, columns]), thresholds.decide(SCORES)[:, columns]
    )
