"""Stores that keep more or some of the same vectors are reported."""

from dataclasses import replace
from pathlib import Path

import pytest

from featurestore import FeatureStore, Recipe
from stages.embed.pipeline.embed_source import related_store_notes
from tests.small_store import RECIPE

FEWER = replace(RECIPE, keep=("cls",))
MORE = replace(RECIPE, keep=("cls", "mean", "max", "segments", "tokens"), layers=(-4, -1))


@pytest.fixture
def stores(tmp_path: Path) -> Path:
    FeatureStore.create(tmp_path / "store", RECIPE)
    return tmp_path


def test_a_store_with_more_vectors_is_offered(stores: Path) -> None:
    assert list(related_store_notes(stores, FEWER)) == [
        f"{stores}/store has all of this, and also mean and max and segments; --store {stores}/store adds to it instead"
    ]


def test_a_store_with_some_of_the_vectors_is_reported_with_what_it_lacks(stores: Path) -> None:
    assert list(related_store_notes(stores, MORE)) == [
        f"{stores}/store has some of this, without tokens and layers -4; "
        "a store never mixes recipes, so its documents are encoded again"
    ]


@pytest.mark.parametrize("other", [RECIPE, replace(FEWER, window=10), replace(MORE, segment=16)])
def test_stores_of_the_same_recipe_and_of_other_vectors_are_not_reported(stores: Path, other: Recipe) -> None:
    assert list(related_store_notes(stores, other)) == []


def test_a_store_that_cannot_be_read_is_skipped(stores: Path) -> None:
    (stores / "store" / "recipe.json").write_text("{")
    assert list(related_store_notes(stores, FEWER)) == []
