"""Bags: indexed as an array, pooled as worked out by hand, taken by scikit-learn."""

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from data.errors import BadData, CallError, UnknownName
from data.tabular import Tabular, TabularColumn
from featurestore import Bags, Ragged, as_bags
from tests.featurestore.made import content, rows_of


def three() -> Bags:
    """Documents with two chunks, none, and one."""
    offsets = [0, 2, 2, 3]
    chunks = np.array([[1, 5], [3, 1], [-4, -2]], np.float16)
    cut = Ragged.from_flat(chunks, offsets)
    ids = Ragged.from_flat(np.arange(4, dtype=np.int32), [0, 1, 3, 4])
    return Bags({"cls": cut, "mean": cut, "max": cut, "token_ids": ids})


def ids_of(bags: Bags) -> list[int]:
    return list(bags.view("token_ids").gather()[0].tolist())


def test_bags_are_one_dimensional() -> None:
    assert len(three()) == 3 and three().shape == (3,)


@pytest.mark.parametrize("key", [[2, 0], np.array([2, 0]), (np.array([2, 0]), ...), (slice(None, None, -2), ...)])
def test_every_view_is_indexed_alike(key: object) -> None:
    taken = three()[key]
    assert ids_of(taken) == [3, 0] and taken.view("cls").length.tolist() == [1, 2]


def test_a_mask_a_slice_and_an_integer_index_documents() -> None:
    assert ids_of(three()[np.array([False, True, True])]) == [1, 2, 3]
    assert ids_of(three()[1:]) == [1, 2, 3]
    assert ids_of(three()[1]) == [1, 2] and len(three()[1]) == 1


def test_iterating_gives_each_document_and_ends() -> None:
    documents: Any = three()  # by its length and integers, as scikit-learn may
    assert [ids_of(document) for document in documents] == [[0], [1, 2], [3]]


def test_views_that_share_their_rows_go_on_sharing_them() -> None:
    taken = three()[[1, 2]]
    assert taken.view("cls").start is taken.view("max").start
    assert taken.view("cls").start is not taken.view("token_ids").start


def test_pooled_is_the_mean_of_cls_and_mean_and_the_maximum_of_max() -> None:
    pooled = three().pooled(("cls", "max"))
    assert pooled.dtype == np.float32
    assert pooled.tolist() == [[2, 3, 3, 5], [0, 0, 0, 0], [-4, -2, -4, -2]]
    assert three().pooled().shape == (3, 6)


def test_pooling_in_blocks_is_pooling_each_document(monkeypatch: pytest.MonkeyPatch) -> None:
    made = content([f"text {row}" for row in range(50)])
    rows = rows_of(made, "mean")
    bags = Bags({"mean": Ragged.from_rows(rows)})
    monkeypatch.setattr("featurestore.vectors.bags._BLOCK", 7)
    expected = [row.astype(np.float32).mean(axis=0) if len(row) else np.zeros(4) for row in rows]
    np.testing.assert_allclose(bags.pooled(["mean"]), expected, rtol=1e-6)


def test_several_layers_are_pooled_and_concatenated() -> None:
    chunks = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    bags = Bags({"mean": Ragged.from_flat(chunks, np.array([0, 2, 2, 3]))})
    assert bags.pooled(["mean"]).tolist() == [[2, 3, 4, 5], [0, 0, 0, 0], [8, 9, 10, 11]]


def test_a_plain_array_is_one_chunk_a_document_and_is_not_copied() -> None:
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    bags = as_bags(array)
    assert all(bags.view(name).arrays[0] is array for name in ("cls", "mean", "max", "segments"))
    np.testing.assert_array_equal(bags[[2, 0]].pooled(["max"]), array[[2, 0]])
    assert as_bags(bags) is bags


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2, 2, 2)), [["a", "b"]], np.array([[None]])])
def test_what_is_not_a_table_of_numbers_is_refused(array: object) -> None:
    with pytest.raises(CallError, match=r"^Expected Bags or a 2-D array of numbers, got \d dimensions of "):
        as_bags(array)


def test_a_view_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownName, match=r"^These features have no 'tokens'\. Did you mean 'token_ids'\?$"):
        three().view("tokens")
    with pytest.raises(UnknownName, match=r"^These features have no 'sum'\. Known: cls, max, mean, token_ids\.$"):
        three().pooled(("sum",))


