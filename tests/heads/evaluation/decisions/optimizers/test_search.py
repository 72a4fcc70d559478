"""The best of all thresholds, and how values of rare labels are shrunk."""

import numpy as np
import pytest

from heads.evaluation.decisions.optimizers.search import best_threshold, shrink_to_common


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
