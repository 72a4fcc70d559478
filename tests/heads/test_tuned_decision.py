"""Any scikit-learn classifier with a decision rule that is chosen on its cross-fitted scores."""

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pandas import Series
from scipy.sparse import csr_array, csr_matrix
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.estimator_checks import check_estimator

from data.errors import CallError
from heads.tuned_decision import TunedDecision

Matrix = NDArray[Any]


@pytest.mark.parametrize(
    "estimator",
    [GaussianNB(), *(pytest.param(each, marks=pytest.mark.long) for each in (LogisticRegression(), LinearSVC()))],
)
def test_scikit_learn_finds_nothing(estimator: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(TunedDecision(estimator, cv=2), on_skip=None)


@pytest.fixture(scope="module")
def imbalanced() -> tuple[Matrix, Matrix]:
    """Two labels that overlap, one of them with a twentieth of the documents."""
    rng = np.random.default_rng(0)
    y = np.where(rng.random(4000) < 0.05, "rare", "common")
    return rng.normal(size=(4000, 2)) + 1.2 * (y == "rare")[:, None], y


def test_a_rule_is_chosen_where_the_most_probable_label_is_a_bad_answer(imbalanced: tuple[Matrix, Matrix]) -> None:
    X, y = imbalanced
    tuned = TunedDecision(LogisticRegression()).fit(X[:2000], y[:2000])
    plain = LogisticRegression().fit(X[:2000], y[:2000])
    assert tuned.decision_.rule.name != "argmax"
    scores = [f1_score(y[2000:], each.predict(X[2000:]), average="macro") for each in (tuned, plain)]
    assert scores[0] > scores[1] + 0.02


def test_costs_move_the_decision_to_the_label_that_is_expensive_to_miss(imbalanced: tuple[Matrix, Matrix]) -> None:
    X, y = imbalanced
    costs = [[0, 1], [50, 0]]  # a rare document that is called common costs 50
    tuned = TunedDecision(LogisticRegression(), objective="cost", costs=costs).fit(X, y)
    assert tuned.classes_.tolist() == ["common", "rare"]
    assert np.mean(tuned.predict(X)[y == "rare"] == "rare") > 0.9


def test_label_sets_contain_the_true_label_as_often_as_requested(imbalanced: tuple[Matrix, Matrix]) -> None:
    X, y = imbalanced
    tuned = TunedDecision(LogisticRegression(), label_sets=0.97).fit(X[:2000], y[:2000])
    sets = tuned.predict_sets(X[2000:])
    assert np.mean(sets[np.arange(2000), (y[2000:] == "rare").astype(int)]) == pytest.approx(0.97, abs=0.02)
    with pytest.raises(CallError, match="Give label_sets="):
        TunedDecision(LogisticRegression()).fit(X[:60], y[:60]).predict_sets(X)


@pytest.mark.parametrize(
    "estimator",
    [OneVsRestClassifier(LogisticRegression()), RandomForestClassifier(20, random_state=0), OneVsRestClassifier(SVC())],
)
def test_multilabel_documents_get_thresholds(estimator: Any) -> None:
    rng = np.random.default_rng(1)
    y = rng.random((400, 3)) < [0.5, 0.2, 0.1]
    X = rng.normal(size=(400, 3)) + 1.5 * y
    tuned = TunedDecision(estimator, cv=3).fit(X, y.astype(int))
    predicted = tuned.predict(X)
    assert predicted.dtype == np.int64
    assert predicted.shape == tuned.predict_proba(X).shape == (400, 3)
    assert f1_score(y, predicted, average="macro") > 0.5


def test_texts_and_a_pipeline_are_taken_as_they_are() -> None:
    texts = ["a red rose", "a red poppy", "a grey wolf", "a grey mouse"] * 6
    labels = ["plant", "plant", "animal", "animal"] * 6
    tuned = TunedDecision(make_pipeline(CountVectorizer(), MultinomialNB()), cv=3).fit(texts, labels)
    assert tuned.predict(["one red tulip", "one grey owl"]).tolist() == ["plant", "animal"]


def test_a_group_is_in_one_fold() -> None:
    seen: list[set[int]] = []

    class Recording(GaussianNB):
        def fit(self, X: Matrix, y: Matrix) -> "Recording":
            seen.append(set(X[:, 0].astype(int).tolist()))
            super().fit(X, y)
            return self

    groups = np.arange(40) // 2
    X = np.column_stack([groups, np.arange(40) % 2]).astype(float)
    TunedDecision(Recording()).fit(X, np.arange(40) % 2, groups=groups)
    assert seen[0] == set(range(20))
    assert [len(each) for each in seen[1:]] == [16] * 5


def test_a_label_of_one_document_is_kept() -> None:
    X = np.arange(21.0)[:, None]
    y = np.array(["a"] * 10 + ["b"] * 10 + ["once"])
    tuned = TunedDecision(LogisticRegression()).fit(X, y)
    assert tuned.classes_.tolist() == ["a", "b", "once"]
    assert np.isfinite(tuned.predict_proba(X)).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "cost", "costs": [[0, 1]]}, r"costs must have a row and a column for each of 2 labels, got \(1"),
        (
            {"objective": "recall-at-precision", "at": 0.9, "label": "rar"},
            "There is no label 'rar'. Did you mean 'rare'",
        ),
        ({"objective": "macrof1"}, "No objective is called 'macrof1'"),
        ({"calibration": "platt"}, "There is no calibration 'platt'"),
        ({"objective": "cost", "costs": [[0, -1], [1, 0]]}, "Costs must be numbers of at least 0"),
        ({"objective": "cost", "costs": [[0, np.nan], [1, 0]]}, "Costs must be numbers of at least 0"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(
    settings: dict[str, Any], message: str, imbalanced: tuple[Matrix, Matrix]
) -> None:
    with pytest.raises((CallError, LookupError), match=message):
        TunedDecision(LogisticRegression(), **settings).fit(*imbalanced)


def test_one_score_per_pair_of_labels_is_refused() -> None:
    X = np.repeat(np.arange(4.0), 10)[:, None]
    with pytest.raises(CallError, match="SVC has 6 scores per document for 4 labels"):
        TunedDecision(SVC(decision_function_shape="ovo")).fit(X, X[:, 0].astype(int))


@pytest.mark.filterwarnings("ignore:Label not 3 is present")
@pytest.mark.parametrize("estimator", [OneVsRestClassifier(LinearSVC()), RandomForestClassifier(20, random_state=0)])
def test_a_label_that_no_document_has_is_never_predicted(estimator: Any) -> None:
    rng = np.random.default_rng(1)
    y = (rng.random((300, 4)) < [0.5, 0.3, 0.2, 0]).astype(int)
    X = rng.normal(size=(300, 4)) + 1.5 * y
    tuned = TunedDecision(estimator).fit(X, y)
    assert not tuned.predict(X)[:, 3].any() and not tuned.predict_proba(X)[:, 3].any()
    assert tuned.predict(X)[:, :3].any(axis=0).all()


@pytest.mark.parametrize("estimator", [LinearSVC(), LogisticRegression()])
def test_of_three_labels_one_may_be_missing_from_a_fold(estimator: Any) -> None:
    rng = np.random.default_rng(2)
    y = np.array(["a"] * 20 + ["b"] * 20 + ["c"])
    X = rng.normal(size=(41, 2)) + 3 * (y == "b")[:, None]
    tuned = TunedDecision(estimator).fit(X, y)
    assert tuned.classes_.tolist() == ["a", "b", "c"] and np.mean(tuned.predict(X) == y) > 0.8


@pytest.mark.parametrize("make", [csr_array, csr_matrix])
def test_sparse_targets_are_those_of_the_array(make: Any) -> None:
    rng = np.random.default_rng(3)
    y = (rng.random((200, 3)) < 0.4).astype(int)
    X = rng.normal(size=(200, 3)) + y
    sparse, dense = (TunedDecision(OneVsRestClassifier(LogisticRegression())).fit(X, each) for each in (make(y), y))
    np.testing.assert_array_equal(sparse.predict(X), dense.predict(X))


def test_groups_of_a_series_are_read_by_position() -> None:
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(200, 2)), rng.integers(2, size=200)
    groups = np.repeat(np.arange(40), 5)
    index = rng.permutation(200) + 1000
    one, other = (TunedDecision(LogisticRegression()).fit(X, y, each) for each in (groups, Series(groups, index=index)))
    np.testing.assert_array_equal(one.decision_.calibration.folds, other.decision_.calibration.folds)
    for group in range(40):
        assert len(set(other.decision_.calibration.folds[groups == group].tolist())) == 1


def test_a_label_that_all_documents_have_is_predicted() -> None:
    y = np.column_stack([np.arange(60) % 2, np.ones(60), np.zeros(60)]).astype(int)
    tuned = TunedDecision(RandomForestClassifier(5, random_state=0), cv=3).fit(y[:, :1], y)
    np.testing.assert_array_equal(tuned.predict(y[:, :1]), y)


def test_too_few_documents_for_folds_measure_nothing_and_give_no_label_sets() -> None:
    X, y = np.arange(2.0)[:, None], np.array([0, 1])
    tuned = TunedDecision(LogisticRegression()).fit(X, y)
    assert tuned.predict(X).tolist() == [0, 1]
    assert tuned.decision_.evidence.documents == len(tuned.decision_.out_of_fold) == 0
    assert "there are too few documents to measure it" in tuned.decision_.evidence.sentences[0]
    with pytest.raises(CallError, match="Leave label_sets out"):
        TunedDecision(LogisticRegression(), label_sets=0.9).fit(X, y)
    with pytest.raises(CallError, match="There is no calibration 'platt'"):
        TunedDecision(LogisticRegression(), calibration="platt").fit(X, y)  # type: ignore[arg-type]
