"""The search over all thresholds at once, compared with trying them one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.rules import LogitAdjustment
from heads.evaluation.decisions.search import best_threshold, f1_changes, f1_changes_of_label, shrink_to_common
from heads.evaluation.decisions.single_label import STRENGTHS, Sample, _CoordinateAscent, logit_adjustment
from heads.evaluation.metrics import macro_f1

LABELS = 4


def test_each_change_is_the_change_of_the_sum_of_f1() -> None:
    random = np.random.default_rng(0)
    truth, predicted = random.integers(LABELS, size=(2, 40))
    flips = random.permutation(40)
    changes = f1_changes(
        predicted[flips],
        truth[flips] == predicted[flips],
        ConfusionCounts.from_predictions(truth, predicted, LABELS),
        -1,
    )
    left, before = predicted.copy(), ConfusionCounts.from_predictions(truth, predicted, LABELS).f1.sum()
    for change, document in zip(changes, flips, strict=True):
        left[document] = LABELS  # an extra label that no document has
        after = ConfusionCounts.from_predictions(truth, left, LABELS + 1).f1.sum()
        assert change == pytest.approx(after - before)
        before = after


def test_flips_to_one_label_change_f1_as_flips_to_any_label_do() -> None:
    random = np.random.default_rng(1)
    truth, predicted = random.integers(LABELS, size=(2, 40))
    before, flips = ConfusionCounts.from_predictions(truth, predicted, LABELS), np.flatnonzero(predicted != 2)
    expected = f1_changes(np.full(len(flips), 2), truth[flips] == 2, before, 1)
    np.testing.assert_allclose(f1_changes_of_label(2, truth[flips] == 2, before), expected, atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_the_strength_of_the_adjustment_is_the_best_of_all_strengths(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(9), random.integers(9, size=30)])  # many labels have equally many documents
    scores = random.normal(size=(39, 9)) + (truth[:, None] == np.arange(9))
    scores[random.random(scores.shape) < 0.1] = -np.inf
    (rule,) = logit_adjustment(Sample.of_all(scores, truth))
    assert isinstance(rule, LogitAdjustment)
    metrics = [macro_f1(truth, replace(rule, strength=strength).decide(scores), 9) for strength in STRENGTHS]
    assert rule.strength == STRENGTHS[int(np.argmax(metrics))]


def test_the_best_threshold_flips_the_predictions_that_raise_the_sum_most() -> None:
    # sums after 0 to 3 flips: 0, 0.5, 0.2, 0.4
    assert 1.0 < best_threshold(np.array([1.0, 2.0, 3.0]), np.array([0.5, -0.3, 0.2]), default=9.0) < 2.0


def test_the_default_is_kept_if_it_is_as_good() -> None:
    assert best_threshold(np.array([1.0, 5.0]), np.array([0.5, -0.5]), default=3.3) == 3.3
    assert best_threshold(np.array([]), np.array([]), default=3.3) == 3.3


def test_among_ties_the_nearest_to_the_default_is_chosen() -> None:
    # one flip and three flips are equally good; the interval after the third flip is nearer to 8
    threshold = best_threshold(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, -0.1, 0.1, -0.1]), default=8.0)
    assert 2.0 < threshold < 3.0


def test_equal_scores_flip_together() -> None:
    # flipping one of the two at 1 would be best, but no threshold separates them
    threshold = best_threshold(np.array([1.0, 1.0, 4.0]), np.array([0.5, -0.2, 0.1]), default=2.0)
    assert threshold > 4.0


def test_beyond_the_last_flip_the_threshold_is_close_to_it() -> None:
    assert best_threshold(np.array([2.0]), np.array([0.5]), default=0.0) == pytest.approx(2.1)
    assert best_threshold(np.array([2.0]), np.array([-0.5]), default=5.0) == pytest.approx(1.9)


def test_a_label_with_fewer_documents_is_shrunk_more() -> None:
    values = np.array(shrink_to_common(np.array([1.0, 1.0]), np.array([0.0, 0.0]), np.array([10, 100])))
    assert np.allclose(values[:, 0], [10 / (10 + prior) for prior in (1000, 300, 100, 30, 10, 3, 0)])
    assert (values[:-1, 0] < values[:-1, 1]).all()


def test_a_label_without_documents_keeps_the_common_value() -> None:
    assert {values[0] for values in shrink_to_common(np.array([0.7]), np.array([0.7]), np.array([0]))} == {0.7}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000))
def test_no_offset_of_one_label_beats_the_result_of_the_search(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.repeat(np.arange(LABELS), 4), random.integers(LABELS, size=14)])
    scores = random.normal(size=(30, LABELS)) + 1.2 * (truth[:, None] == np.arange(LABELS))
    scores[random.random(scores.shape) < 0.1] = -np.inf
    scores[np.arange(30), truth] = np.where(np.isfinite(scores[np.arange(30), truth]), scores[np.arange(30), truth], 0)
    scores[:3, [0, 1, 3]] = -np.inf  # label 2 is the only choice
    scores[:3, 2] = 0.0
    ascent = _CoordinateAscent(scores, truth, np.zeros(LABELS))
    ascent._tune_offset(2)
    candidates = [offset * (np.arange(LABELS) == 2) for offset in np.linspace(-6, 6, 120)]
    metrics = [macro_f1(truth, (scores + offsets).argmax(axis=1), LABELS) for offsets in candidates]
    assert macro_f1(truth, (scores + ascent.offsets).argmax(axis=1), LABELS) >= max(metrics) - 1e-12
    assert np.array_equal(ascent.predicted, (scores + ascent.offsets).argmax(axis=1))