def test_bags_with_other_views_cannot_be_one() -> None:
    with pytest.raises(
        BadData, match=r"^Documents with the views cls, mean, max, token_ids and with cls cannot be concatenated\.$"
    ):
        Bags.concatenate([three(), Bags({"cls": three().view("cls")})])
    assert ids_of(Bags.concatenate([three()[[2]], three()])) == [3, 0, 1, 2, 3]


def test_views_of_unequal_length_are_no_bags() -> None:
    with pytest.raises(BadData):
        Bags({"cls": three().view("cls"), "mean": three().view("mean")[:2]})


def test_bags_say_what_they_hold() -> None:
    assert repr(three()) == "<Bags of 3 documents: cls, mean, max, token_ids>"
    assert repr(three().view("cls")) == "<Ragged of 3 rows of 2 float16 numbers>"


def test_pickled_bags_are_the_same_documents() -> None:
    assert ids_of(pickle.loads(pickle.dumps(three()))[[2, 1]]) == [3, 1, 2]


class Nearest(ClassifierMixin, BaseEstimator):
    """The class whose mean is nearest on one pooled view: the least that can be cross-validated."""

    def __init__(self, view: str = "mean") -> None:
        self.view = view

    def fit(self, X: Bags, y: NDArray[np.str_]) -> "Nearest":
        pooled = X.pooled((self.view,))
        self.classes_ = np.unique(y)
        self.means_ = np.stack([pooled[y == name].mean(axis=0) for name in self.classes_])
        return self

    def predict(self, X: Bags) -> NDArray[np.str_]:
        distance = np.linalg.norm(X.pooled((self.view,))[:, None] - self.means_, axis=2)
        return np.asarray(self.classes_[distance.argmin(axis=1)])


@pytest.fixture(scope="module")
def labelled() -> tuple[Bags, NDArray[np.str_]]:
    """40 documents whose chunks lie around the corner of their label."""
    rng = np.random.default_rng(0)
    y = np.array(["east", "west"])[rng.integers(2, size=40)]
    rows = [rng.normal(3.0 if label == "east" else -3.0, 0.1, (1 + row % 3, 2)) for row, label in enumerate(y)]
    cut = Ragged.from_rows([row.astype(np.float16) for row in rows])
    return Bags({"cls": cut, "mean": cut}), y


def test_scikit_learn_cross_validates_over_bags(labelled: tuple[Bags, NDArray[np.str_]]) -> None:
    bags, y = labelled
    assert (cross_val_predict(Nearest(), bags, y, cv=4) == y).all()
    assert len(cross_val_predict(DummyClassifier(), bags, y, cv=4)) == len(bags)


def test_scikit_learn_searches_a_grid_in_a_pipeline_over_bags(labelled: tuple[Bags, NDArray[np.str_]]) -> None:
    bags, y = labelled
    search = GridSearchCV(make_pipeline(FunctionTransformer(), Nearest()), {"nearest__view": ["cls", "mean"]}, cv=3)
    assert search.fit(bags, y).best_score_ == 1.0


def with_column(bags: Bags, *values: float) -> Bags:
    return replace(bags, tabular=Tabular((TabularColumn("n", "number", np.array(values)),)))


def test_tabular_columns_go_with_their_documents() -> None:
    bags = with_column(three(), 1, 2, 3)
    for selected, values in [
        (bags[[2, 0]], [3, 1]),
        (bags[np.array([False, True, True])], [2, 3]),
        (bags[1], [2]),
        (bags.select_views("cls"), [1, 2, 3]),
        (Bags.concatenate([bags[:1], bags[1:]]), [1, 2, 3]),
        (pickle.loads(pickle.dumps(bags)), [1, 2, 3]),
    ]:
        assert selected.tabular is not None
        assert selected.tabular.columns[0].values.tolist() == values


def test_tabular_columns_of_other_documents_are_refused() -> None:
    with pytest.raises(BadData, match="the same number of rows"):
        with_column(three(), 1, 2)
    with pytest.raises(BadData, match="with and without tabular columns"):
        Bags.concatenate([with_column(three(), 1, 2, 3), three()])
