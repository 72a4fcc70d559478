"""Stores with more or some of the same vectors are reported, and bad requests are refused before reading."""

from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import EmbedOnceError, ModelUnavailable, UnknownName
from featurestore import FeatureStore, Recipe
from stages.embed.encoder.options import Options
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source, related_store_notes
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


@pytest.mark.parametrize(
    ("options", "error"), [(Options(long="tail"), UnknownName), (Options(model="/no/model"), ModelUnavailable)]
)
def test_what_cannot_be_encoded_is_refused_before_the_source_is_read(
    options: Options, error: type[EmbedOnceError], tmp_path: Path
) -> None:
    request = EmbedRequest(source=str(tmp_path / "missing.csv"), options=options, stores=tmp_path)
    with pytest.raises(error):
        embed_source(request, notify=lambda _: None, progress=lambda _: None)
