"""Class weights, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.errors import CallError
from heads.core.class_weights import ClassWeight, class_weights, loss_weights

LABELS = ["a", "b", "c"]
SIX_TO_TWO = np.array([0, 0, 0, 0, 0, 0, 1, 1])


def test_balanced_weights_are_documents_by_labels_times_count() -> None:
    assert class_weights(SIX_TO_TWO, "balanced", ["a", "b"]).tolist() == pytest.approx([8 / 12, 8 / 4])


def test_a_label_without_documents_weighs_one_and_takes_no_share() -> None:
    assert class_weights(SIX_TO_TWO, "balanced", LABELS).tolist() == pytest.approx([8 / 12, 8 / 4, 1])


def test_no_weights_are_ones() -> None:
    assert class_weights(SIX_TO_TWO, "none", LABELS).tolist() == [1, 1, 1]


def test_effective_weights_follow_the_number_of_effective_documents() -> None:
    # of 1 document: 1; of 2: 1 + 0.999. Weights 1 and 1 / 1.999, scaled to a mean of 1 over three documents
    one, two = class_weights(np.array([0, 1, 1]), "effective", ["a", "b"])
    assert one / two == pytest.approx(1.999)
    assert one + 2 * two == pytest.approx(3)


def test_square_root_weights_lie_halfway_between_none_and_balanced() -> None:
    # sqrt(6) and sqrt(2): a ratio of sqrt(3), where balanced has 3
    common, rare = class_weights(SIX_TO_TWO, "sqrt", ["a", "b"])
    assert rare / common == pytest.approx(3**0.5)
    assert 6 * common + 2 * rare == pytest.approx(8)


def test_given_weights_keep_their_ratio_and_a_label_left_out_weighs_one() -> None:
    # 6 x 4 + 2 x 1 = 26 over 8 documents
    assert class_weights(SIX_TO_TWO, {"a": 4.0}, ["a", "b"]).tolist() == pytest.approx([4 * 8 / 26, 8 / 26])


def test_a_sample_weight_counts_as_so_many_documents() -> None:
    weight = np.array([1, 1, 1, 1, 1, 1, 5, 1.0])
    by_copies = class_weights(np.repeat(SIX_TO_TWO, weight.astype(int)), "effective", ["a", "b"])
    assert class_weights(SIX_TO_TWO, "effective", ["a", "b"], weight).tolist() == pytest.approx(by_copies.tolist())


def test_several_labels_weigh_absence_and_presence_each() -> None:
    y = np.array([[True, True], [False, True], [False, True], [False, True]])
    absent, present = class_weights(y, "balanced", [0, 1])
    assert present.tolist() == pytest.approx([4 / 2, 1])  # the second is never absent: one class, weight 1
    assert absent.tolist() == pytest.approx([4 / 6, 1])
    np.testing.assert_allclose(loss_weights(y, "balanced", [0, 1], np.ones(4))[:, 0], [2, 4 / 6, 4 / 6, 4 / 6])


@given(
    y=arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 2)),
    class_weight=st.sampled_from(["balanced", "none", "effective", "sqrt", {"a": 3.0, "c": 0.1}]),
)
def test_the_mean_over_documents_is_always_one(y: np.ndarray, class_weight: ClassWeight) -> None:
    assert loss_weights(y, class_weight, LABELS, np.ones(len(y))).mean() == pytest.approx(1)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), "much"])
def test_a_weight_that_is_no_number_above_zero_is_refused(weight: object) -> None:
    with pytest.raises(CallError, match=r"class_weight of 'a' is .*\. It must be a number above 0\."):
        class_weights(SIX_TO_TWO, {"a": weight}, LABELS)  # type: ignore[dict-item]


def test_a_tiny_sum_of_weights_has_the_effective_weights_of_its_ratio() -> None:
    weights = class_weights(SIX_TO_TWO, "effective", ["a", "b"], np.full(8, 1e-18))
    assert weights.tolist() == pytest.approx([8 / 12, 8 / 4])  # far below one document, those of balanced
