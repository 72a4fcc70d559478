"""The metrics, compared with scikit-learn, and their confidence intervals, checked for coverage."""

import json
import tracemalloc
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy.stats import bootstrap
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    hamming_loss,
    matthews_corrcoef,
    mean_absolute_error,
)
from sklearn.metrics import precision_recall_fscore_support as scikit_learn

from heads.evaluation.bca import acceleration_of, accelerations, bca_interval
from heads.evaluation.bootstrap import ConfidenceInterval, resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.count_table import CountTables
from heads.evaluation.decisions import ABSTAINED, OTHER
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


def averages(pair: tuple[Any, Any], kinds: Sequence[str]) -> dict[str, float]:
    """scikit-learn's precision, recall and F1 by average; macro ones over the labels in truth or prediction."""
    present = np.unique(pair) if pair[0].ndim == 1 else np.flatnonzero(pair[0].any(axis=0) | pair[1].any(axis=0))
    values: dict[str, float] = {}
    for kind in kinds:
        labels = present if kind == "macro" and pair[0].ndim == 2 else None
        is_empty = labels is not None and not len(labels)
        scores = (0.0, 0.0, 0.0) if is_empty else scikit_learn(*pair, labels=labels, average=kind, zero_division=0)[:3]
        values |= dict(zip((f"{kind}_precision", f"{kind}_recall", f"{kind}_f1"), scores, strict=True))
    return values


def equal_metrics(card: Scorecard, expected: dict[str, float]) -> bool:
    found = {name: getattr(card, name).value for name in expected}
    return found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(singles)
def test_metrics_of_single_labels_equal_scikit_learns(pair: tuple[Any, Any]) -> None:
    card, expected = scorecard(*pair, NAMES, resamples=2), averages(pair, ("macro", "micro", "weighted"))
    expected["accuracy"] = accuracy_score(*pair)
    one_label = len(np.unique(pair)) == 1  # scikit-learn warns that kappa is undefined
    with warnings.catch_warnings(action="ignore"):  # of labels that are only predicted
        expected["balanced_accuracy"] = balanced_accuracy_score(*pair)
        expected["mcc"] = matthews_corrcoef(*pair)
        expected["kappa"] = 0.0 if one_label else cohen_kappa_score(*pair)
    assert equal_metrics(card, expected)
    assert card.hamming_loss is card.samples_f1 is None


@settings(deadline=None, max_examples=25)
@given(multilabels)
def test_metrics_of_multilabel_targets_equal_scikit_learns(pair: tuple[Any, Any]) -> None:
    card, expected = scorecard(*pair, NAMES, resamples=2), averages(pair, ("macro", "micro", "weighted"))
    expected |= {"accuracy": accuracy_score(*pair), "hamming_loss": hamming_loss(*pair)}
    expected["samples_f1"] = f1_score(*pair, average="samples", zero_division=1)
    # a document without labels, for which none is predicted, counts as right; scikit-learn counts it as wrong
    right = np.mean(~pair[0].any(axis=1) & ~pair[1].any(axis=1))
    precision, recall = scikit_learn(*pair, average="samples", zero_division=0)[:2]
    expected |= {"samples_precision": precision + right, "samples_recall": recall + right}
    assert equal_metrics(card, expected)
    assert card.balanced_accuracy is card.mcc is card.kappa is None


@settings(deadline=None, max_examples=25)
@given(either)
def test_metrics_of_each_label_equal_scikit_learns(pair: tuple[Any, Any]) -> None:
    card = scorecard(*pair, NAMES, resamples=2)
    expected = scikit_learn(*pair, labels=range(LABELS), zero_division=0)
    for label, column in zip(card.labels, np.transpose(expected), strict=True):
        assert [label.precision, label.recall, label.f1, label.support] == pytest.approx(list(column), rel=1e-12)
    assert [label.label for label in card.labels] == list(NAMES)


@settings(deadline=None, max_examples=25)
@given(singles)
def test_metrics_of_ordinal_labels_equal_scikit_learns(pair: tuple[Any, Any]) -> None:
    card = scorecard(*pair, NAMES, resamples=2, ordinal=True)
    assert card.absolute_error is not None and card.quadratic_kappa is not None
    assert card.absolute_error.value == pytest.approx(mean_absolute_error(*pair))
    one_label = len(np.unique(pair)) == 1  # scikit-learn's kappa is undefined here
    kappa = 0.0 if one_label else cohen_kappa_score(*pair, weights="quadratic", labels=range(LABELS))
    assert card.quadratic_kappa.value == pytest.approx(kappa, abs=1e-12)


