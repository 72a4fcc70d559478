"""Documents that are left undecided: the curve, thresholds that hold on new documents, and the way to JSON and back."""

import json
import math
from typing import Any

import numpy as np
import pytest

from data.errors import CallError
from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.decisions.abstention import (
    ABSTAINED,
    OTHER,
    Abstention,
    AbstentionOptions,
    fit_abstention,
)
from heads.evaluation.decisions.novelty import OtherRule
from heads.evaluation.proportions import share_bounds, share_interval
from heads.evaluation.risk_coverage import prediction_confidence, risk_coverage_curve
from tests.heads.evaluation.decisions.test_label_sets import draw
from tests.heads.evaluation.example_hierarchies import ART, SMALL, SPORT

OTHERS = OtherRule(1.5, 0.05, 0.04, ConfidenceInterval(0.5, 0.4, 0.6), (0.5, None), "mean", 0.1)


def test_the_curve_has_the_accuracy_of_the_most_confident_documents() -> None:
    confidence, correct = np.array([0.5, 0.9, 0.7, 0.7]), np.array([False, True, True, False])
    curve = risk_coverage_curve(correct, confidence)
    assert curve.coverage.tolist() == [0.25, 0.75, 1.0]  # equally confident documents are decided together
    assert curve.accuracy.tolist() == pytest.approx([1, 2 / 3, 0.5])
    assert curve.confidence.tolist() == [0.9, 0.7, 0.5]
    assert curve.area.value == pytest.approx(0.25 * 1 + 0.5 * 2 / 3 + 0.25 * 0.5)


def test_the_bounds_of_the_curve_contain_the_accuracy_of_other_samples() -> None:
    inside, areas, intervals = [], [], []
    for seed in range(40):
        probabilities, truth, _ = draw(300, seed=seed)
        confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
        curve = risk_coverage_curve(correct, confidence, max_points=20)
        # the documents' own probabilities are their accuracy
        expected = [confidence[confidence >= threshold].mean() for threshold in curve.confidence]
        inside.append((curve.low <= expected) & (expected <= curve.high))
        areas.append(curve.area.value)
        intervals.append((curve.area.low, curve.area.high))
    assert np.mean(inside) > 0.9
    low, high = np.transpose(intervals)
    assert ((low <= np.mean(areas)) & (np.mean(areas) <= high)).mean() > 0.85


def test_bounds_of_shares_are_those_of_wilson() -> None:
    from scipy.stats import binomtest

    for hits, total in ((0, 10), (10, 10), (3, 7), (970, 1000)):
        expected = binomtest(hits, total).proportion_ci(method="wilson")
        interval = share_interval(hits, total)
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    low, high = share_bounds(np.array([0]), np.array([0]))
    assert (low[0], high[0]) == (0, 1)


def test_the_confidence_is_the_probability_of_the_predicted_label_or_node() -> None:
    probabilities = np.array([[0.6, 0.4, 0, 0], [0.1, 0.2, 0.3, 0.4]])
    assert prediction_confidence(np.array([1, 3]), probabilities).tolist() == [0.4, 0.4]
    of_nodes = prediction_confidence(np.array([SPORT, ART]), probabilities, SMALL)  # golf and hockey; film
    assert of_nodes.tolist() == pytest.approx([0.4, 0.1])
    abstention = Abstention(0.3, parents=SMALL.parents)
    assert abstention.apply(np.array([SPORT, ART]), probabilities.astype(np.float32)).tolist() == [SPORT, ABSTAINED]


@pytest.mark.parametrize("coverage", [0.9, 0.5, 0.99])
def test_a_requested_coverage_holds_on_new_documents(coverage: float) -> None:
    decided, measured = [], []
    for seed in range(8):
        probabilities, truth, _ = draw(600, seed=seed)
        predicted, fitted = probabilities.argmax(axis=1), slice(300)
        abstention, _ = fit_abstention(
            truth[fitted], predicted[fitted], probabilities[fitted], AbstentionOptions(coverage=coverage)
        )
        assert abstention.evidence is not None
        measured.append(abstention.evidence.decided.value)
        decided.append((abstention.apply(predicted[300:], probabilities[300:]) >= 0).mean())
    assert np.mean(decided) == pytest.approx(coverage, abs=0.02)
    assert np.mean(measured) == pytest.approx(coverage, abs=0.01)


def test_the_threshold_of_a_coverage_is_a_document_of_the_sample() -> None:
    confidence = np.arange(1, 100) / 100  # of 99 documents, 10 in 100 new ones are below the tenth
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    zeros = np.zeros(99, dtype=np.int64)
    abstention, _ = fit_abstention(zeros, zeros, probabilities, AbstentionOptions(coverage=0.9))
    assert abstention.min_confidence == 0.1
    everything, predicted = fit_abstention(zeros, zeros, probabilities, AbstentionOptions(coverage=1.0))
    assert everything.min_confidence == 0 and (predicted == 0).all()


