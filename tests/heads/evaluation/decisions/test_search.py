"""The search over every threshold at once, against trying them one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.search import best_threshold, f1_changes, shrink_to_common
from heads.evaluation.decisions.single_label import _Ascent
from heads.evaluation.metrics import macro_f1

LABELS = 4


def test_each_step_is_the_change_in_the_sum_of_f1() -> None:
    random = np.random.default_rng(0)
    truth, given_ = random.integers(LABELS, size=(2, 40))
    flips = random.permutation(40)
    took_away = f1_changes(
        given_[flips], truth[flips] == given_[flips], ConfusionCounts.from_predictions(truth, given_, LABELS), -1
    )
    left, before = given_.copy(), ConfusionCounts.from_predictions(truth, given_, LABELS).f1.sum()
    for step, document in zip(took_away, flips, strict=True):
        left[document] = LABELS  # a label more, which no document has
        after = ConfusionCounts.from_predictions(truth, left, LABELS + 1).f1.sum()
        assert step == pytest.approx(after - before)
        before = after


def test_the_best_cut_flips_what_raises_the_sum_most() -> None:
    # sums after 0 to 3 flips: 0, 0.5, 0.2, 0.4
    assert 1.0 < best_threshold(np.array([1.0, 2.0, 3.0]), np.array([0.5, -0.3, 0.2]), home=9.0) < 2.0


def test_home_is_kept_where_it_is_as_good() -> None:
    assert best_threshold(np.array([1.0, 5.0]), np.array([0.5, -0.5]), home=3.3) == 3.3
    assert best_threshold(np.array([]), np.array([]), home=3.3) == 3.3


def test_among_equals_the_nearest_to_home_is_taken() -> None:
    # one flip and three flips are as good; from above the third the fourth's side is nearer
    cut = best_threshold(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, -0.1, 0.1, -0.1]), home=8.0)
    assert 2.0 < cut < 3.0


def test_equal_scores_flip_together() -> None:
    # flipping one of the two at 1 would be best, but nothing can part them
    cut = best_threshold(np.array([1.0, 1.0, 4.0]), np.array([0.5, -0.2, 0.1]), home=2.0)
    assert cut > 4.0


def test_the_end_of_the_scale_is_close_behind_the_last_flip() -> None:
    assert best_threshold(np.array([2.0]), np.array([0.5]), home=0.0) == pytest.approx(2.1)
    assert best_threshold(np.array([2.0]), np.array([-0.5]), home=5.0) == pytest.approx(1.9)


def test_the_fewer_documents_the_nearer_to_the_common_value() -> None:
    values = np.array(shrink_to_common(np.array([1.0, 1.0]), np.array([0.0, 0.0]), np.array([10, 100])))
    assert np.allclose(values[:, 0], [10 / (10 + prior) for prior in (1000, 300, 100, 30, 10, 3, 0)])
    assert (values[:-1, 0] < values[:-1, 1]).all()


def test_a_label_without_documents_keeps_the_common_value() -> None:
    assert {values[0] for values in shrink_to_common(np.array([0.7]), np.array([0.7]), np.array([0]))} == {0.7}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000))
def test_no_offset_of_one_label_is_better_than_the_one_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.repeat(np.arange(LABELS), 4), random.integers(LABELS, size=14)])
    scores = random.normal(size=(30, LABELS)) + 1.2 * (truth[:, None] == np.arange(LABELS))
    scores[random.random(scores.shape) < 0.1] = -np.inf
    scores[np.arange(30), truth] = np.where(np.isfinite(scores[np.arange(30), truth]), scores[np.arange(30), truth], 0)
    scores[:3, [0, 1, 3]] = -np.inf  # nothing but label 2 to choose
    scores[:3, 2] = 0.0
    ascent = _Ascent(scores, truth, np.zeros(LABELS))
    ascent._move(2)
    tried = [offset * (np.arange(LABELS) == 2) for offset in np.linspace(-6, 6, 120)]
    metrics = [macro_f1(truth, (scores + offsets).argmax(axis=1), LABELS) for offsets in tried]
    assert macro_f1(truth, (scores + ascent.offsets).argmax(axis=1), LABELS) >= max(metrics) - 1e-12
    assert np.array_equal(ascent.given, (scores + ascent.offsets).argmax(axis=1))