@settings(deadline=None, max_examples=25)
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
    rows = np.random.default_rng(1).integers(len(truth), size=(1000, len(truth)))
    drawn = [ConfusionCounts.from_predictions(truth[row], predicted[row], LABELS) for row in rows]
    errors, kappas = ([getattr(counts, name) for counts in drawn] for name in ("absolute_error", "quadratic_kappa"))
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


@settings(deadline=None, max_examples=25)
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
    for seed in range(150):
        right = random.random(200) < 0.8
        interval = scorecard(np.zeros(200, dtype=int), np.where(right, 0, 1), NAMES, seed, resamples=300).accuracy
        covered += interval.low <= 0.8 <= interval.high
    # a standard error of 0.018 at 150 samples, and 0.01 because a share of 200 moves in steps of 0.005
    assert covered / 150 == pytest.approx(0.95, abs=0.05)


def test_for_many_documents_the_confidence_interval_of_accuracy_is_the_normal_one() -> None:
    right = np.arange(10_000) % 5 > 0
    interval = scorecard(np.zeros(10_000, dtype=int), np.where(right, 0, 1), NAMES, resamples=4000).accuracy
    half_width = 1.96 * np.sqrt(0.8 * 0.2 / 10_000)
    # a 2.5 % quantile of 4,000 draws is known to 2 % of this
    assert [interval.low, interval.high] == pytest.approx([0.8 - half_width, 0.8 + half_width], abs=0.08 * half_width)


def test_resamples_vary_as_much_as_documents_drawn_one_by_one() -> None:
    truth, predicted = sample(60, LABELS, 0.6)
    (quick,) = resample_metrics(CountTables.build(truth, [predicted], LABELS), seed=1, resamples=4000)
    random = np.random.default_rng(2)
    rows = [random.integers(60, size=60) for _ in range(4000)]
    slow = np.array([macro_f1(truth[drawn], predicted[drawn], LABELS) for drawn in rows])
    # a standard deviation of 4,000 draws is known to about 1 %, a mean to a sixtieth of it
    assert quick["macro_f1"].std() == pytest.approx(slow.std(), rel=0.06)
    assert quick["macro_f1"].mean() == pytest.approx(slow.mean(), abs=0.1 * slow.std())


def test_multilabel_targets_with_one_label_per_document_resample_like_single_labels() -> None:
    truth, predicted = sample(50, LABELS, 0.6)
    columns = np.arange(LABELS)
    (single,) = resample_metrics(CountTables.build(truth, [predicted], LABELS), seed=1, resamples=3000)
    tables = CountTables.build(truth[:, None] == columns, [predicted[:, None] == columns], LABELS)
    (multilabel,) = resample_metrics(tables, seed=2, resamples=3000)
    for name in ("macro_f1", "micro_f1", "accuracy"):
        one, other = single[name], multilabel[name]
        # accuracy of 50 documents moves in steps of 0.02
        assert np.quantile(one, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(other, [0.1, 0.5, 0.9]), abs=0.03)


def test_two_predictions_are_resampled_together() -> None:
    truth, predicted = sample(80, LABELS, 0.6)
    worse = np.where(np.arange(80) == 7, (truth + 1) % LABELS, predicted)
    first, second, again = resample_metrics(CountTables.build(truth, [predicted, worse, predicted], LABELS))
    assert np.array_equal(first["accuracy"], again["accuracy"])
    # they differ in document 7 only, which each resample draws a whole number of times
    drawn = (first["accuracy"] - second["accuracy"]) * 80
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
        resample_metrics(CountTables.build(truth, predictions, 3000), resamples=600)
        assert tracemalloc.get_traced_memory()[1] < 130e6  # the counts of all resamples are 173 MB
    finally:
        tracemalloc.stop()


