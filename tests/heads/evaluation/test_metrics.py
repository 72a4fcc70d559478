"""The metrics, compared with scikit-learn, and their confidence intervals, checked for coverage."""

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    f1_score,
    mean_absolute_error,
    precision_recall_fscore_support,
)

from heads.evaluation.bootstrap import resample_metrics
from heads.evaluation.metrics import ABSOLUTE_ERROR, MACRO_F1, Scorecard, macro_f1, ranking_metric, scorecard

LABELS = 5
NAMES = ("a", "b", "c", "d", "e")


def codes(documents: int) -> st.SearchStrategy[NDArray[np.int64]]:
    return arrays.arrays(np.int64, documents, elements=st.integers(0, LABELS - 1))


def matrices(documents: int) -> st.SearchStrategy[NDArray[np.bool_]]:
    return arrays.arrays(np.bool_, (documents, LABELS))


singles = st.integers(1, 30).flatmap(lambda documents: st.tuples(codes(documents), codes(documents)))
multilabels = st.integers(1, 30).flatmap(lambda documents: st.tuples(matrices(documents), matrices(documents)))
either = st.one_of(singles, multilabels)


def sample(documents: int, labels: int, right: float, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    truth, other = random.integers(labels, size=(2, documents))
    return truth, np.where(random.random(documents) < right, truth, other)


@settings(deadline=None, max_examples=50)
@given(singles)
def test_metrics_of_single_labels_equal_scikit_learns(pair: tuple[Any, Any]) -> None:
    card = scorecard(*pair, NAMES, resamples=2)
    assert card.macro_f1.value == pytest.approx(f1_score(*pair, average="macro", zero_division=0))
    assert card.micro_f1.value == pytest.approx(f1_score(*pair, average="micro", zero_division=0))
    assert card.accuracy.value == pytest.approx(accuracy_score(*pair))


@settings(deadline=None, max_examples=50)
@given(multilabels)
def test_metrics_of_multilabel_targets_equal_scikit_learns(pair: tuple[Any, Any]) -> None:
    card = scorecard(*pair, NAMES, resamples=2)
    present = np.flatnonzero(pair[0].any(axis=0) | pair[1].any(axis=0))
    macro = f1_score(*pair, labels=present, average="macro", zero_division=0) if len(present) else 0.0
    assert card.macro_f1.value == pytest.approx(macro)
    assert card.micro_f1.value == pytest.approx(f1_score(*pair, average="micro", zero_division=0))
    assert card.accuracy.value == pytest.approx(accuracy_score(*pair))


@settings(deadline=None, max_examples=50)
@given(either)
def test_metrics_of_each_label_equal_scikit_learns(pair: tuple[Any, Any]) -> None:
    card = scorecard(*pair, NAMES, resamples=2)
    expected = precision_recall_fscore_support(*pair, labels=range(LABELS), zero_division=0)
    for label, column in zip(card.labels, np.transpose(expected), strict=True):
        assert [label.precision, label.recall, label.f1, label.support] == pytest.approx(list(column))
    assert [label.label for label in card.labels] == list(NAMES)


@settings(deadline=None, max_examples=100)
@given(singles)
def test_metrics_of_ordinal_labels_equal_scikit_learns(pair: tuple[Any, Any]) -> None:
    card = scorecard(*pair, NAMES, resamples=2, ordinal=True)
    assert card.absolute_error is not None and card.quadratic_kappa is not None
    assert card.absolute_error.value == pytest.approx(mean_absolute_error(*pair))
    one_label = len(np.unique(pair)) == 1  # scikit-learn's kappa is undefined here
    kappa = 0.0 if one_label else cohen_kappa_score(*pair, weights="quadratic", labels=range(LABELS))
    assert card.quadratic_kappa.value == pytest.approx(kappa, abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(singles)
def test_a_reversed_order_has_the_same_error_and_kappa(pair: tuple[Any, Any]) -> None:
    reverse = (LABELS - 1 - pair[0], LABELS - 1 - pair[1])
    forward, backward = (scorecard(*arrays, NAMES, resamples=2, ordinal=True) for arrays in (pair, reverse))
    assert forward.absolute_error is not None and backward.absolute_error is not None
    assert forward.absolute_error.value == backward.absolute_error.value
    assert forward.quadratic_kappa is not None and backward.quadratic_kappa is not None
    assert forward.quadratic_kappa.value == pytest.approx(backward.quadratic_kappa.value, abs=1e-12)


def test_resampled_metrics_of_ordinal_labels_equal_those_of_resampled_documents() -> None:
    truth, predicted = sample(400, LABELS, right=0.6)
    card = scorecard(truth, predicted, NAMES, ordinal=True)
    assert card.absolute_error is not None and card.quadratic_kappa is not None
    random = np.random.default_rng(1)
    rows = random.integers(len(truth), size=(1000, len(truth)))
    errors = [mean_absolute_error(truth[drawn], predicted[drawn]) for drawn in rows]
    kappas = [cohen_kappa_score(truth[drawn], predicted[drawn], weights="quadratic") for drawn in rows]
    for interval, by_hand in ((card.absolute_error, errors), (card.quadratic_kappa, kappas)):
        assert [interval.low, interval.high] == pytest.approx(np.quantile(by_hand, [0.025, 0.975]).tolist(), abs=0.02)


def test_labels_without_an_order_have_no_error_in_the_scorecard_and_its_json() -> None:
    card = scorecard(*sample(20, LABELS, right=0.6), NAMES, resamples=2)
    content = {
        name: value for name, value in card.to_json().items() if name not in ("absolute_error", "quadratic_kappa")
    }
    assert Scorecard.from_json(content) == card
    assert card.absolute_error is card.quadratic_kappa is None


def test_predictions_are_ranked_by_their_error_if_all_have_one() -> None:
    pair = sample(20, LABELS, right=0.6)
    plain, ordinal = (scorecard(*pair, NAMES, resamples=2, ordinal=flag) for flag in (False, True))
    assert ranking_metric([ordinal, ordinal]) == ABSOLUTE_ERROR
    assert ranking_metric([ordinal, plain]) == ranking_metric([plain]) == ranking_metric([]) == MACRO_F1
    assert ABSOLUTE_ERROR.signed_value(ordinal) < 0 < MACRO_F1.signed_value(ordinal)


@settings(deadline=None, max_examples=50)
@given(either)
def test_macro_f1_equals_that_of_the_scorecard(pair: tuple[Any, Any]) -> None:
    assert macro_f1(*pair, LABELS) == scorecard(*pair, NAMES, resamples=2).macro_f1.value


def test_a_label_in_the_truth_only_counts_as_missed() -> None:
    # a: both documents correct; b: its document predicted as a; c, d, e: absent.  F1 of a = 2*2/(3+2), of b = 0
    card = scorecard(np.array([0, 0, 1]), np.array([0, 0, 0]), NAMES)
    assert card.macro_f1.value == pytest.approx((0.8 + 0.0) / 2)
    assert card.labels[1].support == 1
    assert card.labels[1].recall == 0


def test_predictions_of_each_label_are_counted() -> None:
    card = scorecard(np.array([0, 0, 1]), np.array([0, 2, 2]), NAMES)
    assert [label.predicted for label in card.labels] == [1, 0, 2, 0, 0]


@settings(deadline=None, max_examples=30)
@given(either)
def test_a_scorecard_round_trips_through_json(pair: tuple[Any, Any]) -> None:
    card = scorecard(*pair, NAMES, resamples=10, ordinal=pair[0].ndim == 1)
    assert Scorecard.from_json(json.loads(json.dumps(card.to_json(), allow_nan=False))) == card


@pytest.mark.parametrize("shape", [(0,), (0, LABELS)])
def test_metrics_of_no_documents_are_zero(shape: tuple[int, ...]) -> None:
    nothing = np.zeros(shape, dtype=bool if len(shape) == 2 else np.int64)
    card = scorecard(nothing, nothing, NAMES)
    assert (card.documents, card.macro_f1.value, card.accuracy.low, card.micro_f1.high) == (0, 0.0, 0.0, 0.0)


def test_arrays_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match=r"truth is int64 \(2,\), but prediction is int64 \(3,\)"):
        scorecard(np.array([0, 1]), np.array([0, 1, 1]), NAMES)
    with pytest.raises(ValueError, match="predicted label codes must be -2 to 4, but they are -3 to 0"):
        macro_f1(np.array([0, 1]), np.array([0, -3]), LABELS)
    with pytest.raises(ValueError, match="label codes must be 0 to 4, but they are 0 to 5"):
        macro_f1(np.array([0, 5]), np.array([0, 1]), LABELS)
    with pytest.raises(ValueError, match=r"must be bool \(documents, 5\), but they are bool \(2, 4\)"):
        macro_f1(np.zeros((2, 4), dtype=bool), np.zeros((2, 4), dtype=bool), LABELS)


def test_the_confidence_interval_of_accuracy_covers_the_true_value_in_95_percent_of_samples() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        right = random.random(200) < 0.8
        interval = scorecard(np.zeros(200, dtype=int), np.where(right, 0, 1), NAMES, seed, resamples=400).accuracy
        covered += interval.low <= 0.8 <= interval.high
    # a standard error of 0.013 at 300 samples, and 0.01 because a share of 200 moves in steps of 0.005
    assert covered / 300 == pytest.approx(0.95, abs=0.04)


def test_for_many_documents_the_confidence_interval_of_accuracy_is_the_normal_one() -> None:
    right = np.arange(10_000) % 5 > 0
    interval = scorecard(np.zeros(10_000, dtype=int), np.where(right, 0, 1), NAMES, resamples=4000).accuracy
    half_width = 1.96 * np.sqrt(0.8 * 0.2 / 10_000)
    # a 2.5 % quantile of 4,000 draws is known to 2 % of this
    assert [interval.low, interval.high] == pytest.approx([0.8 - half_width, 0.8 + half_width], abs=0.08 * half_width)


def test_resamples_vary_as_much_as_documents_drawn_one_by_one() -> None:
    truth, predicted = sample(60, LABELS, 0.6)
    (quick,) = resample_metrics(truth, [predicted], LABELS, seed=1, resamples=4000)
    random = np.random.default_rng(2)
    rows = [random.integers(60, size=60) for _ in range(4000)]
    slow = np.array([macro_f1(truth[drawn], predicted[drawn], LABELS) for drawn in rows])
    # a standard deviation of 4,000 draws is known to about 1 %, a mean to a sixtieth of it
    assert quick.macro_f1.std() == pytest.approx(slow.std(), rel=0.06)
    assert quick.macro_f1.mean() == pytest.approx(slow.mean(), abs=0.1 * slow.std())


def test_multilabel_targets_with_one_label_per_document_resample_like_single_labels() -> None:
    truth, predicted = sample(50, LABELS, 0.6)
    columns = np.arange(LABELS)
    (single,) = resample_metrics(truth, [predicted], LABELS, seed=1, resamples=3000)
    (multilabel,) = resample_metrics(
        truth[:, None] == columns, [predicted[:, None] == columns], LABELS, seed=2, resamples=3000
    )
    for name in ("macro_f1", "micro_f1", "accuracy"):
        one, other = getattr(single, name), getattr(multilabel, name)
        # accuracy of 50 documents moves in steps of 0.02
        assert np.quantile(one, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(other, [0.1, 0.5, 0.9]), abs=0.03)


def test_two_predictions_are_resampled_together() -> None:
    truth, predicted = sample(80, LABELS, 0.6)
    worse = np.where(np.arange(80) == 7, (truth + 1) % LABELS, predicted)
    first, second, again = resample_metrics(truth, [predicted, worse, predicted], LABELS)
    assert np.array_equal(first.accuracy, again.accuracy)
    # they differ in document 7 only, which each resample draws a whole number of times
    drawn = (first.accuracy - second.accuracy) * 80
    assert drawn == pytest.approx(np.round(drawn), abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(12)))
