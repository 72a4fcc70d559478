"""A user who asks for features is told of the stores that hold them already, wholly or in part."""

from dataclasses import replace
from pathlib import Path

import pytest

from featurestore import FeatureStore, Recipe
from stages.embed import Options
from stages.embed.source import following, kin
from tests.small_store import RECIPE

POORER = replace(RECIPE, keep=("cls",))
RICHER = replace(RECIPE, keep=("cls", "mean", "max", "segments", "tokens"), layers=(-4, -1))


@pytest.fixture
def features(tmp_path: Path) -> Path:
    FeatureStore.create(tmp_path / "store", RECIPE)
    return tmp_path


def test_a_richer_store_is_offered(features: Path) -> None:
    assert list(kin(features, POORER)) == [
        f"{features}/store holds all of this, and mean and max and segments too: "
        f"--store {features}/store adds to it instead"
    ]


def test_a_poorer_store_is_told_with_what_it_lacks(features: Path) -> None:
    assert list(kin(features, RICHER)) == [
        f"{features}/store holds a part of this, without tokens and layers -4; "
        "a store never mixes recipes, so its documents are encoded again"
    ]


@pytest.mark.parametrize("other", [replace(POORER, window=10), replace(RICHER, segment=16)])
def test_stores_of_other_values_are_not_spoken_of(features: Path, other: Recipe) -> None:
    assert list(kin(features, other)) == []


def test_a_store_that_cannot_be_read_is_passed_over(features: Path) -> None:
    (features / "store" / "recipe.json").write_text("{")
    assert list(kin(features, POORER)) == []


def test_what_is_asked_goes_before_the_stores_recipe_and_the_rest_follows_it() -> None:
    options = following(RECIPE, Options(device="cpu", budget=99, window=7), {"device", "window"})
    assert (options.device, options.budget, options.window) == ("cpu", 99, 7)
    assert (options.model, options.dtype) == (RECIPE.encoder, RECIPE.dtype)


def test_another_way_with_long_documents_leaves_the_stores_stride_behind() -> None:
    made = replace(RECIPE, window=20, stride=5, max_windows=3)
    options = following(made, Options(long="head"), {"long"})
    assert (options.window, options.stride, options.max_windows) == (20, 0, None)
    assert following(made, Options(long="model"), {"long"}).window is None
    assert following(made, Options(long="windows"), {"long"}).stride == 5
