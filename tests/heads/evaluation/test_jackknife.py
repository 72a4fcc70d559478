"""The jackknife's standard error, compared with the bootstrap's and with the one that can be worked out."""

import numpy as np
import pytest

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from heads.evaluation.bootstrap import resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.count_table import CountTables
from heads.evaluation.document_measures import measure_documents
from heads.evaluation.jackknife import count_groups, difference_error

random = np.random.default_rng(0)
TRUTH = random.integers(5, size=600)
FIRST, SECOND = (np.where(random.random(600) < share, TRUTH, random.integers(5, size=600)) for share in (0.8, 0.7))


def test_the_error_of_an_accuracy_is_that_of_a_share() -> None:
    error = difference_error(TRUTH[:400], [FIRST[:400]], [TRUTH[:400]], lambda counts: counts.accuracy, 5)
    correct = FIRST[:400] == TRUTH[:400]
    assert error == pytest.approx(correct.std(ddof=1) / np.sqrt(400))


def test_the_error_is_that_of_a_bootstrap() -> None:
    error = difference_error(TRUTH, [FIRST], [SECOND], lambda counts: counts.macro_f1, 5)
    first, second = resample_metrics(CountTables.build(TRUTH, [FIRST, SECOND], 5))
    assert error == pytest.approx(np.std(first["macro_f1"] - second["macro_f1"]), rel=0.1)


def test_a_label_with_one_document_counts_with_all_that_it_changes() -> None:
    truth = np.append(np.zeros(99, dtype=np.int64), 1)
    wrong = np.zeros(100, dtype=np.int64)
    error = difference_error(truth, [truth], [wrong], lambda counts: counts.macro_f1, 2)
    gain = 1 - float(ConfusionCounts.from_predictions(truth, wrong, 2).macro_f1)
    assert error == pytest.approx(gain, rel=0.05)


@pytest.mark.parametrize("kind", ["single", "multilabel", "path"])
def test_the_counts_of_all_groups_are_those_of_all_documents(kind: str) -> None:
    hierarchy = None
    truth, predicted = TRUTH[:60], FIRST[:60]
    if kind == "multilabel":
        truth, predicted = truth[:, None] == np.arange(5), random.random((60, 5)) < 0.3
    if kind == "path":
        labels = tuple("abcde")
        hierarchy = Hierarchy.of(Taxonomy.from_parents(dict.fromkeys(labels, ("top",))), labels)
        predicted = np.where(predicted == 2, 5, predicted)  # a node that is no label
    measures = measure_documents(truth, predicted, hierarchy)
    groups = count_groups(truth, predicted, 5, np.arange(60) % 7, 7, measures)
    expected = ConfusionCounts.from_predictions(truth, predicted, 5, hierarchy)
    for name in ("true_positives", "predicted", "support", "exact_matches", "documents"):
        np.testing.assert_array_equal(np.sum(getattr(groups, name), axis=0), getattr(expected, name))
    assert expected.sums.keys() == groups.sums.keys()
    for name, total in expected.sums.items():
        np.testing.assert_allclose(groups.sums[name].sum(axis=0), total)


def test_one_document_has_no_error() -> None:
    assert difference_error(TRUTH[:1], [FIRST[:1]], [SECOND[:1]], lambda counts: counts.accuracy, 5) == 0.0