def test_each_document_is_decided_by_the_threshold_of_the_other_folds() -> None:
    probabilities, truth, _ = draw(40, seed=2)
    predicted, options = probabilities.argmax(axis=1), AbstentionOptions(coverage=0.8)
    abstention, out_of_fold = fit_abstention(truth, predicted, probabilities, options)
    of_all = abstention.apply(predicted, probabilities)
    confidence = probabilities.max(axis=1)
    near = np.abs(confidence - abstention.min_confidence) < 0.1
    assert (out_of_fold != of_all).any() and (out_of_fold == of_all)[~near].all()


def test_a_confidence_leaves_the_documents_below_it_undecided() -> None:
    probabilities, truth, _ = draw(200)
    predicted = probabilities.argmax(axis=1)
    abstention, out_of_fold = fit_abstention(truth, predicted, probabilities, AbstentionOptions(min_confidence=0.8))
    sure = probabilities.max(axis=1) >= 0.8
    np.testing.assert_array_equal(out_of_fold, np.where(sure, predicted, ABSTAINED))
    np.testing.assert_array_equal(abstention.apply(predicted, probabilities), out_of_fold)
    evidence = abstention.evidence
    assert evidence is not None and evidence.decided.value == sure.mean()
    assert evidence.selective_accuracy.value == (truth == predicted)[sure].mean() > evidence.accuracy.value
    assert evidence.curve.coverage[-1] == 1
    assert evidence.curve.accuracy[-1] == pytest.approx(evidence.accuracy.value)
    assert "At a confidence of at least 0.800" in abstention.sentences[0]


def test_documents_unlike_training_are_named_so_whatever_their_confidence() -> None:
    predicted, probabilities = np.array([0, 1, 0]), np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4]])
    abstention = Abstention(0.7, other=OTHERS)
    assert abstention.apply(predicted, probabilities, np.array([1.0, 2.0, 2.0])).tolist() == [0, OTHER, OTHER]
    assert abstention.apply(predicted, probabilities).tolist() == [0, 1, ABSTAINED]
    options, is_other = AbstentionOptions(other=True), np.array([False, True, False])
    _, out_of_fold = fit_abstention(
        predicted, predicted, probabilities, options, np.arange(3), other=OTHERS, is_other=is_other
    )
    assert out_of_fold.tolist() == [0, OTHER, 0]


def test_an_abstention_comes_back_from_json() -> None:
    probabilities, truth, _ = draw(50)
    abstention, _ = fit_abstention(
        truth, truth, probabilities, AbstentionOptions(coverage=0.8), hierarchy=SMALL, other=OTHERS
    )
    read = Abstention.from_json(json.loads(json.dumps(abstention.to_json(), allow_nan=False)))
    assert read == abstention and read.evidence is not None and abstention.evidence is not None
    assert read.evidence.to_json() == abstention.evidence.to_json()
    np.testing.assert_array_equal(read.apply(truth, probabilities), abstention.apply(truth, probabilities))


def test_requests_that_cannot_be_met_are_refused() -> None:
    options: tuple[dict[str, Any], ...] = ({"min_confidence": 0.0}, {"coverage": 1.5}, {"coverage": math.nan})
    for refused in options:
        with pytest.raises(CallError, match="must be above 0 and at most 1"):
            AbstentionOptions(**refused)
    for share in (0.0, 1.0, math.nan):  # 1 would leave every document undecided
        with pytest.raises(CallError, match="--false-alarms must be above 0 and below 1"):
            AbstentionOptions(other=True, false_alarms=share)
    with pytest.raises(CallError, match="Leave one of them out"):
        AbstentionOptions(min_confidence=0.5, coverage=0.9)
    truth, probabilities = np.ones((5, 2), dtype=bool), np.ones((5, 2))
    with pytest.raises(CallError, match="any number of labels cannot be left undecided"):
        fit_abstention(truth, truth, probabilities, AbstentionOptions(coverage=0.9))
    assert not AbstentionOptions().is_requested and AbstentionOptions(other=True).is_requested


def test_a_node_above_the_true_label_is_right_as_its_confidence_means() -> None:
    truth, predicted = np.array([0, 1, 3, 0]), np.array([SPORT, SPORT, SPORT, 1])  # golf, hockey, another label, golf
    probabilities = np.full((4, 4), 0.25)
    abstention, _ = fit_abstention(truth, predicted, probabilities, AbstentionOptions(coverage=1.0), hierarchy=SMALL)
    assert abstention.evidence is not None and abstention.evidence.accuracy.value == 0.5
    assert "(by the true label or a node above it)" in abstention.sentences[0]


def test_without_a_threshold_of_confidence_no_sentence_is_about_one() -> None:
    probabilities, truth, _ = draw(50)
    predicted, is_other = probabilities.argmax(axis=1), np.arange(len(truth)) < 2

    def sentences(options: AbstentionOptions) -> tuple[str, ...]:
        fitted, _ = fit_abstention(
            truth, predicted, probabilities, options, np.arange(len(truth)), other=OTHERS, is_other=is_other
        )
        return fitted.sentences

    alone, both = sentences(AbstentionOptions(other=True)), sentences(AbstentionOptions(other=True, coverage=0.9))
    assert both[1:] == alone
    assert "and before those unlike training are left out" in both[0]
