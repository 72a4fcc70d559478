"""The data of a reliability diagram."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from heads.evaluation.calibration import ReliabilityDiagram
from heads.evaluation.probability_table import ProbabilityTable
from heads.evaluation.score_matrix import scores_to_probabilities
from tests.heads.evaluation.miscalibrated import multilabel, single_label


def test_bins_have_equally_many_documents_and_the_interval_of_scipy() -> None:
    logits, truth = single_label(300, 4)
    diagram = ReliabilityDiagram.of(truth, scores_to_probabilities(logits, multilabel=False), bins=6)
    assert [each.size for each in diagram.bins] == [50] * 6
    for each in diagram.bins:
        interval = binomtest(round(each.correct * 50), 50).proportion_ci(method="wilson")
        assert (each.low, each.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_the_ece_is_the_mean_distance_of_the_bins_from_the_diagonal() -> None:
    for multi, (logits, truth) in ((False, single_label(500, 4)), (True, multilabel(500, 4))):
        probabilities = scores_to_probabilities(3 * logits, multilabel=multi)
        bins = ReliabilityDiagram.of(truth, probabilities).bins
        error = sum(each.size * abs(each.correct - each.confidence) for each in bins) / sum(each.size for each in bins)
        assert error == pytest.approx(ProbabilityTable.of(truth, probabilities).values["ece"])


def test_most_bins_of_calibrated_probabilities_contain_their_confidence() -> None:
    logits, truth = single_label(6000, 4)
    bins = ReliabilityDiagram.of(truth, scores_to_probabilities(logits, multilabel=False)).bins
    assert sum(each.low <= each.confidence <= each.high for each in bins) >= 13


def test_equal_confidences_share_a_bin_and_no_documents_have_none() -> None:
    equal = np.full((10, 2), 0.5)
    assert len(ReliabilityDiagram.of(np.zeros(10, dtype=np.int64), equal).bins) == 1
    assert ReliabilityDiagram.of(np.zeros(0, dtype=np.int64), np.zeros((0, 2))).bins == ()


def test_a_diagram_survives_json() -> None:
    logits, truth = single_label(100, 3)
    diagram = ReliabilityDiagram.of(truth, scores_to_probabilities(logits, multilabel=False))
    assert ReliabilityDiagram.from_json(json.loads(json.dumps(diagram.to_json()))) == diagram
