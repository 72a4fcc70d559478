"""The thresholds of the page's slider separate documents as scores do, and give scikit-learn's metrics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import precision_recall_fscore_support

from stages.report.precision_recall import precision_recall_curve
from stages.report.thresholds import shortest_thresholds

scores = arrays(np.float32, 30, elements=st.floats(0, 1, width=32))
truths = arrays(np.bool_, 30).filter(lambda truth: truth.any())


def test_a_threshold_has_as_few_digits_as_separate_the_scores() -> None:
    distinct = np.array([0.1234, 0.5, 0.53125, 0.96875], dtype=np.float32)
    assert list(shortest_thresholds(distinct, distinct)) == [0.1, 0.5, 0.53, 0.9]


@settings(max_examples=25)
@given(scores)
def test_a_threshold_separates_the_same_documents_in_single_and_double_precision(values: np.ndarray) -> None:
    distinct = np.unique(values)
    for score, threshold in zip(distinct, shortest_thresholds(distinct, distinct), strict=True):
        expected = (values >= score).tolist()
        assert (values >= threshold).tolist() == expected
        assert (values.astype(np.float64) >= threshold).tolist() == expected


@settings(max_examples=25)
@given(truths, scores)
def test_every_point_gives_the_metrics_of_scikit_learn(truth: np.ndarray, values: np.ndarray) -> None:
    curve = precision_recall_curve("a", truth, values)
    assert curve is not None
    for threshold, hits, predicted in zip(
        curve.points.thresholds, curve.points.hits, curve.points.predicted, strict=True
    ):
        decided = values >= threshold
        precision, recall, f1, _ = precision_recall_fscore_support(truth, decided, average="binary")
        assert (hits, predicted) == ((truth & decided).sum(), decided.sum())
        assert hits / predicted == pytest.approx(precision, abs=1e-15)
        assert hits / curve.documents == pytest.approx(recall, abs=1e-15)
        assert 2 * hits / (predicted + curve.documents) == pytest.approx(f1, abs=1e-15)


def test_unknown_scores_are_no_thresholds() -> None:
    truth, values = np.array([True, True, False, True]), np.array([0.5, np.nan, -np.inf, 0.25])
    curve = precision_recall_curve("a", truth, values)
    assert curve is not None and curve.points.thresholds == (0.2, 0.5) and curve.points.hits == (2, 1)
    unknown = precision_recall_curve("a", truth, np.full(4, np.nan))
    assert unknown is not None and unknown.points.thresholds == ()
