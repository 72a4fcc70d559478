"""A planted shift of label frequencies is recovered and used; without one, or if it would not help, nothing moves."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from heads.evaluation.decisions.label_shift import (
    LabelShift,
    ShiftEvidence,
    ShiftMetric,
    TrainingDocuments,
    fit_label_shift,
)
from heads.evaluation.label_frequencies import estimate_frequencies
from heads.evaluation.metrics import macro_f1
from heads.evaluation.score_matrix import scores_to_probabilities
from tests.heads.evaluation.miscalibrated import multilabel, single_label

Maker = Callable[[int, int, int], tuple[NDArray[np.float64], NDArray[Any]]]
both = pytest.mark.parametrize("make", [single_label, multilabel])


def documents(make: Maker, count: int, seed: int) -> TrainingDocuments:
    scores, truth = make(count, 5, seed)
    return TrainingDocuments(scores, scores_to_probabilities(scores, multilabel=truth.ndim == 2), truth)


def shares(truth: NDArray[Any]) -> NDArray[np.float64]:
    return truth.mean(axis=0) if truth.ndim == 2 else np.bincount(truth, minlength=5) / len(truth)


def new_documents(make: Maker, frequencies: NDArray[np.float64], seed: int = 9) -> TrainingDocuments:
    """800 documents whose labels have these frequencies."""
    pool = documents(make, 4000, seed)
    rows = np.random.default_rng(seed).choice(4000, 800, p=pool.chances(frequencies))
    return TrainingDocuments(pool.scores[rows], pool.probabilities[rows], pool.truth[rows])


def fitted(
    training: TrainingDocuments, new: TrainingDocuments, threshold: float = 0.0, scale: float = 1.0, seed: int = 0
) -> LabelShift:
    def decide(scores: NDArray[Any]) -> NDArray[Any]:
        return scores > threshold if training.is_multilabel else scores.argmax(axis=1)

    metric = ShiftMetric("macro-F1", 1, lambda rows, predicted: macro_f1(training.truth[rows], predicted, 5))
    return fit_label_shift(new.probabilities, training, np.full(5, scale), decide, metric, seed)


@both
def test_planted_frequencies_are_recovered_and_used(make: Maker) -> None:
    training = documents(make, 2000, 0)
    planted = shares(training.truth)[::-1]
    new = new_documents(make, planted)
    shift = fitted(training, new)
    assert shift.frequencies == pytest.approx(shares(new.truth), abs=0.06)
    assert shift.training == pytest.approx(shares(training.truth), abs=0.02)
    assert shift.is_used and "it is used" in shift.sentence
    moved = shift.shift_scores(new.scores)
    better, before = (
        macro_f1(new.truth, scores > 0 if new.is_multilabel else scores.argmax(axis=1), 5)
        for scores in (moved, new.scores)
    )
    assert better > before + 0.01
    probabilities = shift.shift_probabilities(new.probabilities)
    expected = scores_to_probabilities(new.scores + shift.offsets, multilabel=new.is_multilabel)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@both
def test_frequencies_of_training_move_nothing(make: Maker) -> None:
    used = 0
    for seed in range(5):
        training = documents(make, 1500, seed)
        new = documents(make, 500, seed + 50)
        shift = fitted(training, new, seed=seed)
        used += shift.is_used
        if not shift.is_used:
            assert (shift.shift_scores(new.scores) == new.scores).all()
            assert (shift.shift_probabilities(new.probabilities) == new.probabilities).all()
    assert used == 0


def test_a_shift_that_lowers_the_metric_is_not_used() -> None:
    training = documents(single_label, 2000, 0)
    planted = shares(training.truth)[::-1]
    new = new_documents(single_label, planted)
    # a rule for equal frequencies is right for any frequencies if the metric is the mean recall
    logs = np.log(shares(training.truth))

    def recall(rows: NDArray[np.int64], predicted: NDArray[Any]) -> float:
        truth = training.truth[rows]
        return float(np.mean([np.mean(predicted[truth == label] == label) for label in np.unique(truth)]))

    shift = fit_label_shift(
        new.probabilities,
        training,
        np.ones(5),
        lambda scores: (scores - logs).argmax(axis=1),
        ShiftMetric("balanced accuracy", 1, recall),
    )
    assert shift.evidence.is_significant and not shift.is_used
    assert "it is not used, because that is worse" in shift.sentence


def test_a_head_with_balanced_class_weights_gets_a_part_of_the_shift() -> None:
    training = documents(single_label, 3000, 0)
    balanced = replace(training, scores=training.scores - np.log(shares(training.truth)))
    new = new_documents(single_label, shares(training.truth)[::-1])
    shift = fitted(balanced, new)
    assert shift.is_used and 0 < shift.strength < 1


def test_the_scales_of_the_calibration_translate_the_shift_to_scores() -> None:
    training = documents(single_label, 2000, 0)
    new = new_documents(single_label, shares(training.truth)[::-1])
    scaled = replace(training, scores=training.scores * 4)
    shift = fitted(training, new)
    same = fitted(scaled, new, scale=1 / 4)
    np.testing.assert_allclose(same.shift_scores(new.scores * 4), 4 * shift.shift_scores(new.scores))
    assert same.evidence == shift.evidence


def test_a_metric_that_is_better_if_lower_is_respected() -> None:
    training = documents(single_label, 2000, 0)
    new = new_documents(single_label, shares(training.truth)[::-1])
    errors = ShiftMetric("error", -1, lambda rows, predicted: float((training.truth[rows] != predicted).mean()))
    shift = fit_label_shift(new.probabilities, training, np.ones(5), lambda scores: scores.argmax(axis=1), errors)
    assert shift.evidence.shifted < shift.evidence.unshifted and shift.is_used


@both
def test_resamples_have_the_requested_frequencies(make: Maker) -> None:
    training = documents(make, 3000, 1)
    wanted = shares(training.truth)[::-1].copy()
    chances = training.chances(wanted)
    weights = training.truth if training.is_multilabel else training.truth[:, None] == np.arange(5)
    assert chances @ weights == pytest.approx(wanted, abs=0.02)


def test_a_label_that_no_new_document_seems_to_have_stays_possible() -> None:
    probabilities = np.tile([1 - 1e-9, 1e-9], (1000, 1))
    frequencies, _ = estimate_frequencies(probabilities, np.array([0.5, 0.5]), multilabel=False)
    assert 0.001 < frequencies[1] < 0.01


def test_a_label_that_the_head_has_not_seen_changes_nothing() -> None:
    training = documents(single_label, 1000, 0)
    new = new_documents(single_label, shares(training.truth)[::-1])

    padded = TrainingDocuments(
        np.hstack([training.scores, np.full((1000, 1), -np.inf)]),
        np.hstack([training.probabilities, np.zeros((1000, 1), np.float32)]),
        training.truth,
    )
    metric = ShiftMetric("macro-F1", 1, lambda rows, predicted: macro_f1(training.truth[rows], predicted, 6))
    new_probabilities = np.hstack([new.probabilities, np.zeros((800, 1), np.float32)])
    shift = fit_label_shift(new_probabilities, padded, np.ones(6), lambda scores: scores.argmax(axis=1), metric)
    assert shift.frequencies[:5] == pytest.approx(fitted(training, new).frequencies, abs=1e-6)
    assert np.isneginf(shift.shift_scores(padded.scores)[:, 5]).all()
    assert (shift.shift_probabilities(new_probabilities)[:, 5] == 0).all()


def test_a_label_shift_survives_json() -> None:
    evidence = ShiftEvidence(9, 8.5, 1.0, 0.5, "macro-F1", 0.5, 0.6, 0.01, is_better=True)
    shift = LabelShift((0.5, 0.5), (0.25, 0.75), (1.0, 2.0), 0.5, False, evidence)
    assert LabelShift.from_json(json.loads(json.dumps(shift.to_json()))) == shift
