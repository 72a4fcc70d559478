"""Documents of several stores side by side."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadData
from featurestore import Bags, Shard, join_bags, shard_bytes, store_number
from tests.featurestore.made import RECIPE, content

TEXTS = [f"text {number}" for number in range(7)]


def bags(seed: int, dim: int, keep: tuple[str, ...] = RECIPE.keep) -> Bags:
    recipe = replace(RECIPE, keep=keep)
    return Shard.of_bytes(shard_bytes(content(TEXTS, recipe, seed=seed, dim=dim), recipe), recipe).bags()


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.lists(st.integers(0, 6), max_size=9))
def test_each_view_is_what_the_stores_pool_one_behind_the_other(dims: list[int], rows: list[int]) -> None:
    multilabel = [bags(seed, dim) for seed, dim in enumerate(dims)]
    found = join_bags(multilabel)[rows]
    for view in ("cls", "mean", "max"):
        values, offsets = found.view(view).gather()
        np.testing.assert_array_equal(offsets, np.arange(len(rows) + 1))
        np.testing.assert_array_equal(
            values, np.concatenate([each[rows].pooled([view]) for each in multilabel], axis=1)
        )
        np.testing.assert_array_equal(found.pooled([view]), values)


def test_chunks_cannot_be_paired_so_no_view_of_their_insides_is_left_and_ids_are_of_the_first() -> None:
    first, second = bags(0, 3), bags(1, 4)
    found = join_bags([first, second])
    own = {f"{view}@{number}" for view in ("cls", "mean", "max") for number in (1, 2)}
    assert set(found.views) == {"cls", "mean", "max", "token_ids"} | own
    for number, bags_of_one in enumerate((first, second), start=1):
        view = found.view(f"mean@{number}")
        np.testing.assert_array_equal(view.gather()[0], bags_of_one.pooled(["mean"]))
        assert store_number(f"mean@{number}") == number
    assert store_number("mean") == 0
    np.testing.assert_array_equal(found.view("token_ids").gather()[0], first.view("token_ids").gather()[0])


def test_one_set_is_given_back_as_it_is() -> None:
    only = bags(0, 3)
    assert join_bags([only]) is only


def test_a_view_that_one_store_lacks_is_left_out() -> None:
    assert "cls" not in join_bags([bags(0, 3), bags(1, 4, keep=("mean",))]).views


def test_nothing_in_common_is_reported_with_the_views_of_each() -> None:
    with pytest.raises(BadData, match=r"in common \(cls, token_ids; mean, token_ids\)"):
        join_bags([bags(0, 3, keep=("cls",)), bags(1, 4, keep=("mean",))])


def test_other_documents_are_refused() -> None:
    with pytest.raises(BadData, match="different documents"):
        join_bags([bags(0, 3), bags(1, 3)[:3]])
