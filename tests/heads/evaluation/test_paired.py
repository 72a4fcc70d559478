"""Paired differences: signs, coverage, and what pairing is for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from heads.evaluation.metrics import ABSOLUTE_ERROR, MACRO_F1, macro_f1, scorecard
from heads.evaluation.paired import paired_differences
from heads.evaluation.sampled_metric import SampledMetric

Codes = NDArray[np.int64]


def simulate(accuracy: float, truth: Codes, labels: int, rng: np.random.Generator) -> Codes:
    """Predictions that are right with a probability, else a label at random."""
    return np.where(rng.random(len(truth)) < accuracy, truth, rng.integers(labels, size=len(truth)))


def test_the_value_is_the_difference_of_both_metrics_and_positive_if_better() -> None:
    truth = np.array([0, 0, 1, 1, 2, 2])
    worse, better = np.array([0, 1, 1, 0, 2, 2]), np.array([0, 0, 1, 1, 2, 0])
    (difference,) = paired_differences(SampledMetric.of(truth, [[worse], [better]], 3, MACRO_F1))
    assert difference.value == pytest.approx(macro_f1(truth, better, 3) - macro_f1(truth, worse, 3))
    assert difference.value > 0
    (error,) = paired_differences(SampledMetric.of(truth, [[worse], [better]], 3, ABSOLUTE_ERROR))
    assert error.value == pytest.approx(2 / 6 - 2 / 6)


@given(st.integers(0, 50), st.booleans())
def test_equal_predictions_do_not_differ(seed: int, is_multilabel: bool) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random((30, 4)) < 0.3 if is_multilabel else rng.integers(4, size=30)
    (difference,) = paired_differences(SampledMetric.of(truth, [[truth], [truth.copy()]], 4, MACRO_F1), resamples=20)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_the_interval_is_narrower_than_those_of_both_metrics() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(5, size=600)
    first = simulate(0.8, truth, 5, rng)
    second = np.where(rng.random(600) < 0.02, truth, first)  # differs in few documents
    (difference,) = paired_differences(SampledMetric.of(truth, [[first], [second]], 5, MACRO_F1))
    alone = scorecard(truth, first, [str(label) for label in range(5)]).macro_f1
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)


def test_a_difference_is_inside_its_interval_also_if_resamples_lack_rare_labels() -> None:
    truth = np.repeat(np.arange(301), [400, *[1] * 300])
    first, second = truth.copy(), np.zeros_like(truth)
    first[:300] = np.arange(1, 301)  # each rare label once too often: without its document, its F1 is 0
    (difference,) = paired_differences(SampledMetric.of(truth, [[first], [second]], 301, MACRO_F1))
    assert difference.low <= difference.value <= difference.high


def test_the_interval_covers_the_truth_nineteen_times_in_twenty() -> None:
    rng, covered = np.random.default_rng(7), 0
    for _ in range(200):
        truth = rng.integers(3, size=400)
        first, second = simulate(0.7, truth, 3, rng), simulate(0.8, truth, 3, rng)
        (difference,) = paired_differences(SampledMetric.of(truth, [[first], [second]], 3, MACRO_F1), resamples=200)
        covered += difference.low <= 0.1 * 2 / 3 <= difference.high  # of right answers, a third by chance
    assert 180 <= covered <= 199