def test_a_negative_code_is_an_error_and_no_prediction_of_any_label() -> None:
    truth = np.array([0, 0, 1, 1, 2, 2])
    predicted = np.array([0, ABSTAINED, 1, 0, OTHER, 2])
    card = scorecard(truth, predicted, NAMES, resamples=20)
    assert [(label.support, label.predicted) for label in card.labels[:3]] == [(2, 2), (2, 1), (2, 1)]
    assert card.accuracy.value == card.micro_recall.value == 3 / 6  # type: ignore[union-attr]
    assert card.micro_precision is not None and card.micro_precision.value == 3 / 4
    assert card.decided_share is not None and card.decided_share.value == 4 / 6
    assert card.selective_accuracy is not None and card.selective_accuracy.value == 3 / 4
    # scikit-learn knows one more class, which is never true
    merged = np.where(predicted < 0, 9, predicted)
    assert card.mcc is not None and card.mcc.value == pytest.approx(matthews_corrcoef(truth, merged), abs=1e-12)
    assert card.kappa is not None and card.kappa.value == pytest.approx(cohen_kappa_score(truth, merged), abs=1e-12)
    assert Scorecard.from_json(card.to_json()) == card
    decided = scorecard(truth, truth, NAMES, resamples=2)
    assert decided.decided_share is decided.selective_accuracy is None


def test_the_error_of_ordinal_labels_is_that_of_decided_documents() -> None:
    truth, predicted = np.array([0, 1, 2, 3]), np.array([1, ABSTAINED, 2, 1])
    counts = ConfusionCounts.from_predictions(truth, predicted, LABELS)
    assert float(counts.absolute_error) == (1 + 0 + 2) / 3
    decided = predicted >= 0
    kappa = cohen_kappa_score(truth[decided], predicted[decided], weights="quadratic")
    assert float(counts.quadratic_kappa) == pytest.approx(kappa, abs=1e-12)
    perfect = ConfusionCounts.from_predictions(truth, np.where(truth == 1, ABSTAINED, truth), LABELS)
    assert float(perfect.quadratic_kappa) == 1


def test_the_correction_of_a_skewed_metric_moves_its_interval_towards_the_truth() -> None:
    # 10 of 10 documents are right in one of two labels, so resampled values are mostly above the value of the other
    draws, value = np.concatenate([np.full(600, 0.9), np.full(400, 0.5)]), 0.7
    plain, corrected = ConfidenceInterval.from_resamples(value, draws), bca_interval(value, draws, 0.0)
    assert (plain.low, plain.high) == (0.5, 0.9) and corrected.low == 0.5
    smooth = np.random.default_rng(0).normal(0.0, 1.0, 20_000)
    centered, shifted = bca_interval(0.0, smooth, 0.0), bca_interval(-0.2, smooth, 0.0)
    assert [centered.low, centered.high] == pytest.approx([-1.96, 1.96], abs=0.06)
    assert [shifted.low, shifted.high] == pytest.approx([-1.96 - 0.4, 1.96 - 0.4], abs=0.08)  # twice the bias


def test_the_interval_equals_scipys() -> None:
    random = np.random.default_rng(0)
    values = random.exponential(size=40)
    draws = values[random.integers(40, size=(5000, 40))].mean(axis=1)
    found = bca_interval(values.mean(), draws, acceleration_of(values - values.mean()))
    expected = bootstrap((values,), np.mean, n_resamples=5000, method="BCa", rng=1).confidence_interval
    assert [found.low, found.high] == pytest.approx(list(expected), rel=0.04)


@pytest.mark.parametrize(("value", "draws"), [(1.0, [1.0] * 9), (0.5, [0.7] * 9), (0.5, []), (0.5, [np.nan, 0.5])])
def test_degenerate_resamples_give_an_interval_that_contains_the_value(value: float, draws: list[float]) -> None:
    interval = bca_interval(value, np.array(draws), 0.2)
    assert interval.low <= interval.value == value <= interval.high


def test_accelerations_of_documents_and_of_groups_of_them_agree() -> None:
    random = np.random.default_rng(0)
    truth = random.random((2000, 8)) < 0.4
    predicted = truth ^ (random.random((2000, 8)) < 0.2)  # nearly all rows are distinct
    counts = ConfusionCounts.from_predictions(truth, predicted, 8)
    found = accelerations(CountTables.build(truth, [predicted], 8), counts)
    right = (truth == predicted).all(axis=1).astype(np.float64)
    assert float(found["accuracy"]) == pytest.approx(acceleration_of(right), abs=0.01)
    single = truth.argmax(axis=1)
    wrong = np.where(random.random(2000) < 0.1, 7, single)
    counts = ConfusionCounts.from_predictions(single, wrong, 8)
    of_pairs = accelerations(CountTables.build(single, [wrong], 8), counts)
    assert float(of_pairs["accuracy"]) == pytest.approx(acceleration_of((single == wrong).astype(np.float64)))
