"""A calibration is selected by cross-fitting: where it helps beyond noise, and nowhere else."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data.errors import CallError
from heads.evaluation.calibration import (
    FULL_SAMPLE,
    Calibration,
    CalibrationMethod,
    ReliabilityDiagram,
    fit_calibration,
)
from heads.evaluation.calibration import selection as module
from heads.evaluation.calibration.calibrators import Sample
from heads.evaluation.calibration.vector_scaling import VectorScaling
from heads.evaluation.probability_table import ProbabilityTable
from heads.evaluation.score_matrix import scores_to_probabilities
from tests.heads.evaluation.miscalibrated import multilabel, single_label

Maker = Callable[[int, int, int], tuple[NDArray[np.float64], NDArray[Any]]]


@pytest.mark.parametrize("make", [single_label, multilabel])
def test_calibrated_scores_are_left_alone(make: Maker) -> None:
    problems = [make(500, 5, seed) for seed in range(6)]
    selected = [fit_calibration(scores, truth, seed=seed).method for seed, (scores, truth) in enumerate(problems)]
    assert selected.count("none") >= 5


@pytest.mark.parametrize(
    ("bend", "method"),
    [
        (lambda logits: logits * 3, "temperature"),
        (lambda logits: logits * 3 + np.linspace(-4, 4, 5), "vector"),
        (lambda logits: 10 * np.sign(logits) * np.abs(logits) ** 0.4, "isotonic"),
    ],
)
@pytest.mark.parametrize("make", [single_label, multilabel])
def test_the_simplest_method_that_undoes_the_miscalibration_is_selected(
    make: Maker, bend: Callable[[Any], Any], method: str
) -> None:
    logits, truth = make(4000, 5, 0)
    assert fit_calibration(bend(logits), truth).method == method


@pytest.mark.parametrize("seed", range(4))
def test_the_selected_method_is_cross_fitted_never_worse_than_none_beyond_noise(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores, truth = random.normal(size=(60, 8)) * 3, random.integers(8, size=60)
    evidence = fit_calibration(scores, truth, seed=seed).evidence
    assert evidence is not None
    selected = [comparison for comparison in evidence.comparisons if comparison.selected][-1]
    assert selected.log_loss <= evidence.comparisons[0].log_loss


def test_a_document_gets_probabilities_of_a_calibrator_that_it_was_not_fitted_to() -> None:
    logits, truth = single_label(200, 3)
    calibration = fit_calibration(logits * 4, truth, method="vector")
    changed = truth.copy()
    changed[0] = (truth[0] + 1) % 3
    fold = calibration.folds[0]
    others = calibration.folds != fold
    refitted = VectorScaling.fit(Sample.of(logits[others] * 4, changed[others]))
    assert refitted == calibration.of_folds[fold]
    cross_fitted = calibration.probabilities(logits * 4, calibration.folds, multilabel=False)
    expected = calibration.of_folds[fold].probabilities(logits[:1] * 4, multilabel=False)
    assert (cross_fitted[:1] == expected).all()


def test_groups_stay_in_one_fold() -> None:
    logits, truth = single_label(100, 3)
    groups = np.arange(100) // 4
    folds = fit_calibration(logits, truth, groups, method="temperature").folds
    assert all(len(set(folds[groups == group])) == 1 for group in range(25))


def test_documents_beyond_the_sample_get_the_calibrator_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 100)
    monkeypatch.setattr(module, "MIN_SAMPLE", 100)
    logits, truth = single_label(400, 3)
    calibration = fit_calibration(logits * 5, truth)
    outside = calibration.folds == FULL_SAMPLE
    assert outside.sum() == 300
    probabilities = calibration.probabilities(logits * 5, calibration.folds, multilabel=False)
    expected = calibration.calibrator.probabilities(logits[outside] * 5, multilabel=False)
    assert (probabilities[outside] == expected).all()


def test_labels_that_a_fold_has_not_seen_do_not_break_the_selection() -> None:
    logits, truth = single_label(300, 6)
    logits[truth == 5] = np.where(np.arange(6) == 5, -np.inf, logits[truth == 5] * 3)
    calibration = fit_calibration(logits * 3, truth)
    assert np.isfinite([comparison.log_loss for comparison in calibration.evidence.comparisons]).all()  # type: ignore[union-attr]
    assert np.isfinite(calibration.probabilities(logits, calibration.folds, multilabel=False)).all()


@pytest.mark.parametrize("documents", [1, 2, 3])
def test_few_documents_are_enough(documents: int) -> None:
    scores, truth = np.array([[1.0, 0], [0, 1], [1, 0]])[:documents], np.array([0, 1, 0])[:documents]
    calibration = fit_calibration(scores, truth)
    assert np.isfinite(calibration.probabilities(scores, calibration.folds, multilabel=False)).all()


def test_documents_of_one_group_are_not_calibrated() -> None:
    logits, truth = single_label(50, 3)
    assert fit_calibration(logits * 5, truth, np.zeros(50, dtype=np.int64)).method == "none"


def test_without_calibration_probabilities_are_those_of_the_scores() -> None:
    logits, truth = single_label(50, 3)
    calibration = fit_calibration(logits * 5, truth, method="none")
    probabilities = calibration.probabilities(logits * 5, calibration.folds, multilabel=False)
    assert (probabilities == scores_to_probabilities(logits * 5, multilabel=False)).all()
    assert calibration.evidence is not None
    assert calibration.evidence.sentence.startswith("Probabilities are not calibrated: no method was tried; log loss ")


def test_the_evidence_has_metrics_before_and_after_that_are_cross_fitted() -> None:
    logits, truth = single_label(600, 4)
    calibration = fit_calibration(logits * 3, truth)
    evidence = calibration.evidence
    assert evidence is not None
    raw = scores_to_probabilities(logits * 3, multilabel=False)
    cross_fitted = calibration.probabilities(logits * 3, calibration.folds, multilabel=False)
    for probabilities, metrics in ((raw, evidence.before), (cross_fitted, evidence.after)):
        assert {name: interval.value for name, interval in metrics.items()} == {
            name: pytest.approx(value)
            for name, value in ProbabilityTable.of(truth, probabilities).values.items()
            if name in metrics
        }
    assert evidence.reliability_after == ReliabilityDiagram.of(truth, cross_fitted)
    assert evidence.after["ece"].high < evidence.before["ece"].low
    assert "calibrated by temperature scaling: log loss 0." in evidence.sentence


@pytest.mark.parametrize("method", ["auto", "none", "temperature", "vector", "isotonic"])
def test_a_calibration_survives_json(method: CalibrationMethod) -> None:
    logits, truth = single_label(100, 3)
    calibration = fit_calibration(logits * 5, truth, method=method)
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


def test_another_method_is_refused() -> None:
    with pytest.raises(CallError, match=r"no calibration 'platt'\. Known: auto, none, temperature, vector, isotonic"):
        fit_calibration(np.zeros((2, 2)), np.array([0, 1]), method="platt")  # type: ignore[arg-type]


def test_10000_labels_are_fitted_on_a_sample_of_cells() -> None:
    assert module._sample_rows(np.arange(100_000) % 10_000, None, 10_000, 0).shape == (2000,)
