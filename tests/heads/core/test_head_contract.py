"""What holds for every head, as one test class; a head's own test file declares itself into it:

    class TestMLPKeepsTheContract(HeadContract):
        head = MLPHead(hidden=16, training=Training(epochs=8))
        except_for: ClassVar = {"row_order": "mini-batches: the order of rows decides which documents meet in a step"}

`except_for` names the facts that a head does not keep, each with the reason; it is then held to failing nothing else.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_predict

from data.errors import CallError, RunDamaged, UnknownName
from featurestore import Bags
from heads.core.head import Head
from tests.heads.planted import Planted, a_rare_class, bags_of, in_the_mean, multilabel_problem, shuffled


class HeadContract:
    """Set `head`; where the default signal of chunk means is not what it finds, override `signal`."""

    head: ClassVar[Head]
    except_for: ClassVar[dict[str, str]] = {}
    # a view that it does not read
    unread: ClassVar[str] = "token_ids"

    @classmethod
    def signal(cls) -> Planted:
        return in_the_mean(documents=90)

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> Planted:
        return cls.signal()

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, planted: Planted) -> Head:
        return cls.fit(planted)

    @classmethod
    def fit(cls, planted: Planted, **more: Any) -> Head:
        head: Head = clone(cls.head)
        return head.fit(planted.bags, planted.y, **more)

    def unless_excepted(self, fact: str) -> None:
        if fact in self.except_for:
            pytest.skip(self.except_for[fact])

    # ---- what it learns

    def test_it_finds_its_planted_signal(self) -> None:
        train, test = self.signal().halves()
        assert self.fit(train).score(test.bags, test.y) > 0.85

    def test_shuffled_labels_are_chance_to_it(self) -> None:
        train, test = shuffled(in_the_mean(documents=400, classes=2)).halves()
        # 200 coin tosses: four standard deviations are 0.14
        assert self.fit(train).score(test.bags, test.y) == pytest.approx(0.5, abs=0.14)

    def test_a_rare_class_is_found_with_balanced_weights_and_missed_without(self) -> None:
        train, test = a_rare_class(), a_rare_class(seed=1)
        rare = test[np.flatnonzero(test.y == "rare")]
        found = {
            how: (clone(self.head).set_params(class_weight=how).fit(train.bags, train.y).predict(rare.bags) == "rare")
            for how in ("balanced", "none")
        }
        # Bayes' rule finds 0.84 and 0.20 of them; a head knows 40 such documents, and three standard deviations are 0.2
        assert found["balanced"].mean() > 0.5
        assert found["none"].mean() < 0.4

    def test_a_label_of_one_document_is_kept(self, planted: Planted) -> None:
        lonely = planted.y.copy()
        lonely[0] = "lonely"
        head = clone(self.head).fit(planted.bags, lonely)
        assert "lonely" in head.classes_
        assert np.isfinite(head.decision_function(planted.bags)).all()

    # ---- scores

    def test_scores_are_a_float32_column_a_class(self, planted: Planted, fitted: Head) -> None:
        scores = fitted.decision_function(planted.bags)
        assert scores.dtype == np.float32
        assert scores.shape == (len(planted), len(fitted.classes_))
        assert fitted.classes_.tolist() == sorted(set(planted.y))
        assert fitted.predict(planted.bags).tolist() == fitted.classes_[scores.argmax(axis=1)].tolist()

    def test_probabilities_are_the_softmax_of_scores(self, planted: Planted, fitted: Head) -> None:
        shares = np.exp(fitted.decision_function(planted.bags).astype(np.float64))
        probabilities = fitted.predict_proba(planted.bags)
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(probabilities, shares / shares.sum(axis=1, keepdims=True), atol=1e-6)

    def test_splitting_a_batch_does_not_change_scores(self, planted: Planted, fitted: Head) -> None:
        whole = fitted.decision_function(planted.bags)
        parts = [fitted.decision_function(planted.bags[rows]) for rows in np.array_split(np.arange(len(planted)), 7)]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)

    def test_no_documents_have_no_scores(self, planted: Planted, fitted: Head) -> None:
        assert fitted.decision_function(planted.bags[:0]).shape == (0, len(fitted.classes_))

    # ---- what must not matter

    def test_the_order_of_rows_does_not_matter(self, planted: Planted, fitted: Head) -> None:
        self.unless_excepted("row_order")
        again = self.fit(planted[np.random.default_rng(1).permutation(len(planted))])
        assert_same_scores(again, fitted, planted.bags)

    def test_a_weight_of_two_is_having_the_document_twice(self, planted: Planted) -> None:
        self.unless_excepted("weight_two")
        weight = np.where(np.arange(len(planted)) % 3 == 0, 2.0, 1.0)
        twice = planted[np.repeat(np.arange(len(planted)), weight.astype(int))]
        assert_same_scores(self.fit(planted, sample_weight=weight), self.fit(twice), planted.bags)

    def test_a_weight_of_none_is_not_having_the_document(self, planted: Planted) -> None:
        weight = np.where(np.arange(len(planted)) % 4 == 0, 0.0, 1.0)
        without = planted[np.flatnonzero(weight)]
        gone = replace(planted, y=np.where(np.arange(len(planted)) == 0, "gone", planted.y).astype(object))
        assert_same_scores(self.fit(gone, sample_weight=weight), self.fit(without), planted.bags)

    def test_renaming_labels_permutes_columns(self, planted: Planted, fitted: Head) -> None:
        self.unless_excepted("renamed_labels")
        names = dict(zip(fitted.classes_, reversed(fitted.classes_), strict=True))
        renamed = clone(self.head).fit(planted.bags, np.array([names[label] for label in planted.y], dtype=object))
        scores = renamed.decision_function(planted.bags)[:, ::-1]
        np.testing.assert_allclose(scores, fitted.decision_function(planted.bags), atol=1e-3)

    def test_the_same_seed_gives_the_same_scores(self, planted: Planted, fitted: Head) -> None:
        np.testing.assert_array_equal(
            self.fit(planted).decision_function(planted.bags), fitted.decision_function(planted.bags)
        )

    def test_what_is_passed_in_stays_as_it_is(self, planted: Planted) -> None:
        before = {view: planted.bags.view(view).gather()[0].copy() for view in planted.bags.views}
        labels, weight = planted.y.copy(), np.linspace(0, 2, len(planted))
        self.fit(planted, sample_weight=weight).predict_proba(planted.bags)
        for view, values in before.items():
            np.testing.assert_array_equal(planted.bags.view(view).gather()[0], values)
        assert (planted.y == labels).all()
        assert weight.tolist() == np.linspace(0, 2, len(planted)).tolist()

    # ---- kept

    def test_saved_and_loaded_it_gives_identical_scores(self, planted: Planted, fitted: Head, tmp_path: Path) -> None:
        fitted.save(tmp_path / "head")
        loaded = type(fitted).load(tmp_path / "head")
        np.testing.assert_array_equal(loaded.decision_function(planted.bags), fitted.decision_function(planted.bags))
        assert loaded.predict(planted.bags).tolist() == fitted.predict(planted.bags).tolist()
        assert repr(loaded.get_params()) == repr(fitted.get_params())
        for learned in ("dims_", "notes_", "parameter_count_", "multilabel_", "reads"):
            assert getattr(loaded, learned) == getattr(fitted, learned)

    def test_any_changed_byte_of_a_saved_head_is_refused(self, fitted: Head, tmp_path: Path) -> None:
        fitted.save(tmp_path)
        for path in sorted(tmp_path.iterdir()):
            whole = path.read_bytes()
            path.write_bytes(whole[:-1] if path.suffix == ".json" else whole[:-1] + bytes([whole[-1] ^ 1]))
            if path.suffix == ".json":
                path.write_bytes(whole[: len(whole) // 2])
            with pytest.raises(RunDamaged):
                type(fitted).load(tmp_path)
            path.write_bytes(whole)

    def test_a_head_of_another_shape_is_refused(self, fitted: Head, tmp_path: Path) -> None:
        fitted.save(tmp_path)
        description = tmp_path / "head.json"
        view = fitted.reads[0]
        text = description.read_text(encoding="utf-8")
        description.write_text(text.replace(f'"{view}": {fitted.dims_[view]}', f'"{view}": 99'), encoding="utf-8")
        with pytest.raises(RunDamaged):
            type(fitted).load(tmp_path)

    # ---- what it refuses

    def test_an_unfitted_head_says_so(self, planted: Planted) -> None:
        with pytest.raises(NotFittedError):
            clone(self.head).predict(planted.bags)

    def test_one_class_is_refused(self, planted: Planted) -> None:
        with pytest.raises(CallError, match=r"The documents are of one class, same: a classifier needs two\."):
            clone(self.head).fit(planted.bags, ["same"] * len(planted))

    def test_a_view_that_is_not_kept_is_named(self, planted: Planted, fitted: Head) -> None:
        without = planted.bags.select_views(self.unread)
        with pytest.raises(UnknownName, match=rf"these features keep {self.unread}\. (Embed with --keep|Give it Bags)"):
            clone(self.head).fit(without, planted.y)
        with pytest.raises(UnknownName, match=f"these features keep {self.unread}"):
            fitted.predict(without)

    def test_vectors_of_another_length_are_refused(self, fitted: Head) -> None:
        self.unless_excepted("vectors")
        with pytest.raises(CallError, match="another encoder made them"):
            fitted.predict(bags_of([np.zeros((1, 17))]))

    # ---- as scikit-learn uses it

    def test_a_plain_array_is_a_bag_of_one_chunk_each(self) -> None:
        self.unless_excepted("plain_arrays")
        planted = in_the_mean(chunks=(1, 1))
        X: NDArray[np.float32] = planted.bags.pooled(("mean",))
        plain = clone(self.head).fit(X, planted.y)
        assert plain.score(X, planted.y) > 0.8
        np.testing.assert_allclose(
            plain.decision_function(X), plain.decision_function(Bags.from_array(X)), rtol=0, atol=1e-6
        )

    def test_cross_val_predict_takes_bags(self, planted: Planted) -> None:
        predicted = cross_val_predict(self.head, planted.bags, planted.y, cv=2)
        assert (predicted == planted.y).mean() > 0.6

    def test_cross_val_predict_gives_probabilities(self, planted: Planted) -> None:
        self.unless_excepted("numbered_labels")
        shares = cross_val_predict(self.head, planted.bags, planted.y, cv=2, method="predict_proba")
        assert shares.shape == (len(planted), 3)
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)

    def test_several_labels_are_learned_or_refused_in_a_sentence(self) -> None:
        train, test = multilabel_problem().halves()
        head = clone(self.head)
        if not head.supports_multilabel:
            with pytest.raises(CallError, match=f"{head.name} takes one label a document"):
                head.fit(train.bags, train.y)
            return
        predicted = head.fit(train.bags, train.y).predict(test.bags)
        assert (predicted.dtype, predicted.shape) == (bool, test.y.shape)
        assert (predicted == test.y).mean() > 0.85
        assert head.classes_.tolist() == [0, 1, 2]
        sigmoid = 1 / (1 + np.exp(-head.decision_function(test.bags).astype(np.float64)))
        np.testing.assert_allclose(head.predict_proba(test.bags), sigmoid, atol=1e-6)

    def test_a_label_that_all_or_no_documents_have_breaks_nothing(self, tmp_path: Path) -> None:
        self.unless_excepted("multilabel")
        planted = multilabel_problem()
        if not self.head.supports_multilabel:
            pytest.skip("takes one label a document")
        y = np.column_stack([planted.y, np.zeros(len(planted), bool), np.ones(len(planted), bool)])
        head = clone(self.head).fit(planted.bags, y)
        predicted = head.predict(planted.bags)
        assert not predicted[:, 3].any()
        assert predicted[:, 4].all()
        head.save(tmp_path)
        np.testing.assert_array_equal(type(head).load(tmp_path).predict(planted.bags), predicted)


def assert_same_scores(one: Head, other: Head, bags: Bags) -> None:
    assert one.classes_.tolist() == other.classes_.tolist()
    np.testing.assert_allclose(one.decision_function(bags), other.decision_function(bags), rtol=0, atol=1e-4)
