"""The correction of the best of several predictions: what it must be, and what it must leave alone."""

import numpy as np
import pytest

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.metrics import ABSOLUTE_ERROR, MACRO_F1, METRICS
from heads.evaluation.resampling import draw_with_left_out
from heads.evaluation.sampled_metric import SampledMetric
from heads.evaluation.selection_optimism import _as_large_as, correct_selection


def test_the_best_of_equally_good_predictions_is_corrected_to_their_accuracy() -> None:
    rng = np.random.default_rng(1)
    errors, optimism = [], []
    for _ in range(20):
        truth = np.zeros(400, dtype=np.int64)
        candidates = [[(rng.random(400) > 0.8).astype(np.int64)] for _ in range(8)]
        result = correct_selection(SampledMetric.of(truth, candidates, 2, METRICS["accuracy"]), resamples=100)
        errors.append(result.corrected - 0.8)
        optimism.append(result.raw - 0.8)
    assert np.mean(optimism) > 0.02
    assert abs(np.mean(errors)) < 0.01
    assert result.candidates == 8


def test_a_prediction_that_is_far_better_is_hardly_corrected() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=300)
    good, bad = (np.where(rng.random(300) < share, truth, 0) for share in (0.9, 0.5))
    result = correct_selection(SampledMetric.of(truth, [[good], [bad]], 4, MACRO_F1), resamples=200)
    assert result.raw == pytest.approx(float(ConfusionCounts.from_predictions(truth, good, 4).macro_f1))
    assert result.corrected == pytest.approx(result.raw, abs=1e-9)


def test_rare_labels_that_samples_lack_do_not_change_the_value_of_a_single_prediction() -> None:
    truth = np.array([0] * 50 + [1, 2, 3])
    predicted = np.where(truth == 2, 0, truth)
    result = correct_selection(SampledMetric.of(truth, [[predicted]], 4, MACRO_F1), resamples=50)
    assert result.corrected == pytest.approx(result.raw)


def test_an_error_is_corrected_upwards_and_seeds_are_one_candidate() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(5, size=200)
    noisy = [[np.clip(truth + rng.integers(-1, 2, size=200), 0, 4) for _ in range(2)] for _ in range(4)]
    result = correct_selection(SampledMetric.of(truth, noisy, 5, ABSOLUTE_ERROR), resamples=200)
    means = [np.mean([np.abs(truth - each).mean() for each in seeds]) for seeds in noisy]
    assert result.raw == pytest.approx(min(means)) and result.candidates == 4
    assert result.corrected > result.raw


@pytest.mark.parametrize("name", ["kappa", "brier"])
def test_both_parts_of_the_documents_have_the_metric_of_these_documents(name: str) -> None:
    rng = np.random.default_rng(3)
    truth, metric = rng.integers(3, size=60), METRICS[name]
    scores = rng.dirichlet(np.ones(3), size=60)
    predicted = np.where(rng.random(60) < 0.7, truth, scores.argmax(axis=1)) if name == "kappa" else scores
    sampled = SampledMetric.of(truth, [[predicted]], 3, metric)
    ((drawn, left_out),) = draw_with_left_out(sampled.rows, 3, 20, 0)
    for part in (drawn, left_out):
        for column, value in enumerate(sampled.of_samples(_as_large_as(60, part))[0]):
            rows = np.repeat(sampled.rows.first, part[:, column].astype(np.int64))
            (alone,) = SampledMetric.of(truth[rows], [[predicted[rows]]], 3, metric).values
            assert value == pytest.approx(alone)


def test_a_metric_of_probabilities_chooses_by_the_documents_of_the_sample_alone() -> None:
    truth = np.zeros(10, dtype=np.int64)
    of_truth = np.full((2, 10), 0.5)
    of_truth[0, 0], of_truth[1, 1:] = 1.0, 0.501  # the first is better only with the first document in the sample
    candidates = [[np.stack([each, 1 - each], axis=1)] for each in of_truth]
    result = correct_selection(SampledMetric.of(truth, candidates, 2, METRICS["brier"]), resamples=100)
    assert result.raw == pytest.approx(0.225) and result.corrected == pytest.approx(0.25, abs=0.005)
