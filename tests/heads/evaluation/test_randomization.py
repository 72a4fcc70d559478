"""Approximate randomization against all exchanges, McNemar's test against SciPy, and Holm's procedure by hand."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.metrics import ABSOLUTE_ERROR, MACRO_F1, METRICS, Metric
from heads.evaluation.randomization import adjust_holm, mcnemar_p_value, randomization_p_value

TRUTH = np.array([0, 0, 1, 1, 2, 2, 2, 0, 1, 2])
FIRST = np.array([0, 0, 1, 1, 2, 2, 1, 0, 1, 2])
SECOND = np.array([0, 1, 1, 0, 2, 0, 2, 1, 0, 2])


def exact_p_value(truth: NDArray[np.int64], pairs: list[tuple[NDArray[np.int64], ...]], metric: Metric) -> float:
    """The share of all exchanges after which the mean difference is at least as large."""

    def difference(exchanged: NDArray[np.bool_]) -> float:
        values = []
        for first, second in pairs:
            swapped = np.where(exchanged, second, first), np.where(exchanged, first, second)
            one, other = (metric.signed_value(ConfusionCounts.from_predictions(truth, each, 3)) for each in swapped)
            values.append(one - other)
        return abs(float(np.mean(values)))

    exchanges = [np.array(bits) for bits in product([False, True], repeat=len(truth))]
    observed = difference(exchanges[0]) - 1e-12
    return float(np.mean([difference(each) >= observed for each in exchanges]))


@pytest.mark.parametrize("metric", [MACRO_F1, METRICS["accuracy"], ABSOLUTE_ERROR], ids=lambda metric: metric.attribute)
def test_the_p_value_is_the_share_of_all_exchanges(metric: Metric) -> None:
    found = randomization_p_value(TRUTH, [FIRST], [SECOND], 3, metric)
    assert found == pytest.approx(exact_p_value(TRUTH, [(FIRST, SECOND)], metric), abs=0.015)


def test_seeds_of_a_document_are_exchanged_together() -> None:
    other = np.array([0, 1, 1, 1, 0, 0, 2, 1, 1, 2])
    found = randomization_p_value(TRUTH, [FIRST], [SECOND, other], 3, MACRO_F1)
    assert found == pytest.approx(exact_p_value(TRUTH, [(FIRST, SECOND), (FIRST, other)], MACRO_F1), abs=0.015)


def test_many_documents_with_equal_labels_are_exchanged_one_by_one() -> None:
    truth = np.repeat([0, 1], 100)
    first, second = truth.copy(), truth.copy()
    first[:40], second[40:70] = 1, 1
    found = randomization_p_value(truth, [first], [second], 2, METRICS["accuracy"])
    assert found == pytest.approx(binomtest(40, 70).pvalue, abs=0.015)


def test_equal_predictions_do_not_differ() -> None:
    several = np.eye(4, dtype=bool)
    assert randomization_p_value(several, [several], [several.copy()], 4, MACRO_F1) == 1
    assert randomization_p_value(several, [several], [~several], 4, MACRO_F1, exchanges=99) >= 2 / 16
    assert mcnemar_p_value(several, several, several) == 1


def test_mcnemar_is_the_exact_test_of_the_documents_that_only_one_gets_right() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=200)
    first, second = (np.where(rng.random(200) < share, truth, 0) for share in (0.8, 0.6))
    only_first = int(np.count_nonzero((first == truth) & (second != truth)))
    only_second = int(np.count_nonzero((first != truth) & (second == truth)))
    expected = binomtest(only_first, only_first + only_second).pvalue
    assert mcnemar_p_value(truth, first, second) == pytest.approx(expected, rel=1e-9)


def test_holm_multiplies_the_smallest_p_value_by_the_number_of_tests_and_keeps_the_order() -> None:
    assert adjust_holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert adjust_holm([0.04, 0.01, 0.03], family=6) == pytest.approx([0.16, 0.06, 0.15])
    assert adjust_holm([0.5, 0.9]) == [1, 1]
    assert adjust_holm([]) == []
