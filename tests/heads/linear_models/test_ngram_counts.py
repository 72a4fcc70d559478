"""A fit that shares the counts of n-grams equals one that counts its own documents."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from featurestore import Bags
from heads.classifiers.fused import FusedHead
from heads.classifiers.tfidf import TfIdfHead
from heads.core.head import Head
from heads.core.inputs import Examples
from heads.linear_models.ngram_counts import NgramCounting, fit_tfidf, transform_tfidf
from heads.linear_models.ngrams import TfIdf
from heads.planted_signals import mean_signal
from tests.heads.words import ids_of, topics

WORDS = st.lists(st.integers(0, 4), max_size=8)
DOCUMENTS = st.lists(st.tuples(WORDS, st.booleans(), st.sampled_from([0.5, 1.0, 1.0, 2.0])), min_size=3, max_size=10)


def examples_of(bags: Bags, weight: NDArray[np.float64]) -> Examples:
    return Examples(bags, np.zeros(len(bags), np.int64), weight, weight, None)


@settings(deadline=None, max_examples=20)
@given(DOCUMENTS, st.integers(1, 3), st.sampled_from([0.5, 1, 2]))
def test_vocabulary_idf_and_rows_are_those_of_the_fitted_documents(
    documents: list[tuple[list[int], bool, float]], max_n: int, min_df: float
) -> None:
    words, fitted, weight = zip(*documents, strict=True)
    bags, counting = ids_of([np.array(each, np.int32) for each in [*words, [0, 1]]]), NgramCounting(max_n, min_df)
    rows = np.append(np.flatnonzero(fitted), len(words))
    held_out = np.setdiff1d(np.arange(len(bags)), rows)
    weights = np.append(weight, 1.0)[rows]
    shared = bags.with_computed(counting, counting.compute(bags))
    (one, one_rows, note), (other, other_rows, expected_note) = (
        fit_tfidf(examples_of(each[rows], weights), counting) for each in (shared, bags)
    )
    assert note == expected_note
    for codes, expected in zip(one.vocabulary.codes, other.vocabulary.codes, strict=True):
        np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(one.idf, other.idf)
    np.testing.assert_array_equal(one_rows.toarray(), other_rows.toarray())
    scored = [transform_tfidf(each, some[held_out], counting) for each, some in ((one, shared), (other, bags))]
    np.testing.assert_array_equal(scored[0].toarray(), scored[1].toarray())


@pytest.mark.parametrize("head", [TfIdfHead(), FusedHead(strength=0.6)])
def test_a_fold_has_the_same_scores_and_counts_no_ngram(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = topics(90)
    bags = Bags({**mean_signal(90).bags.views, **planted.bags.views})
    (counting,) = head.computations(bags)
    shared = bags.with_computed(counting, counting.compute(bags))
    fitted, held_out = np.arange(60), np.arange(60, 90)
    expected = head.fit(bags[fitted], planted.y[fitted]).decision_function(bags[held_out])

    def refuse(*_: object) -> None:
        raise AssertionError("n-grams were counted again")

    monkeypatch.setattr(TfIdf, "fit", refuse)
    monkeypatch.setattr(TfIdf, "transform", refuse)
    head.fit(shared[fitted], planted.y[fitted])
    np.testing.assert_array_equal(head.decision_function(shared[held_out]), expected)


def test_features_without_token_ids_have_no_counts() -> None:
    planted = mean_signal(10)
    bags = replace(planted.bags, views={"cls": planted.bags.view("cls")})
    assert TfIdfHead().computations(bags) == FusedHead().computations(bags) == ()
