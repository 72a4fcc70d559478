"""Tabular columns as inputs of a head, worked out by hand and compared with scikit-learn."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from data.errors import CallError
from data.tabular import Tabular, TabularColumn
from heads.core.tabular_encoder import MAX_CATEGORIES, SCALE, TabularEncoder


def numbers(*values: float) -> Tabular:
    return Tabular((TabularColumn("n", "number", np.array(values)),))


def categories(*words: str | None) -> Tabular:
    levels = sorted({word for word in words if word is not None})
    codes = [-1 if word is None else levels.index(word) for word in words]
    return Tabular((TabularColumn("c", "category", np.array(codes, np.int32), tuple(levels)),))


def fit(tabular: Tabular, weight: Any = None) -> TabularEncoder:
    return TabularEncoder.fit(tabular, np.ones(len(tabular)) if weight is None else np.asarray(weight, float))


def test_numbers_are_standardized_as_by_scikit_learn_with_weights() -> None:
    values, weight = np.array([1.0, 4, 4, 9, 100]), np.array([1.0, 2, 1, 1, 3])
    reference = StandardScaler().fit(values[:, None], sample_weight=weight)
    encoded = fit(numbers(*values), weight).transform(numbers(*values))
    assert encoded.dtype == np.float32
    assert_allclose(encoded[:, 0], SCALE * reference.transform(values[:, None])[:, 0], rtol=1e-6)


def test_a_missing_number_is_the_mean_and_is_marked() -> None:
    encoded = fit(numbers(1, np.nan, 3)).transform(numbers(np.nan, 2, 3))
    assert encoded.tolist() == [[0, SCALE], [0, 0], [SCALE, 0]]


def test_a_number_far_off_is_limited() -> None:
    assert fit(numbers(-1, 1)).transform(numbers(1e9, -1e300))[:, 0].tolist() == [10 * SCALE, -10 * SCALE]


@given(st.lists(st.floats(allow_infinity=False), min_size=1), st.lists(st.floats(allow_infinity=False)))
def test_every_number_is_encoded_as_a_finite_one(known: list[float], new: list[float]) -> None:
    encoder = fit(numbers(*known))
    assert np.isfinite(encoder.transform(numbers(*new))).all()
    json.dumps(encoder.to_json(), allow_nan=False)


def test_categories_are_one_hot_as_by_scikit_learn() -> None:
    words = [*["DE"] * 7, *["AT"] * 5, *["CH"] * 4, "LI"]
    reference = OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False)
    reference.fit(np.array(words)[:, None])
    new = ["AT", "CH", "DE", "XX", "LI"]
    encoded = fit(categories(*words)).transform(categories(*new))
    assert_array_equal(encoded[:, :3], SCALE * reference.transform(np.array(new)[:, None]))
    assert not encoded[:, 3].any()


def test_a_missing_category_has_a_column_of_its_own() -> None:
    assert fit(categories(*["a"] * 5, None)).transform(categories(None, "a", "b")).tolist() == [
        [0, 0, SCALE],
        [SCALE, 0, 0],
        [0, SCALE, 0],
    ]


def test_a_weight_counts_as_copies_and_small_weights_do_not_make_every_category_rare() -> None:
    assert fit(categories("a", "b", "b"), [5, 1, 1]) == fit(categories(*["a"] * 5, "b", "b"))
    assert fit(categories(*["a"] * 5), [0.01] * 5).columns[0].categories == ("a",)


def test_only_the_most_frequent_of_many_categories_are_kept() -> None:
    words = [f"{number:03}" for number in range(MAX_CATEGORIES + 1) for _ in range(5 + (number > 0))]
    encoder = fit(categories(*words))
    assert len(encoder.columns[0].categories) == MAX_CATEGORIES
    assert "000" not in encoder.columns[0].categories
    assert encoder.notes(categories(*words)) == [
        "1 category of 'c' is read as 'other', because it has fewer than 5 training documents or is not among the 250 "
        "most frequent."
    ]


def test_a_date_is_its_day_and_its_place_in_the_year_and_the_week() -> None:
    days = np.array([0.0, 182.62125, 7, np.nan])  # Thursday, January 1; half a year later; a week later
    dates = Tabular((TabularColumn("d", "date", days),))
    encoded = fit(dates).transform(dates) / SCALE
    year, week = encoded[:, [2, 4]], encoded[:, [3, 5]]
    assert_allclose(encoded[:, 0], [*StandardScaler().fit_transform(days[:3, None])[:, 0], 0], atol=1e-6)
    assert encoded[:, 1].tolist() == [0, 0, 0, 1]
    assert_allclose(year[:2], [[0, 1], [0, -1]], atol=1e-6)
    assert_allclose(week[0], week[2], atol=1e-6)
    assert_allclose(week[0], [np.sin(6 * np.pi / 7), np.cos(6 * np.pi / 7)], atol=1e-6)
    assert not encoded[3, 2:].any()


def test_an_encoder_survives_json() -> None:
    tabular = Tabular((*numbers(0.1, 0.2, 5).columns, *categories("a", "b", "a").columns))
    encoder = fit(tabular)
    assert TabularEncoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder
    assert encoder.labels == ("n:number", "c:category")


def test_columns_are_found_by_name_and_others_are_ignored() -> None:
    encoder = fit(numbers(1, 3))
    both = Tabular((*categories("a", "b").columns, *numbers(1, 3).columns))
    assert_array_equal(encoder.transform(both), encoder.transform(numbers(1, 3)))


def test_a_missing_column_and_another_kind_are_refused() -> None:
    encoder = fit(numbers(1, 3))
    with pytest.raises(CallError, match=r"fitted with the tabular columns 'n', and these documents have no 'n'\."):
        encoder.transform(categories("a"))
    with pytest.raises(CallError, match=r"'n' was a number when the head was fitted, and is a date now\."):
        encoder.transform(Tabular((TabularColumn("n", "date", np.zeros(1)),)))
