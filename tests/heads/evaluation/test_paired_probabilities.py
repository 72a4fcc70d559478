"""Paired comparisons by metrics of probabilities."""

import numpy as np
import pytest
from numpy.typing import NDArray

from heads.evaluation.metrics import METRICS, Metric
from heads.evaluation.paired import compare_paired
from heads.evaluation.randomization import sign_p_value
from heads.evaluation.sampled_metric import SampledMetric
from heads.evaluation.selection_optimism import correct_selection

BRIER, AUROC = METRICS["brier"], METRICS["auroc"]


def draw(documents: int, seed: int, signal: float) -> NDArray[np.float64]:
    """Probabilities of two labels; the first half of the documents has the first one."""
    noise = np.random.default_rng(seed).random(documents)
    second = (1 - signal) * noise + signal * (np.arange(documents) >= documents / 2)
    return np.stack([1 - second, second], axis=1)


TRUTH = np.repeat([0, 1], 100)


@pytest.mark.parametrize("metric", [BRIER, AUROC])
def test_better_probabilities_have_a_positive_difference_whatever_the_sign_of_the_metric(metric: Metric) -> None:
    worse, better = draw(200, 0, 0.2), draw(200, 0, 0.5)
    forward, same = compare_paired(
        SampledMetric.of(TRUTH, [[worse], [better], [worse]], 2, metric), margin=0.001, resamples=200
    )
    assert 0 < forward.difference.low < forward.difference.value < forward.difference.high
    assert forward.p_value < 0.02 and forward.equivalence == 0 and forward.not_worse == 1
    assert (same.difference.low, same.difference.high) == pytest.approx(
        (0, 0)
    ) and same.p_value == same.equivalence == 1
    assert forward.mcnemar_p_value is None
    (backward,) = compare_paired(SampledMetric.of(TRUTH, [[better], [worse]], 2, metric), margin=0.001, resamples=200)
    assert backward.difference.value == pytest.approx(-forward.difference.value) and backward.not_worse == 0


def test_the_metric_of_several_seeds_is_their_mean() -> None:
    seeds = [draw(200, seed, 0.3) for seed in range(3)]
    (found,) = compare_paired(SampledMetric.of(TRUTH, [[seeds[0]], seeds[1:]], 2, BRIER), margin=0.1, resamples=50)
    first, *rest = (brier_score(each) for each in seeds)
    assert found.difference.value == pytest.approx(first - np.mean(rest))


def test_a_metric_that_is_not_defined_is_refused() -> None:
    with pytest.raises(ValueError, match="the AUROC of these documents is not defined"):
        compare_paired(SampledMetric.of(TRUTH[:5], [[draw(5, 0, 0.3)], [draw(5, 1, 0.3)]], 2, AUROC), margin=0)


def test_the_p_value_of_a_mean_over_documents_is_that_of_random_signs() -> None:
    from scipy.stats import permutation_test

    first, second = draw(200, 0, 0.3), draw(200, 1, 0.3)
    losses = [np.square(each - np.eye(2)[TRUTH]).sum(axis=1) / 2 for each in (first, second)]
    expected = permutation_test([losses[0] - losses[1]], np.mean, permutation_type="samples", n_resamples=5000, rng=0)
    (found,) = compare_paired(SampledMetric.of(TRUTH, [[first], [second]], 2, BRIER), margin=0, resamples=10)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.03)
    assert sign_p_value((losses[0] - losses[1]) / 200) == pytest.approx(found.p_value, abs=1e-9)


def test_the_best_of_equal_probabilities_is_corrected_to_their_value() -> None:
    found = []
    for number in range(30):
        candidates = [[draw(200, 6 * number + seed, 0.3)] for seed in range(6)]
        result = correct_selection(SampledMetric.of(TRUTH, candidates, 2, BRIER), resamples=100)
        assert result.raw == pytest.approx(min(brier_score(each) for (each,) in candidates))
        found.append((result.raw, result.corrected))
    raw, corrected = np.mean(found, axis=0)
    expected = 0.7**2 / 3  # the mean of (0.7 * noise) ** 2
    assert raw < expected - 0.01 and corrected == pytest.approx(expected, abs=0.004)


def brier_score(probabilities: NDArray[np.float64]) -> float:
    return float(np.square(probabilities - np.eye(2)[TRUTH]).sum(axis=1).mean()) / 2
