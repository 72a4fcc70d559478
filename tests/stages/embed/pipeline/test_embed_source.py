"""Related stores are reported, and an existing store decides what the options leave open."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.table import Columns
from featurestore import FeatureStore, Recipe
from stages.embed import Options
from stages.embed.pipeline.embed_source import embed_source, related_store_notes
from stages.embed.pipeline.encoding_choice import follow_recipe
from tests.small_store import RECIPE
from tests.stages.embed.conftest import Folders

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


def test_explicit_options_win_over_the_recipe_of_the_store_and_the_rest_follows_it() -> None:
    options = follow_recipe(RECIPE, Options(device="cpu", batch_tokens=99, window=7), {"device", "window"})
    assert (options.device, options.batch_tokens, options.window) == ("cpu", 99, 7)
    assert (options.model, options.dtype) == (RECIPE.encoder, RECIPE.dtype)


def test_another_strategy_for_long_documents_does_not_use_the_stores_stride() -> None:
    recipe = replace(RECIPE, window=20, stride=5, max_windows=3)
    options = follow_recipe(recipe, Options(long="head"), {"long"})
    assert (options.window, options.stride, options.max_windows) == (20, 0, None)
    assert follow_recipe(recipe, Options(long="model"), {"long"}).window is None
    assert follow_recipe(recipe, Options(long="windows"), {"long"}).stride == 5


def embed_file(folder: Path, stores: Path, source: Path, **requested: Any) -> tuple[Recipe, list[str]]:
    """Embed, and return the recipe of the store and the notes on precision."""
    notes: list[str] = []
    store = requested.pop("store", None)
    options = Options(model=str(folder), device="cpu", keep=("mean",), **requested)
    opened, _ = embed_source(
        str(source), Columns(), options, stores=stores, store=store, notify=notes.append, progress=lambda _: None
    )
    return opened.recipe, [sentence for sentence in notes if sentence.startswith("Precision")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "few.csv"
    path.write_text("text,label\n" + "".join(f"oil price {row},{row % 2}\n" for row in range(8)))
    return path


def test_a_cpu_computes_in_float32_without_a_note(folders: Folders, tmp_path: Path, source: Path) -> None:
    recipe, notes = embed_file(folders("bert"), tmp_path / "stores", source)
    assert (recipe.precision, notes) == ("float32", [])


@pytest.mark.parametrize("named", [True, False])
def test_a_store_keeps_the_precision_that_it_was_created_with(
    folders: Folders, tmp_path: Path, source: Path, named: bool
) -> None:
    store = {"store": tmp_path / "one"} if named else {}
    created, _ = embed_file(folders("bert"), tmp_path / "stores", source, precision="bfloat16", **store)
    reused, notes = embed_file(folders("bert"), tmp_path / "stores", source, **store)
    assert reused == created
    assert notes == ["Precision bfloat16, as in the existing store."]
