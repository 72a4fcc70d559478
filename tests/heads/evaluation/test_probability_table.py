"""Metrics of probabilities: scikit-learn is the oracle, of values and of resamples."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from heads.evaluation import probability_table
from heads.evaluation.metrics import METRICS, Scorecard, scorecard
from heads.evaluation.probability_metrics import Reliability
from heads.evaluation.probability_table import (
    PROBABILITY_METRICS,
    ProbabilityTable,
    probability_intervals,
    rank_scores,
    resample_probabilities,
)
from heads.evaluation.ranking_metrics import LabelRanking

Prediction = tuple[NDArray[Any], NDArray[np.float64]]


def single(documents: int, labels: int, seed: int, *, digits: int = 9) -> Prediction:
    """Probabilities that know something; few digits make ties."""
    random = np.random.default_rng(seed)
    truth = random.integers(labels, size=documents)
    exact = random.dirichlet(np.ones(labels), documents) + np.eye(labels)[truth] * random.random((documents, 1))
    rounded = exact.round(digits) + 10.0**-digits
    return truth, rounded / rounded.sum(axis=1, keepdims=True)


def several(documents: int, labels: int, seed: int) -> Prediction:
    random = np.random.default_rng(seed)
    truth = random.random((documents, labels)) < 0.3
    return truth, np.clip(0.4 * truth + 0.5 * random.random((documents, labels)).round(1), 0, 1)


def by_scikit_learn(truth: NDArray[Any], probabilities: NDArray[np.float64], weight: Any = None) -> dict[str, float]:
    """The metrics over the labels for which they are defined."""
    matrix = truth if truth.ndim == 2 else np.eye(probabilities.shape[1], dtype=bool)[truth]
    used = np.ones(len(truth)) if weight is None else weight
    positives = used @ matrix
    rows = zip(matrix.T, probabilities.T, positives, strict=True)
    precisions, areas, losses, scores = list[float](), list[float](), list[float](), list[float]()
    for has_label, column, count in rows:
        if count:
            precisions.append(average_precision_score(has_label, column, sample_weight=weight))
        if 0 < count < used.sum():
            areas.append(roc_auc_score(has_label, column, sample_weight=weight))
        losses.append(log_loss(has_label, column, labels=[False, True], sample_weight=weight))
        scores.append(float(np.average((has_label - column) ** 2, weights=used)))
    if truth.ndim == 1:
        labels = range(probabilities.shape[1])
        losses = [log_loss(truth, probabilities, labels=labels, sample_weight=weight)]
        scores = [brier_score_loss(truth, probabilities, labels=labels, sample_weight=weight)]
    named = {"average_precision": precisions, "auroc": areas, "log_loss": losses, "brier": scores}
    return {name: float(np.mean(values)) for name, values in named.items() if values}


@settings(deadline=None, max_examples=12)
@given(st.integers(1, 30), st.integers(2, 4), st.integers(0, 999), st.sampled_from([1, 9]))
def test_values_equal_scikit_learns(documents: int, labels: int, seed: int, digits: int) -> None:
    for truth, probabilities in (single(documents, labels, seed, digits=digits), several(documents, labels, seed)):
        values = dict(ProbabilityTable.of(truth, probabilities).values)
        with warnings.catch_warnings(action="ignore"):  # of a single label in y_true
            expected = by_scikit_learn(truth, probabilities)
        values.pop("ece", None)
        assert values == pytest.approx(expected, abs=1e-12, rel=1e-12)


def test_probabilities_of_zero_and_one_have_a_finite_log_loss_as_in_scikit_learn() -> None:
    truth, probabilities = np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]])
    assert ProbabilityTable.of(truth, probabilities).values["log_loss"] == log_loss(truth, probabilities)


@pytest.mark.parametrize("make", [single, several])
def test_resampled_metrics_equal_scikit_learns_with_weights(make: Any) -> None:
    truth, probabilities = make(60, 4, 3)
    weights = np.random.default_rng(0).poisson(1, (60, 5))
    resampled = ProbabilityTable.of(truth, probabilities).resample(weights.astype(np.float32))
    for number, weight in enumerate(weights.T):
        expected = by_scikit_learn(truth, probabilities, weight)
        factor = weight.sum() / len(truth)  # a resample has as many documents as the sample, these weights have not
        found = {name: values[number] for name, values in resampled.items() if name in expected}
        found |= {name: found[name] / factor for name in ("log_loss", "brier")}
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("make", [single, several])
def test_metrics_that_are_wanted_alone_are_those_of_all(make: Any) -> None:
    truth, probabilities = make(60, 4, 3)
    table = ProbabilityTable.of(truth, probabilities)
    for name in PROBABILITY_METRICS:
        alone = ProbabilityTable.of(truth, probabilities, [name])
        assert alone.values == {name: table.values[name]}
        weights = np.random.default_rng(0).poisson(1, (60, 5)).astype(np.float32)
        assert alone.resample(weights)[name] == pytest.approx(table.resample(weights)[name])
    ranked = rank_scores(truth, np.log(np.maximum(probabilities, 1e-9)))  # their order is that of the probabilities
    assert truth.ndim == 2 or ranked == pytest.approx({name: table.values[name] for name in ranked})
    assert set(ranked) == {"average_precision", "auroc"}


def error_of(bins: Reliability) -> float:
    return float(np.average(np.abs(bins.correct - bins.confidence), weights=bins.size))


def test_the_calibration_error_is_the_mean_gap_of_equally_large_bins() -> None:
    # three bins of two documents: confidences 0.5 and 0.6, one correct; 0.7 and 0.8, both; 0.9 and 1.0, one
    confidence, correct = np.arange(5, 11) / 10, np.array([1, 0, 1, 1, 0, 1])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    found = Reliability.of(1 - correct, probabilities, bins=3)
    assert found.confidence == pytest.approx([0.55, 0.75, 0.95])
    assert found.correct.tolist() == [0.5, 1.0, 0.5] and found.size.tolist() == [2, 2, 2]
    assert error_of(found) == pytest.approx((0.05 + 0.25 + 0.45) / 3)


def test_equal_confidences_share_a_bin_so_that_the_order_of_documents_does_not_matter() -> None:
    truth, probabilities = single(300, 3, 0, digits=1)
    order = np.random.default_rng(0).permutation(300)
    first, second = Reliability.of(truth, probabilities), Reliability.of(truth[order], probabilities[order])
    assert first.size.tolist() == second.size.tolist()
    assert error_of(first) == pytest.approx(error_of(second), abs=1e-12)
    assert error_of(first) == pytest.approx(ProbabilityTable.of(truth, probabilities).values["ece"], abs=1e-12)


def test_trivial_pairs_are_in_no_bin_of_several_labels() -> None:
    truth, probabilities = np.zeros((100, 9), dtype=bool), np.full((100, 9), 0.001)
    truth[:, 0], probabilities[:, 0] = np.arange(100) < 50, 0.9
    assert ProbabilityTable.of(truth, probabilities).values["ece"] == pytest.approx(0.4)


@pytest.mark.parametrize("digits", [1, 9])
def test_influences_are_the_derivatives_by_the_weight_of_a_document(digits: int) -> None:
    truth, probabilities = single(40, 2, 5, digits=digits)
    ranking, step = LabelRanking.of(truth == 0, probabilities[:, 0]), 1e-6
    pairs = (
        (average_precision_score, ranking.average_precision, ranking.average_precision_influence()),
        (roc_auc_score, ranking.auroc, ranking.auroc_influence()),
    )
    for score, value, influences in pairs:
        for document, influence in enumerate(influences.tolist()):
            weight = np.ones(40) + step * (np.arange(40) == document)
            change = score(truth == 0, probabilities[:, 0], sample_weight=weight) - value
            assert change / step == pytest.approx(influence, abs=1e-6)


def test_many_documents_have_nearly_the_interval_of_resampled_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, probabilities = single(1500, 4, 1)
    exact = probability_intervals(truth, probabilities, resamples=1000)
    monkeypatch.setattr(probability_table, "MAX_DOCUMENTS", 1000)
    for name, interval in probability_intervals(truth, probabilities, resamples=1000).items():
        if name != "ece":  # whose bias the first order does not know
            width = exact[name].high - exact[name].low
            bounds = [exact[name].low, exact[name].high]
            assert [interval.low, interval.high] == pytest.approx(bounds, abs=0.15 * width)


def test_predictions_are_resampled_together() -> None:
    truth, probabilities = single(50, 3, 0)
    tables = [ProbabilityTable.of(truth, each) for each in (probabilities, probabilities)]
    first, second = resample_probabilities(tables, resamples=20)
    assert all(np.array_equal(first[name], second[name]) for name in PROBABILITY_METRICS)


def test_a_label_without_documents_is_in_no_average_and_has_no_value() -> None:
    truth, probabilities = single(30, 2, 0)
    wider = np.concatenate([probabilities, np.zeros((30, 1))], axis=1)
    names = ("average_precision", "auroc", "log_loss")
    narrow, wide = (ProbabilityTable.of(truth, each).values for each in (probabilities, wider))
    assert [wide[name] for name in names] == pytest.approx([narrow[name] for name in names])
    card = scorecard(truth, truth, ["a", "b", "c"], resamples=5, probabilities=wider)
    assert card.labels[2].auroc is card.labels[2].average_precision is None
    assert card.labels[0].auroc is not None and card.averaged_labels == 2


def test_a_scorecard_has_them_with_intervals_that_contain_the_value_and_comes_back_from_json() -> None:
    truth, probabilities = single(80, 3, 0)
    card = scorecard(truth, probabilities.argmax(axis=1), ["a", "b", "c"], probabilities=probabilities)
    for name in PROBABILITY_METRICS:
        interval = METRICS[name.replace("_", "-")].value(card)
        assert interval.low < interval.value < interval.high
    assert Scorecard.from_json(json.loads(json.dumps(card.to_json(), allow_nan=False))) == card
    assert scorecard(truth, truth, ["a", "b", "c"], resamples=2).auroc is None


@pytest.mark.parametrize("documents", [0, 1])
def test_of_no_document_and_of_one_there_are_the_metrics_that_are_defined(documents: int) -> None:
    truth, probabilities = np.zeros(documents, dtype=np.int64), np.full((documents, 2), 0.5)
    intervals = probability_intervals(truth, probabilities, resamples=5)
    assert set(intervals) == (set(PROBABILITY_METRICS) - {"auroc"} if documents else set())
    assert all(interval.low == interval.value == interval.high for interval in intervals.values() if documents)


def test_arrays_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"truth is \(2,\), but probabilities are \(3, 2\)"):
        ProbabilityTable.of(np.array([0, 1]), np.full((3, 2), 0.5))
    with pytest.raises(ValueError, match=r"probabilities must be 0 to 1, but they are -1.0 to 2.0"):
        ProbabilityTable.of(np.array([0]), np.array([[-1.0, 2.0]]))
