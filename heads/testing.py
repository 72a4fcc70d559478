"""What holds for every head, as one test class. A head, also of another package, is tested by a subclass of it:

    class TestMLPHead(HeadContract):
        head = MLPHead(hidden=16, training=training_of(epochs=8))
        exceptions = MINI_BATCHES

pytest and unittest collect its methods; this module needs neither. `exceptions` names facts that a head does not keep,
with the reason for each; these tests are skipped.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_predict

from data.errors import CallError, RunDamaged, UnknownName
from featurestore import Bags, Ragged
from heads.core.head import Head
from heads.core.hyperparameters import hyperparameters_of
from heads.planted_signals import (
    Planted,
    make_bags,
    mean_signal,
    multilabel_signal,
    rare_class_signal,
    shuffle_labels,
    tabular_signal,
)
from heads.training.config import Training

__all__ = ["MINI_BATCHES", "HeadContract", "assert_same_scores", "training_of"]

# facts that a head trained on random mini-batches, from random weights, does not keep
MINI_BATCHES: Mapping[str, str] = {
    "row_order": "the order of rows decides which documents are in a batch",
    "weight_two": "two copies of a document may be in different batches, a weight of two is in one",
    "renamed_labels": "the weights of each label's column are initialized at random",
}


def training_of(**hyperparameters: Any) -> Training:
    """A Training with hyperparameters by their short names, as in `training_of(lr=0.01, patience=2)`."""
    names = {item.short_name: item.name for item in hyperparameters_of(Training)}
    return Training().set_params(**{names[name]: value for name, value in hyperparameters.items()})


class HeadContract:
    """Set `head`. Override `signal` if the head cannot learn from the mean of chunks."""

    head: ClassVar[Head]
    exceptions: ClassVar[Mapping[str, str]] = {}
    # a view that the head does not read
    unread_view: ClassVar[str] = "token_ids"

    @classmethod
    def signal(cls) -> Planted:
        """The corpus that the head must learn: three labels."""
        return mean_signal(documents=90)

    @classmethod
    @cache
    def planted(cls) -> Planted:
        """`signal()`, made once per class."""
        return cls.signal()

    @classmethod
    @cache
    def fitted(cls) -> Head:
        """The head, fitted once per class."""
        return cls.fit(cls.planted())

    @classmethod
    def fit(cls, planted: Planted, **fit_arguments: Any) -> Head:
        """A copy of the head, fitted on all documents."""
        head: Head = clone(cls.head)
        return head.fit(planted.bags, planted.y, **fit_arguments)

    def _skip_exception(self, fact: str) -> None:
        if fact in self.exceptions:
            raise SkipTest(self.exceptions[fact])

    # ---- what it learns

    def test_it_learns_the_planted_signal(self) -> None:
        """Accuracy on other documents."""
        train, test = self.signal().halves()
        assert self.fit(train).score(test.bags, test.y) > 0.85

    def test_it_scores_at_chance_on_shuffled_labels(self) -> None:
        """200 coin tosses: four standard deviations are 0.14."""
        train, test = shuffle_labels(mean_signal(documents=400, classes=2)).halves()
        assert abs(self.fit(train).score(test.bags, test.y) - 0.5) <= 0.14

    def test_balanced_class_weights_find_a_rare_class_that_is_missed_without(self) -> None:
        """Bayes' rule finds 0.84 and 0.20 of 40 documents; three standard deviations are 0.2."""
        train, test = rare_class_signal(documents=1148), rare_class_signal(seed=1)
        rare = test[np.flatnonzero(test.y == "rare")]
        recall = {}
        for class_weight in ("balanced", "none"):
            head = clone(self.head).set_params(class_weight=class_weight).fit(train.bags, train.y)
            recall[class_weight] = (head.predict(rare.bags) == "rare").mean()
        assert recall["balanced"] > 0.5
        assert recall["none"] < 0.4

    def test_a_label_of_one_document_is_learned(self) -> None:
        """No label is dropped."""
        planted = self.planted()
        y = planted.y.copy()
        y[0] = "single"
        head = clone(self.head).fit(planted.bags, y)
        assert "single" in head.classes_
        assert np.isfinite(head.decision_function(planted.bags)).all()

    # ---- scores

    def test_scores_are_float32_with_one_column_per_class(self) -> None:
        """The highest score is the prediction."""
        planted, fitted = self.planted(), self.fitted()
        scores = fitted.decision_function(planted.bags)
        assert scores.dtype == np.float32
        assert scores.shape == (len(planted), len(fitted.classes_))
        assert fitted.classes_.tolist() == sorted(set(planted.y))
        assert fitted.predict(planted.bags).tolist() == fitted.classes_[scores.argmax(axis=1)].tolist()

    def test_probabilities_are_the_softmax_of_scores(self) -> None:
        """float32, rows sum to 1."""
        planted, fitted = self.planted(), self.fitted()
        exponentials = np.exp(fitted.decision_function(planted.bags).astype(np.float64))
        probabilities = fitted.predict_proba(planted.bags)
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(axis=1, keepdims=True), atol=1e-6)

    def test_splitting_a_batch_does_not_change_scores(self) -> None:
        """In seven parts."""
        planted, fitted = self.planted(), self.fitted()
        parts = [fitted.decision_function(planted.bags[rows]) for rows in np.array_split(np.arange(len(planted)), 7)]
        np.testing.assert_allclose(np.concatenate(parts), fitted.decision_function(planted.bags), atol=1e-4)

    def test_a_document_without_chunks_has_finite_scores(self) -> None:
        """In the training documents, and alone; its text may be empty."""
        planted = self.planted()
        bags = replace(planted.bags, views={name: _emptied(view) for name, view in planted.bags.views.items()})
        head = clone(self.head).fit(bags, planted.y)
        assert np.isfinite(head.decision_function(bags)).all()
        assert np.isfinite(head.decision_function(bags[:1])).all()

    def test_no_documents_have_no_scores(self) -> None:
        """An empty matrix with the right number of columns."""
        scores = self.fitted().decision_function(self.planted().bags[:0])
        assert scores.shape == (0, len(self.fitted().classes_))

    # ---- what must not matter

    def test_the_order_of_rows_does_not_matter(self) -> None:
        """Scores are those of the unpermuted documents."""
        self._skip_exception("row_order")
        planted = self.planted()
        permuted = self.fit(planted[np.random.default_rng(1).permutation(len(planted))])
        assert_same_scores(permuted, self.fitted(), planted.bags)

    def test_a_weight_of_two_equals_having_the_document_twice(self) -> None:
        """For every third document."""
        self._skip_exception("weight_two")
        planted = self.planted()
        weight = np.where(np.arange(len(planted)) % 3 == 0, 2.0, 1.0)
        repeated = planted[np.repeat(np.arange(len(planted)), weight.astype(int))]
        assert_same_scores(self.fit(planted, sample_weight=weight), self.fit(repeated), planted.bags)

    def test_a_weight_of_zero_equals_not_having_the_document(self) -> None:
        """Also if it is the only document of its label."""
        planted = self.planted()
        weight = np.where(np.arange(len(planted)) % 4 == 0, 0.0, 1.0)
        without = planted[np.flatnonzero(weight)]
        y = np.where(np.arange(len(planted)) == 0, "removed", planted.y).astype(object)
        assert_same_scores(self.fit(replace(planted, y=y), sample_weight=weight), self.fit(without), planted.bags)

    def test_renaming_labels_permutes_columns(self) -> None:
        """Labels in reverse order."""
        self._skip_exception("renamed_labels")
        planted, fitted = self.planted(), self.fitted()
        names = dict(zip(fitted.classes_, reversed(fitted.classes_), strict=True))
        renamed = clone(self.head).fit(planted.bags, np.array([names[label] for label in planted.y], dtype=object))
        scores = renamed.decision_function(planted.bags)[:, ::-1]
        np.testing.assert_allclose(scores, fitted.decision_function(planted.bags), atol=1e-3)

    def test_the_same_seed_gives_the_same_scores(self) -> None:
        """In every bit, and NumPy's global generator is neither read nor changed."""
        planted = self.planted()
        np.random.seed(1)
        before = repr(np.random.get_state())
        scores = self.fit(planted).decision_function(planted.bags)
        np.testing.assert_array_equal(scores, self.fitted().decision_function(planted.bags))
        assert repr(np.random.get_state()) == before

    def test_a_second_fit_forgets_the_first(self) -> None:
        """The scores are those of a head that was fitted once."""
        planted = self.planted()
        head = self.fit(shuffle_labels(planted)).fit(planted.bags, planted.y)
        np.testing.assert_array_equal(
            head.decision_function(planted.bags), self.fitted().decision_function(planted.bags)
        )

    def test_arguments_are_not_changed(self) -> None:
        """Neither features nor labels nor weights nor hyperparameters."""
        planted = self.planted()
        before = {view: planted.bags.view(view).gather()[0].copy() for view in planted.bags.views}
        labels, weight = planted.y.copy(), np.linspace(0, 2, len(planted))
        head = self.fit(planted, sample_weight=weight)
        head.predict_proba(planted.bags)
        assert repr(head.get_params()) == repr(clone(self.head).get_params())
        for view, values in before.items():
            np.testing.assert_array_equal(planted.bags.view(view).gather()[0], values)
        assert (planted.y == labels).all()
        assert weight.tolist() == np.linspace(0, 2, len(planted)).tolist()

    # ---- saving and loading

    def test_a_loaded_head_gives_identical_scores(self) -> None:
        """And has the same attributes."""
        planted, fitted = self.planted(), self.fitted()
        with _temporary_folder() as folder:
            fitted.save(folder / "head")
            loaded = type(fitted).load(folder / "head")
        np.testing.assert_array_equal(loaded.decision_function(planted.bags), fitted.decision_function(planted.bags))
        assert loaded.predict(planted.bags).tolist() == fitted.predict(planted.bags).tolist()
        assert repr(loaded.get_params()) == repr(fitted.get_params())
        for attribute in ("dims_", "notes_", "parameter_count_", "multilabel_", "reads"):
            assert getattr(loaded, attribute) == getattr(fitted, attribute)

    def test_any_changed_byte_of_a_saved_head_is_refused(self) -> None:
        """The last byte of each file, and a truncated head.json."""
        fitted = self.fitted()
        with _temporary_folder() as folder:
            fitted.save(folder)
            for path in sorted(folder.iterdir()):
                whole = path.read_bytes()
                is_json = path.suffix == ".json"
                path.write_bytes(whole[: len(whole) // 2] if is_json else whole[:-1] + bytes([whole[-1] ^ 1]))
                with _raises(RunDamaged):
                    type(fitted).load(folder)
                path.write_bytes(whole)

    def test_a_saved_head_of_other_dimensions_is_refused(self) -> None:
        """The dimension of its first view is changed in head.json."""
        fitted = self.fitted()
        with _temporary_folder() as folder:
            fitted.save(folder)
            description, view = folder / "head.json", fitted.reads[0]
            text = description.read_text(encoding="utf-8")
            description.write_text(text.replace(f'"{view}": {fitted.dims_[view]}', f'"{view}": 99'), encoding="utf-8")
            with _raises(RunDamaged):
                type(fitted).load(folder)

    # ---- tabular columns

    def test_tabular_columns_are_learned_from_or_change_nothing(self) -> None:
        """By `uses_tabular`; also after loading."""
        train, test = tabular_signal().halves()
        if not self.head.uses_tabular:
            bags, fitted = self.planted().bags, self.fitted()
            with_columns = replace(bags, tabular=tabular_signal(len(bags)).bags.tabular)
            np.testing.assert_array_equal(fitted.decision_function(with_columns), fitted.decision_function(bags))
            return
        without = replace(train, bags=replace(train.bags, tabular=None))
        assert self.fit(without).score(test.bags, test.y) < 0.6
        head = self.fit(train)
        assert head.score(test.bags, test.y) > 0.8
        assert head.tabular_labels == ("paid:number", "country:category", "sent:date")
        with _temporary_folder() as folder:
            head.save(folder)
            loaded = type(head).load(folder)
        np.testing.assert_array_equal(loaded.decision_function(test.bags), head.decision_function(test.bags))
        with _raises(CallError, r"fitted with the tabular columns 'paid', 'country', 'sent', and these documents"):
            head.predict(replace(test.bags, tabular=None))

    # ---- errors

    def test_an_unfitted_head_raises_not_fitted_error(self) -> None:
        """As scikit-learn's estimators do."""
        with _raises(NotFittedError):
            clone(self.head).predict(self.planted().bags)

    def test_one_class_is_refused(self) -> None:
        """The message names it."""
        planted = self.planted()
        with _raises(CallError, r"The documents have one class, same: a classifier needs two\."):
            clone(self.head).fit(planted.bags, ["same"] * len(planted))

    def test_a_missing_view_is_named(self) -> None:
        """When fitting, and when predicting."""
        planted = self.planted()
        without = planted.bags.select_views(self.unread_view)
        with _raises(UnknownName, rf"these features keep {self.unread_view}\. (Embed with --keep|Pass Bags)"):
            clone(self.head).fit(without, planted.y)
        with _raises(UnknownName, f"these features keep {self.unread_view}"):
            self.fitted().predict(without)

    def test_vectors_of_another_length_are_refused(self) -> None:
        """They come from another encoder."""
        self._skip_exception("vectors")
        with _raises(CallError, "another encoder made them"):
            self.fitted().predict(make_bags([np.zeros((1, 17))]))

    # ---- scikit-learn

    def test_a_plain_array_has_one_chunk_per_document(self) -> None:
        """Scores are those of Bags of the array."""
        self._skip_exception("plain_arrays")
        planted = mean_signal(chunks=(1, 1))
        X: NDArray[np.float32] = planted.bags.pooled(("mean",))
        plain = clone(self.head).fit(X, planted.y)
        assert plain.score(X, planted.y) > 0.8
        np.testing.assert_allclose(
            plain.decision_function(X), plain.decision_function(Bags.from_array(X)), rtol=0, atol=1e-6
        )

    def test_cross_val_predict_takes_bags(self) -> None:
        """As X; probabilities have one column per class, and rows sum to 1."""
        planted = self.planted()
        if "numbered_labels" in self.exceptions:
            predicted = cross_val_predict(self.head, planted.bags, planted.y, cv=2)
        else:
            probabilities = cross_val_predict(self.head, planted.bags, planted.y, cv=2, method="predict_proba")
            np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
            predicted = np.unique(planted.y)[probabilities.argmax(axis=1)]
        assert (predicted == planted.y).mean() > 0.6

    # ---- multi-label documents

    def test_multilabel_documents_are_learned_or_refused(self) -> None:
        """By `supports_multilabel`."""
        train, test = multilabel_signal().halves()
        head = clone(self.head)
        if not head.supports_multilabel:
            with _raises(CallError, f"{head.name} needs one label per document"):
                head.fit(train.bags, train.y)
            return
        predicted = head.fit(train.bags, train.y).predict(test.bags)
        assert (predicted.dtype, predicted.shape) == (bool, test.y.shape)
        assert (predicted == test.y).mean() > 0.85
        assert head.classes_.tolist() == [0, 1, 2]
        sigmoid = 1 / (1 + np.exp(-head.decision_function(test.bags).astype(np.float64)))
        np.testing.assert_allclose(head.predict_proba(test.bags), sigmoid, atol=1e-6)

    def test_a_label_that_all_or_no_documents_have_is_predicted_so(self) -> None:
        """Also after loading."""
        self._skip_exception("multilabel")
        if not self.head.supports_multilabel:
            raise SkipTest("needs one label per document")
        planted = multilabel_signal()
        y = np.column_stack([planted.y, np.zeros(len(planted), bool), np.ones(len(planted), bool)])
        head = clone(self.head).fit(planted.bags, y)
        predicted = head.predict(planted.bags)
        assert not predicted[:, 3].any()
        assert predicted[:, 4].all()
        with _temporary_folder() as folder:
            head.save(folder)
            np.testing.assert_array_equal(type(head).load(folder).predict(planted.bags), predicted)


def assert_same_scores(first: Head, second: Head, bags: Bags) -> None:
    """Raise AssertionError unless two heads have the same classes and nearly the same scores."""
    assert first.classes_.tolist() == second.classes_.tolist()
    np.testing.assert_allclose(first.decision_function(bags), second.decision_function(bags), rtol=0, atol=1e-4)


def _emptied(view: Ragged) -> Ragged:
    """The rows of a view, the first without items."""
    return replace(view, length=np.where(np.arange(len(view)) == 0, 0, view.length))


@contextmanager
def _raises(error: type[Exception], pattern: str = "") -> Iterator[None]:
    """Raise AssertionError unless the block raises `error` with a message that matches `pattern`."""
    try:
        yield
    except error as raised:
        assert re.search(pattern, str(raised)), f"{str(raised)!r} does not match {pattern!r}"
        return
    raise AssertionError(f"{error.__name__} was not raised")


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
