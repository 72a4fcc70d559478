"""Token attributions by coefficients sum to the scores of the head."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from featurestore import Bags, ChunkLayout, Ragged
from heads.classifiers.fused import FusedHead
from heads.classifiers.tfidf import TfIdfHead
from heads.linear_models.ngram_attribution import margin_gradient
from heads.planted_signals import make_bags
from tests.heads.words import ids_of, topics


@pytest.mark.parametrize("ngrams", [1, 2, 3])
def test_attributions_sum_to_the_margin_without_its_bias(ngrams: int) -> None:
    planted = topics()
    head = TfIdfHead(ngrams=ngrams).fit(planted.bags, planted.y)
    attributions = head.coefficients_times_input(planted.bags, 2, 0)
    assert [len(attribution) for attribution in attributions] == planted.bags.view("token_ids").length.tolist()
    margin = head.decision_function(planted.bags)[:, 2] - head.decision_function(planted.bags)[:, 0]
    bias = head.linear_.intercepts[2] - head.linear_.intercepts[0]
    np.testing.assert_allclose([attribution.sum() for attribution in attributions], margin - bias, atol=1e-4)


def test_a_token_of_the_label_has_a_positive_attribution() -> None:
    planted = topics()
    head = TfIdfHead().fit(planted.bags, planted.y)
    ids, attributions = planted.bags.view("token_ids"), head.coefficients_times_input(planted.bags, 1)
    values = np.concatenate(attributions)
    of_label = ids.gather()[0] // 10 == 1
    assert values[of_label].mean() > 0.01 > values[~of_label].mean()


def test_an_attribution_equals_the_one_by_hand() -> None:
    """The document is "a b"; a, b and a-b are in the vocabulary, and each occurs once."""
    bags, y = ids_of(list(np.array([[1, 2], [1, 2], [3, 4], [3, 4]]))), np.array(["x", "x", "y", "y"])
    head = TfIdfHead().fit(bags, y)
    (attribution,) = head.coefficients_times_input(bags[[0]], 0, 1)
    row = head.tfidf_.transform(bags[[0]].contiguous_tokens(), 1)
    slope = head.linear_.coefficients[row.indices, 0] - head.linear_.coefficients[row.indices, 1]
    first, second, both = (row.data * slope).tolist()
    np.testing.assert_allclose(attribution, [first + both / 2, second + both / 2], atol=1e-6)


def test_a_token_shared_by_chunks_counts_in_the_first() -> None:
    planted = topics()
    rows = [planted.bags.view("token_ids").row(row) for row in range(len(planted.bags))]
    # windows of 8 with 3 tokens in common, as a store keeps them
    layout = ChunkLayout(window=8, stride=3, has_gap=False)
    chunked, first_occurrences = [], []
    for row in rows:
        starts = [0, *range(5, max(len(row) - 3, 1), 5)]
        chunked.append(np.concatenate([row[start : start + 8] for start in starts]))
        first_occurrences.append(
            np.concatenate([np.arange(start, start + 8) >= (0 if not start else start + 3) for start in starts])
        )
    stored = Bags({"token_ids": Ragged.from_rows(chunked)}, layout)
    head = TfIdfHead().fit(planted.bags, planted.y)
    plain, shared = (head.coefficients_times_input(bags, 0) for bags in (planted.bags, stored))
    for expected, attribution, first in zip(plain, shared, first_occurrences, strict=True):
        is_first = first[: len(attribution)]
        np.testing.assert_allclose(attribution[is_first], expected, atol=1e-6)
        assert not attribution[~is_first].any()


def test_attributions_of_fused_sum_to_the_score_of_its_ngrams() -> None:
    planted = topics(own=0.8)
    noise = make_bags(list(np.random.default_rng(0).normal(size=(len(planted.bags), 1, 4))))
    bags = Bags({**noise.views, "token_ids": planted.bags.view("token_ids")})
    head = FusedHead(strength=0.6).fit(bags, planted.y)
    attributions = head.coefficients_times_input(bags, 1, 2)
    words = head.tfidf_.transform(bags.contiguous_tokens(), len(bags)) @ head.linear_.coefficients
    np.testing.assert_allclose(
        [attribution.sum() for attribution in attributions], words[:, 1] - words[:, 2], atol=1e-4
    )


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=6), st.data())
def test_the_gradient_equals_finite_differences(scores: list[float], data: st.DataObject) -> None:
    column = data.draw(st.integers(0, len(scores) - 1))

    def margin(values: Any) -> float:
        log_probability = log_softmax(values)[column]
        return float(log_probability - np.log1p(-np.exp(log_probability)))

    logits = np.array(scores)
    gradient = margin_gradient(logits.astype(np.float32), column, None, multilabel=False)
    for label in range(len(scores)):
        step = 1e-4 * np.eye(len(scores))[label]
        expected = (margin(logits + step) - margin(logits - step)) / 2e-4
        np.testing.assert_allclose(gradient[label], expected, atol=1e-4)


def test_the_gradient_of_a_multilabel_score_is_its_own() -> None:
    assert margin_gradient(np.zeros(3, np.float32), 1, None, multilabel=True).tolist() == [0, 1, 0]
