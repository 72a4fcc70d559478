"""The tfidf head, compared with scikit-learn's tf-idf and support-vector machine."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from data.errors import CallError, UnknownName
from featurestore import Bags, ChunkLayout
from heads.classifiers.tfidf import TfIdfHead
from heads.core.inputs import as_groups
from heads.planted_signals import mean_signal, multilabel_signal
from heads.testing import HeadContract
from tests.heads.words import ids_of, texts_of, topics

WITHOUT_VECTORS = {
    "vectors": "it reads no vectors",
    "plain_arrays": "they have no token ids",
}


class TestTfIdfKeepsTheContract(HeadContract):
    head = TfIdfHead()
    unread_view = "max"
    exceptions: ClassVar = WITHOUT_VECTORS


class TestLogisticTfIdfKeepsTheContract(HeadContract):
    head = TfIdfHead(kind="logistic", C=30.0)
    unread_view = "max"
    exceptions: ClassVar = WITHOUT_VECTORS


def vectorizer() -> TfidfVectorizer:
    return TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True, min_df=2)


def test_its_margins_are_scikit_learns_times_one_factor() -> None:
    train, test = topics().halves()
    tfidf = vectorizer()
    reference = LinearSVC(tol=1e-6).fit(tfidf.fit_transform(texts_of(train.bags)), train.y)
    margins = reference.decision_function(tfidf.transform(texts_of(test.bags)))
    scores = TfIdfHead(class_weight="none").fit(train.bags, train.y).decision_function(test.bags)
    np.testing.assert_allclose(scores / scores.std(), margins / margins.std(), atol=1e-3)


def test_logistic_equals_scikit_learns() -> None:
    train, test = topics().halves()
    tfidf = vectorizer()
    reference = LogisticRegression(C=5.0, max_iter=1000, tol=1e-8).fit(
        tfidf.fit_transform(texts_of(train.bags)), train.y
    )
    head = TfIdfHead(kind="logistic", C=5.0, class_weight="none").fit(train.bags, train.y)
    expected = reference.predict_proba(tfidf.transform(texts_of(test.bags)))
    np.testing.assert_allclose(head.predict_proba(test.bags), expected, atol=1e-3)


def test_logistic_notes_that_it_did_not_converge() -> None:
    planted = topics()
    assert TfIdfHead(kind="logistic").fit(planted.bags, planted.y).notes_ == ()
    (note,) = TfIdfHead(kind="logistic", max_iter=1).fit(planted.bags, planted.y).notes_
    assert note == "tfidf did not converge in 1 iterations. Raise max_iter, or lower C."


def test_its_probabilities_are_calibrated() -> None:
    train, test = topics(documents=4000, own=0.12).halves()
    probabilities = TfIdfHead().fit(train.bags, train.y).predict_proba(test.bags)
    correct = probabilities.argmax(axis=1) == np.searchsorted(np.unique(train.y), test.y)
    assert 0.5 < correct.mean() < 0.98
    assert probabilities.max(axis=1).mean() == pytest.approx(correct.mean(), abs=0.05)


def test_tokens_that_chunks_share_count_once() -> None:
    train, test = topics().halves()
    head = TfIdfHead().fit(train.bags, train.y)
    window, stride = 8, 3
    overlapping = []
    for text in (test.bags.view("token_ids").row(row) for row in range(len(test))):
        starts = range(0, max(len(text) - stride, 1), window - stride)
        overlapping.append(np.concatenate([text[start : start + window] for start in starts]))
    chunked = Bags(ids_of(overlapping).views, ChunkLayout(window, stride, has_gap=False))
    np.testing.assert_array_equal(head.decision_function(chunked), head.decision_function(test.bags))
    assert not np.array_equal(head.decision_function(ids_of(overlapping)), head.decision_function(test.bags))


def test_tokens_that_no_training_document_has_are_ignored() -> None:
    planted = topics()
    head = TfIdfHead().fit(planted.bags, planted.y)
    text = planted.bags.view("token_ids").row(0)
    unseen = ids_of([text, np.r_[text, 900, 901, 900], np.array([900, 901]), np.array([], np.int32)])
    known, mixed, unknown, empty = head.decision_function(unseen)
    np.testing.assert_array_equal(mixed, known)
    np.testing.assert_array_equal(unknown, empty)


def test_documents_without_a_common_token_keep_every_ngram_with_a_note() -> None:
    distinct = ids_of([np.array([row]) for row in range(6)])
    head = TfIdfHead().fit(distinct, ["a", "b"] * 3)
    assert head.score(distinct, ["a", "b"] * 3) == 1
    assert head.notes_[0] == "No token has a document frequency of min_df=2, so every n-gram was kept."


def test_documents_without_a_token_are_refused() -> None:
    with pytest.raises(CallError, match=r"^The documents have no tokens, so there are no n-grams to learn\."):
        TfIdfHead().fit(ids_of([np.array([], np.int32)] * 4), ["a", "b"] * 2)


def test_a_plain_array_has_no_token_ids() -> None:
    message = r"^tfidf reads token_ids, these features keep cls, mean, max, segments\. Pass Bags of a store"
    with pytest.raises(UnknownName, match=message):
        TfIdfHead().fit(np.eye(4), list("abab"))


def test_a_single_group_is_fitted_without_out_of_fold_margins() -> None:
    planted = mean_signal()
    one = np.zeros(len(planted), dtype=int)
    assert TfIdfHead().fit(planted.bags, planted.y, groups=one).score(planted.bags, planted.y) > 0.9


def test_each_label_of_a_multilabel_target_is_a_separate_model() -> None:
    planted = multilabel_signal()
    both = TfIdfHead().fit(planted.bags, planted.y)
    first = TfIdfHead().fit(planted.bags, planted.y[:, 0])
    together, alone = both.decision_function(planted.bags)[:, 0], first.decision_function(planted.bags)[:, 1]
    np.testing.assert_allclose(together / together.std(), alone / alone.std(), atol=1e-2)


def test_groups_of_any_kind_stay_in_one_inner_fold() -> None:
    planted = mean_signal()
    named = [None if row % 3 == 0 else row if row % 3 == 1 else f"author {row // 6}" for row in range(len(planted))]
    numbered = as_groups(named, len(planted))
    first, second = (TfIdfHead().fit(planted.bags, planted.y, groups=groups) for groups in (named, numbered))
    np.testing.assert_array_equal(first.decision_function(planted.bags), second.decision_function(planted.bags))
