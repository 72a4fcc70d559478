"""Words alone: what scikit-learn's own tf-idf and support-vector machine give, and what is the head's own."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from data.errors import CallError, UnknownName
from featurestore import Bags, ChunkLayout
from heads.classifiers.tfidf import TfIdfHead
from heads.planted_signals import mean_signal, multilabel_signal
from heads.testing import HeadContract
from tests.heads.words import ids_of, texts_of, topics

WITHOUT_VECTORS = {
    "vectors": "it reads none",
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


def test_its_margins_are_those_of_scikit_learn_by_one_factor() -> None:
    train, test = topics().halves()
    words = vectorizer()
    plain = LinearSVC(tol=1e-6).fit(words.fit_transform(texts_of(train.bags)), train.y)
    margins = plain.decision_function(words.transform(texts_of(test.bags)))
    scores = TfIdfHead(class_weight="none").fit(train.bags, train.y).decision_function(test.bags)
    np.testing.assert_allclose(scores / scores.std(), margins / margins.std(), atol=1e-3)


def test_logistic_is_that_of_scikit_learn() -> None:
    train, test = topics().halves()
    words = vectorizer()
    plain = LogisticRegression(C=5.0, max_iter=300).fit(words.fit_transform(texts_of(train.bags)), train.y)
    head = TfIdfHead(kind="logistic", C=5.0, class_weight="none").fit(train.bags, train.y)
    expected = plain.predict_proba(words.transform(texts_of(test.bags)))
    np.testing.assert_allclose(head.predict_proba(test.bags), expected, atol=1e-3)


def test_logistic_says_when_it_was_stopped() -> None:
    planted = topics()
    assert TfIdfHead(kind="logistic").fit(planted.bags, planted.y).notes_ == ()
    (note,) = TfIdfHead(kind="logistic", max_iter=1).fit(planted.bags, planted.y).notes_
    assert note == "tfidf stopped after 1 steps, before it converged. Raise max_iter, or lower C."


def test_its_probabilities_are_as_sure_as_they_are_right() -> None:
    train, test = topics(documents=4000, own=0.12).halves()
    shares = TfIdfHead().fit(train.bags, train.y).predict_proba(test.bags)
    right = shares.argmax(axis=1) == np.searchsorted(np.unique(train.y), test.y)
    assert 0.5 < right.mean() < 0.98
    assert shares.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.05)


def test_tokens_that_chunks_share_count_once() -> None:
    train, test = topics().halves()
    head = TfIdfHead().fit(train.bags, train.y)
    window, stride = 8, 3
    overlapping = []
    for text in (test.bags.view("token_ids").row(row) for row in range(len(test))):
        starts = range(0, max(len(text) - stride, 1), window - stride)
        overlapping.append(np.concatenate([text[start : start + window] for start in starts]))
    cut = Bags(ids_of(overlapping).views, ChunkLayout(window, stride, has_gap=False))
    np.testing.assert_array_equal(head.decision_function(cut), head.decision_function(test.bags))
    assert not np.array_equal(head.decision_function(ids_of(overlapping)), head.decision_function(test.bags))


def test_words_that_no_training_document_has_are_passed_over() -> None:
    planted = topics()
    head = TfIdfHead().fit(planted.bags, planted.y)
    text = planted.bags.view("token_ids").row(0)
    strange = ids_of([text, np.r_[text, 900, 901, 900], np.array([900, 901]), np.array([], np.int32)])
    known, mixed, unknown, empty = head.decision_function(strange)
    np.testing.assert_array_equal(mixed, known)
    np.testing.assert_array_equal(unknown, empty)


def test_of_documents_without_a_common_word_all_are_learned_aloud() -> None:
    apart = ids_of([np.array([row]) for row in range(6)])
    head = TfIdfHead().fit(apart, ["a", "b"] * 3)
    assert head.score(apart, ["a", "b"] * 3) == 1
    assert head.notes_[0] == "No token has a document frequency of min_df=2, so every n-gram was kept."


def test_documents_without_a_word_are_refused() -> None:
    with pytest.raises(CallError, match=r"^The documents have no tokens, so there are no n-grams to learn\."):
        TfIdfHead().fit(ids_of([np.array([], np.int32)] * 4), ["a", "b"] * 2)


def test_a_plain_array_has_no_words() -> None:
    sentence = r"^tfidf reads token_ids, these features keep cls, mean, max, segments\. Give it Bags of a store"
    with pytest.raises(UnknownName, match=sentence):
        TfIdfHead().fit(np.eye(4), list("abab"))


def test_groups_that_are_one_leave_nothing_out_and_break_nothing() -> None:
    planted = mean_signal()
    one = np.zeros(len(planted), dtype=int)
    assert TfIdfHead().fit(planted.bags, planted.y, groups=one).score(planted.bags, planted.y) > 0.9


def test_a_label_of_several_is_a_machine_of_its_own() -> None:
    planted = multilabel_signal()
    both = TfIdfHead().fit(planted.bags, planted.y)
    first = TfIdfHead().fit(planted.bags, planted.y[:, 0])
    one, of_one = both.decision_function(planted.bags)[:, 0], first.decision_function(planted.bags)[:, 1]
    np.testing.assert_allclose(one / one.std(), of_one / of_one.std(), atol=1e-2)