def test_the_order_of_documents_changes_nothing(order: list[int]) -> None:
    truth, predicted = sample(12, LABELS, 0.5)
    assert scorecard(truth[order], predicted[order], NAMES, resamples=50) == scorecard(
        truth, predicted, NAMES, resamples=50
    )


def test_the_seed_determines_the_confidence_interval() -> None:
    pair = sample(100, LABELS, 0.5)
    assert scorecard(*pair, NAMES, seed=3) == scorecard(*pair, NAMES, seed=3)
    assert scorecard(*pair, NAMES, seed=3) != scorecard(*pair, NAMES, seed=4)


def test_a_million_documents_need_little_memory() -> None:
    pair = sample(1_000_000, 20, 0.7)
    tracemalloc.start()
    try:
        scorecard(*pair, [str(label) for label in range(20)], resamples=200)
        assert tracemalloc.get_traced_memory()[1] < 100e6  # the two inputs are 16 MB
    finally:
        tracemalloc.stop()


def test_thousands_of_labels_need_memory_for_one_block_of_resamples() -> None:
    truth, *predictions = np.random.default_rng(0).integers(3000, size=(5, 100))
    tracemalloc.start()
    try:
        resample_metrics(truth, predictions, 3000)
        assert tracemalloc.get_traced_memory()[1] < 150e6  # the counts of all resamples are 288 MB
    finally:
        tracemalloc.stop()
