"""A user who asks for features is told of the stores that hold them already, wholly or in part."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.table import Columns
from featurestore import FeatureStore, Recipe
from stages.embed import Options
from stages.embed.pipeline.embed_source import embed_source, follow_recipe, related_store_notes
from tests.small_store import RECIPE
from tests.stages.embed.conftest import Folders

POORER = replace(RECIPE, keep=("cls",))
RICHER = replace(RECIPE, keep=("cls", "mean", "max", "segments", "tokens"), layers=(-4, -1))


@pytest.fixture
def features(tmp_path: Path) -> Path:
    FeatureStore.create(tmp_path / "store", RECIPE)
    return tmp_path


def test_a_richer_store_is_offered(features: Path) -> None:
    assert list(related_store_notes(features, POORER)) == [
        f"{features}/store holds all of this, and mean and max and segments too: "
        f"--store {features}/store adds to it instead"
    ]


def test_a_poorer_store_is_told_with_what_it_lacks(features: Path) -> None:
    assert list(related_store_notes(features, RICHER)) == [
        f"{features}/store holds a part of this, without tokens and layers -4; "
        "a store never mixes recipes, so its documents are encoded again"
    ]


@pytest.mark.parametrize("other", [RECIPE, replace(POORER, window=10), replace(RICHER, segment=16)])
def test_stores_of_the_same_and_of_other_values_are_not_spoken_of(features: Path, other: Recipe) -> None:
    assert list(related_store_notes(features, other)) == []


def test_a_store_that_cannot_be_read_is_passed_over(features: Path) -> None:
    (features / "store" / "recipe.json").write_text("{")
    assert list(related_store_notes(features, POORER)) == []


def test_what_is_asked_goes_before_the_stores_recipe_and_the_rest_follows_it() -> None:
    options = follow_recipe(RECIPE, Options(device="cpu", batch_tokens=99, window=7), {"device", "window"})
    assert (options.device, options.batch_tokens, options.window) == ("cpu", 99, 7)
    assert (options.model, options.dtype) == (RECIPE.encoder, RECIPE.dtype)


def test_another_way_with_long_documents_leaves_the_stores_stride_behind() -> None:
    made = replace(RECIPE, window=20, stride=5, max_windows=3)
    options = follow_recipe(made, Options(long="head"), {"long"})
    assert (options.window, options.stride, options.max_windows) == (20, 0, None)
    assert follow_recipe(made, Options(long="model"), {"long"}).window is None
    assert follow_recipe(made, Options(long="windows"), {"long"}).stride == 5


def embedded(folder: Path, features: Path, source: Path, **asked: Any) -> tuple[Recipe, list[str]]:
    """The recipe of the store that an embedding went into, and what was said of precision."""
    told: list[str] = []
    store = asked.pop("store", None)
    options = Options(model=str(folder), device="cpu", keep=("mean",), **asked)
    home, _ = embed_source(
        str(source), Columns(), options, stores=features, store=store, notify=told.append, progress=lambda _: None
    )
    return home.recipe, [sentence for sentence in told if sentence.startswith("Precision")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "few.csv"
    path.write_text("text,label\n" + "".join(f"oil price {row},{row % 2}\n" for row in range(8)))
    return path


def test_a_processor_computes_in_float32_without_a_word(folders: Folders, tmp_path: Path, source: Path) -> None:
    recipe, said = embedded(folders("bert"), tmp_path / "features", source)
    assert (recipe.precision, said) == ("float32", [])


@pytest.mark.parametrize("named", [True, False])
def test_a_store_keeps_to_the_precision_that_it_was_begun_with(
    folders: Folders, tmp_path: Path, source: Path, named: bool
) -> None:
    store = {"store": tmp_path / "one"} if named else {}
    begun, _ = embedded(folders("bert"), tmp_path / "features", source, precision="bfloat16", **store)
    again, said = embedded(folders("bert"), tmp_path / "features", source, **store)
    assert again == begun
    assert said == ["Precision bfloat16, in which the store that is there was made."]
