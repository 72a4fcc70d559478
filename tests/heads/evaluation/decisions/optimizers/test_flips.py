"""Searches over all flips at once, compared with trying flips, offsets and strengths one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.objective_metrics import FBeta, measure_costs
from heads.evaluation.decisions.optimizers.ascent import CoordinateAscent
from heads.evaluation.decisions.optimizers.flips import (
    CorrectDocuments,
    FBetaSum,
    Flips,
    FlipValue,
    MatthewsCorrelation,
    NegativeCost,
    RecallSum,
)
from heads.evaluation.decisions.rules import LogitAdjustment, PerLabelOffsets
from heads.evaluation.decisions.single_label import Sample, logit_adjustment

LABELS = 4
Codes = NDArray[np.int64]
COSTS = np.array([[0.0, 1, 2, 9], [3, 0, 1, 1], [2, 2, 0, 5], [1, 7, 1, 0]])
VALUES: dict[str, FlipValue] = {
    "macro-f1": FBetaSum(),
    "macro-f2": FBetaSum(2.0),
    "weighted-f1": FBetaSum(weighted=True),
    "balanced-accuracy": RecallSum(),
    "accuracy": CorrectDocuments(),
    "mcc": MatthewsCorrelation(),
    "cost": NegativeCost(COSTS),
}


def metric(name: str, truth: Codes, predicted: Codes) -> float:
    """The metric times the constant that a FlipValue has."""
    counts, labels = ConfusionCounts.from_predictions(truth, predicted, LABELS), LABELS
    if name == "cost":
        return -float(measure_costs(truth, predicted, COSTS)["cost"].sum())
    if name.startswith("macro"):
        return float(FBeta.of("macro", float(name[-1])).value(counts)) * np.count_nonzero(
            counts.predicted + counts.support
        )
    factor = {"weighted-f1": len(truth), "balanced-accuracy": labels, "accuracy": len(truth), "mcc": 1}[name]
    return float(getattr(counts, name.replace("-", "_"))) * factor


def problem(seed: int, documents: int = 40) -> tuple[NDArray[np.float64], Codes]:
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.repeat(np.arange(LABELS), 4), random.integers(LABELS, size=documents - 4 * LABELS)])
    return random.normal(size=(documents, LABELS)) + 1.2 * (truth[:, None] == np.arange(LABELS)), truth


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("one_label", [False, True])
def test_each_change_is_the_change_of_the_metric(name: str, one_label: bool) -> None:
    random = np.random.default_rng(0)
    _, truth = problem(0)
    predicted, rows = random.integers(LABELS, size=len(truth)), random.permutation(len(truth))
    new = (
        np.full(len(rows), 2) if one_label else (predicted[rows] + random.integers(1, LABELS, size=len(rows))) % LABELS
    )
    rows, new = rows[predicted[rows] != new], new[predicted[rows] != new]
    before = ConfusionCounts.from_predictions(truth, predicted, LABELS)
    changes = VALUES[name].changes(Flips(predicted[rows], 2 if one_label else new, truth[rows]), before)
    value = metric(name, truth, predicted)
    for row, label, change in zip(rows, new, changes, strict=True):
        predicted[row] = label
        after = metric(name, truth, predicted)
        assert change == pytest.approx(after - value, abs=1e-9)
        value = after


@pytest.mark.parametrize("name", VALUES)
@settings(deadline=None, max_examples=12)
@given(st.integers(0, 1000))
def test_no_offset_of_one_label_beats_the_result_of_the_search(name: str, seed: int) -> None:
    scores, truth = problem(seed)
    missing = np.random.default_rng(seed).random(scores.shape) < 0.1
    missing[np.arange(len(truth)), truth] = False
    scores[missing] = -np.inf
    scores[:3, [0, 1, 3]] = -np.inf  # label 2 is the only choice
    scores[:3, 2] = 0.0
    ascent = CoordinateAscent(scores, truth, np.zeros(LABELS), VALUES[name])
    ascent.tune_offset(2)
    predicted = (scores + ascent.offsets).argmax(axis=1)
    candidates = [offset * (np.arange(LABELS) == 2) for offset in np.linspace(-6, 6, 60)]
    best = max(metric(name, truth, (scores + offsets).argmax(axis=1)) for offsets in candidates)
    assert metric(name, truth, predicted) >= best - 1e-9
    assert np.array_equal(ascent.predicted, predicted)


@pytest.mark.parametrize("name", VALUES)
@settings(deadline=None, max_examples=12)
@given(st.integers(0, 1000))
def test_no_strength_of_the_adjustment_beats_the_result_of_the_search(name: str, seed: int) -> None:
    scores, truth = problem(seed)
    scores[np.random.default_rng(seed).random(scores.shape) < 0.1] = -np.inf
    rows = np.random.default_rng(seed).random(len(truth)) < 0.8
    rows[:16] = True  # each label has documents
    sample = replace(Sample.of_all(scores, truth, VALUES[name]), rows=rows)
    (rule,) = logit_adjustment(sample)
    assert isinstance(rule, LogitAdjustment)

    def value(strength: float) -> float:
        return metric(name, truth[rows], replace(rule, strength=strength).decide(scores[rows]))

    assert value(rule.strength) >= max(map(value, np.linspace(-8, 8, 60))) - 1e-9
    assert -8 <= rule.strength <= 8


def test_labels_with_equally_many_documents_share_a_line() -> None:
    random = np.random.default_rng(0)
    truth = np.concatenate([np.arange(9), random.integers(9, size=30)])
    scores = random.normal(size=(39, 9)) + (truth[:, None] == np.arange(9))
    sample = Sample.of_all(scores, truth)
    envelope = sample.shared.envelope
    predicted = envelope.first.copy()
    for place, (document, new) in enumerate(zip(envelope.documents, envelope.new, strict=True)):
        predicted[document] = new
        bounds = envelope.strengths[place : place + 2]
        if len(bounds) == 2 and bounds[1] - bounds[0] > 1e-6:
            rule = LogitAdjustment(float(bounds.mean()), tuple(sample.shared.log_prior.tolist()))
            assert np.array_equal(rule.decide(scores), predicted)


def test_a_label_is_searched_for_at_most_ten_times_its_documents() -> None:
    truth = np.repeat([0, 1], [1996, 4])
    scores = np.zeros((2000, 2))
    scores[:, 1] = -np.arange(2000.0)[::-1] / 100 - 1  # its documents are the last ones, and come first
    ascent = CoordinateAscent(scores, truth, np.zeros(2), FBetaSum())
    order, is_cut = ascent._window(-scores[:, 1], 1)
    assert is_cut and len(order) == 101
    ascent.tune_offset(1)
    assert np.array_equal(PerLabelOffsets(tuple(ascent.offsets.tolist())).decide(scores), truth)
