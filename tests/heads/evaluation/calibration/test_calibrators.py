"""Calibrators undo planted miscalibration, agree with scikit-learn, and leave rare and unseen labels alone."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from heads.evaluation.calibration.calibrators import Sample, TemperatureScaling, document_log_losses
from heads.evaluation.calibration.methods import CALIBRATORS, calibrator_from_json
from heads.evaluation.calibration.vector_scaling import VectorScaling
from tests.heads.evaluation.miscalibrated import multilabel, single_label

Maker = Callable[[int, int], tuple[NDArray[np.float64], NDArray[Any]]]
METHODS = [name for name in CALIBRATORS if name != "none"]


@pytest.mark.parametrize("make", [single_label, multilabel])
@pytest.mark.parametrize("temperature", [0.02, 0.5, 3.0, 100.0])
def test_a_planted_temperature_is_recovered(make: Maker, temperature: float) -> None:
    logits, truth = make(4000, 6)
    found = TemperatureScaling.fit(Sample.of(logits * temperature, truth)).temperature
    assert found == pytest.approx(temperature, rel=0.06)


@pytest.mark.parametrize("make", [single_label, multilabel])
def test_planted_scales_and_offsets_are_recovered(make: Maker) -> None:
    logits, truth = make(6000, 4)
    scales, offsets = np.array([0.5, 1.0, 2.0, 1.5]), np.array([1.0, -1.0, 0.5, 0.0])
    fitted = VectorScaling.fit(Sample.of((logits - offsets) / scales, truth))
    assert fitted.label_scales == pytest.approx(scales, rel=0.12)
    found = np.array(fitted.offsets) - (0 if truth.ndim == 2 else np.mean(fitted.offsets) - offsets.mean())
    assert found == pytest.approx(offsets, abs=0.3)


def test_vector_scaling_undoes_balanced_class_weights_for_labels_with_few_documents_too() -> None:
    logits, truth = single_label(3000, 20)
    frequencies = np.log(0.7 ** np.arange(20))
    fitted = VectorScaling.fit(Sample.of(logits - frequencies, truth))
    offsets = np.array(fitted.offsets) - fitted.offsets[0]
    assert np.bincount(truth).min() < 5
    assert offsets == pytest.approx(frequencies, abs=1.0)


@pytest.mark.parametrize("make", [single_label, multilabel])
def test_isotonic_calibration_undoes_a_nonlinear_map(make: Maker) -> None:
    logits, truth = make(5000, 4)
    bent = np.sign(logits) * np.sqrt(np.abs(logits))
    losses = {
        method: document_log_losses(_fit(method, bent[:2500], truth[:2500]), bent[2500:], truth[2500:]).mean()
        for method in METHODS
    }
    true_loss = document_log_losses(_fit("none", logits, truth), logits[2500:], truth[2500:]).mean()
    assert losses["isotonic"] < losses["vector"] < losses["temperature"] + 0.01
    assert losses["isotonic"] == pytest.approx(true_loss, abs=0.03)


def test_temperature_scaling_equals_that_of_scikit_learn() -> None:
    logits, truth = single_label(1500, 5)
    head = LogisticRegression(C=100).fit(logits[:500] * 2, truth[:500])
    scores = head.decision_function(logits[500:] * 3)
    rival = CalibratedClassifierCV(FrozenEstimator(head), method="temperature").fit(logits[500:] * 3, truth[500:])
    ours = TemperatureScaling.fit(Sample.of(scores, truth[500:])).probabilities(scores, multilabel=False)
    np.testing.assert_allclose(ours, rival.predict_proba(logits[500:] * 3), atol=2e-3)


def test_vector_scaling_of_one_label_is_platt_scaling() -> None:
    logits, truth = multilabel(3000, 1)
    scores = logits * 3 + 2
    rival = LogisticRegression(C=1e6).fit(scores, truth[:, 0])
    ours = VectorScaling.fit(Sample.of(scores, truth)).probabilities(scores, multilabel=True)
    np.testing.assert_allclose(ours[:, 0], rival.predict_proba(scores)[:, 1], atol=5e-3)


def test_isotonic_calibration_is_near_isotonic_regression_but_has_no_probability_of_0_or_1() -> None:
    logits, truth = multilabel(4000, 1)
    bent = np.cbrt(logits)
    rival = IsotonicRegression(out_of_bounds="clip").fit(bent[:, 0], truth[:, 0]).predict(bent[:, 0])
    ours = _fit("isotonic", bent, truth).probabilities(bent, multilabel=True)[:, 0]
    assert np.abs(ours - rival).mean() < 0.02
    assert rival.min() == 0 < ours.min() < ours.max() < 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [single_label, multilabel])
def test_a_label_that_the_head_has_not_seen_keeps_probability_0_and_changes_no_other(make: Maker, method: str) -> None:
    logits, truth = make(400, 5)
    logits[:, 4] = -np.inf
    others = truth[:, :4] if truth.ndim == 2 else truth
    known = np.ones(400, dtype=bool) if truth.ndim == 2 else truth < 4
    with_unseen = _fit(method, logits, truth).probabilities(logits, multilabel=truth.ndim == 2)
    without = _fit(method, logits[known, :4], others[known]).probabilities(logits[:, :4], multilabel=truth.ndim == 2)
    assert (with_unseen[:, 4] == 0).all()
    np.testing.assert_allclose(with_unseen[:, :4], without, atol=0.02)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [single_label, multilabel])
def test_scores_without_a_mistake_give_finite_calibrations(make: Maker, method: str) -> None:
    truth = make(40, 3)[1]
    has_label = truth if truth.ndim == 2 else truth[:, None] == np.arange(3)
    scores = np.where(has_label, 5.0, -5.0)
    probabilities = _fit(method, scores, truth).probabilities(scores, multilabel=truth.ndim == 2)
    assert np.isfinite(probabilities).all()
    assert (probabilities[has_label] > 0.99).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_only_label_has_probability_1(method: str) -> None:
    scores, truth = np.ones((5, 1)), np.zeros(5, dtype=np.int64)
    assert (_fit(method, scores, truth).probabilities(scores, multilabel=False) == 1).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [single_label, multilabel])
def test_calibration_keeps_the_order_of_documents_for_a_label(make: Maker, method: str) -> None:
    logits, truth = make(300, 3)
    calibrator = _fit(method, logits * 2, truth)
    moved = logits * 2
    moved[:, 1] += 0.3
    before, after = (calibrator.probabilities(scores, multilabel=truth.ndim == 2) for scores in (logits * 2, moved))
    assert (after[:, 1] >= before[:, 1]).all()


@pytest.mark.parametrize("method", list(CALIBRATORS))
def test_a_calibrator_survives_json_bit_by_bit(method: str) -> None:
    logits, truth = single_label(200, 4)
    calibrator = _fit(method, logits, truth)
    read = calibrator_from_json(json.loads(json.dumps(calibrator.to_json())))
    assert read == calibrator
    assert (read.probabilities(logits, multilabel=False) == calibrator.probabilities(logits, multilabel=False)).all()


@pytest.mark.parametrize("content", [{}, {"method": "platt"}, {"method": "temperature", "slope": 1}])
def test_other_json_is_no_calibrator(content: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a calibration"):
        calibrator_from_json(content)


def _fit(method: str, scores: NDArray[Any], truth: NDArray[Any]) -> Any:
    return CALIBRATORS[method].fit(Sample.of(scores, truth))
