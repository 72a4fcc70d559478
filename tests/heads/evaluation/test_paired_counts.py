"""Paired counts of right documents, and the interval of their difference."""

import numpy as np
import pytest

from heads.evaluation.document_measures import is_right
from heads.evaluation.paired_counts import PairedCounts


def test_documents_are_counted_by_who_is_right() -> None:
    first, second = np.array([1, 1, 1, 0, 0, 0], bool), np.array([1, 1, 0, 1, 0, 0], bool)
    counts = PairedCounts.of(first, second)
    assert counts == PairedCounts(2, 1, 1, 2) and counts.documents == 6
    assert counts.first_accuracy == counts.second_accuracy == 0.5
    assert PairedCounts.from_json(counts.to_json()) == counts


def test_the_interval_is_that_of_agresti_and_min() -> None:
    # worked out for 53, 16, 8, 23: (16.5 - 8.5) / 102 ± 1.96 sqrt(25 - 64 / 102) / 102
    difference = PairedCounts(53, 16, 8, 23).difference
    assert difference.value == pytest.approx(0.08)
    assert [difference.low, difference.high] == pytest.approx([-0.01644, 0.17330], abs=1e-4)


def test_predictions_that_agree_have_an_interval_that_narrows_with_documents() -> None:
    few, many = PairedCounts(9, 0, 0, 1).difference, PairedCounts(900, 0, 0, 100).difference
    assert few.value == many.value == 0 and few.high > 0.1 > 0.003 > many.high > 0


def test_a_multilabel_document_is_right_if_all_its_labels_are() -> None:
    truth = np.array([[1, 0], [1, 1]], bool)
    assert is_right(truth, np.array([[1, 0], [1, 0]], bool)).tolist() == [True, False]
    assert is_right(np.array([0, 1]), np.array([0, -1])).tolist() == [True, False]
