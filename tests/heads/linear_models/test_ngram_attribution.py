"""What tokens add by coefficients is what the head's own scores are made of."""

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
from tests.heads.planted import bags_of
from tests.heads.words import ids_of, topics


@pytest.mark.parametrize("ngrams", [1, 2, 3])
def test_they_sum_to_what_the_words_add_to_the_margin(ngrams: int) -> None:
    planted = topics()
    head = TfIdfHead(ngrams=ngrams).fit(planted.bags, planted.y)
    found = head.coefficients_times_input(planted.bags, 2, 0)
    assert [len(each) for each in found] == planted.bags.view("token_ids").length.tolist()
    margin = head.decision_function(planted.bags)[:, 2] - head.decision_function(planted.bags)[:, 0]
    bias = head.linear_.intercepts[2] - head.linear_.intercepts[0]
    np.testing.assert_allclose([each.sum() for each in found], margin - bias, atol=1e-4)


def test_a_token_of_the_label_speaks_for_it() -> None:
    planted = topics()
    head = TfIdfHead().fit(planted.bags, planted.y)
    ids, found = planted.bags.view("token_ids"), head.coefficients_times_input(planted.bags, 1)
    every = np.concatenate(found)
    own = ids.gather()[0] // 10 == 1
    assert every[own].mean() > 0.01 > every[~own].mean()


def test_of_a_token_alone_it_is_what_leaving_its_n_grams_out_takes() -> None:
    """Where no length is brought to one and each token stands once, by hand: a b with a, b and a-b kept."""
    bags, y = ids_of(list(np.array([[1, 2], [1, 2], [3, 4], [3, 4]]))), np.array(["x", "x", "y", "y"])
    head = TfIdfHead().fit(bags, y)
    (found,) = head.coefficients_times_input(bags[[0]], 0, 1)
    row = head.words_.transform(bags[[0]].contiguous_tokens(), 1)
    slope = head.linear_.coefficients[row.indices, 0] - head.linear_.coefficients[row.indices, 1]
    one, other, both = (row.data * slope).tolist()
    np.testing.assert_allclose(found, [one + both / 2, other + both / 2], atol=1e-6)


def test_a_token_that_chunks_share_counts_in_the_first() -> None:
    planted = topics()
    rows = [planted.bags.view("token_ids").row(row) for row in range(len(planted.bags))]
    # windows of 8 with 3 tokens in common, as a store keeps them
    cut = ChunkLayout(window=8, stride=3, has_gap=False)
    chunked, again = [], []
    for row in rows:
        starts = [0, *range(5, max(len(row) - 3, 1), 5)]
        chunked.append(np.concatenate([row[start : start + 8] for start in starts]))
        again.append(
            np.concatenate([np.arange(start, start + 8) >= (0 if not start else start + 3) for start in starts])
        )
    stored = Bags({"token_ids": Ragged.from_rows(chunked)}, cut)
    head = TfIdfHead().fit(planted.bags, planted.y)
    plain, shared = (head.coefficients_times_input(bags, 0) for bags in (planted.bags, stored))
    for one, other, own in zip(plain, shared, again, strict=True):
        np.testing.assert_allclose(other[own[: len(other)]], one, atol=1e-6)
        assert not other[~own[: len(other)]].any()


def test_fused_tells_what_its_words_add() -> None:
    planted = topics(own=0.8)
    noise = bags_of(list(np.random.default_rng(0).normal(size=(len(planted.bags), 1, 4))))
    bags = Bags({**noise.views, "token_ids": planted.bags.view("token_ids")})
    head = FusedHead(strength=0.6).fit(bags, planted.y)
    found = head.coefficients_times_input(bags, 1, 2)
    words = head.words_.transform(bags.contiguous_tokens(), len(bags)) @ head.linear_.coefficients
    np.testing.assert_allclose([each.sum() for each in found], words[:, 1] - words[:, 2], atol=1e-4)


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=6), st.data())
def test_the_slope_is_the_margin_s_own(scores: list[float], data: st.DataObject) -> None:
    column = data.draw(st.integers(0, len(scores) - 1))

    def margin(at: Any) -> float:
        shares = log_softmax(at)
        return float(shares[column] - np.log1p(-np.exp(shares[column])))

    given_scores = np.array(scores)
    slope = margin_gradient(given_scores.astype(np.float32), column, None, multilabel=False)
    for each in range(len(scores)):
        moved = 1e-4 * np.eye(len(scores))[each]
        expected = (margin(given_scores + moved) - margin(given_scores - moved)) / 2e-4
        np.testing.assert_allclose(slope[each], expected, atol=1e-4)


def test_of_several_labels_a_label_s_slope_is_its_own() -> None:
    assert margin_gradient(np.zeros(3, np.float32), 1, None, multilabel=True).tolist() == [0, 1, 0]
