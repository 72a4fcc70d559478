"""The format is as docs/reference/store-format.md says, and the store in golden/ is read with exactly these values."""

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from shutil import copytree
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.errors import BadData
from featurestore import FeatureStore, Recipe, text_key
from featurestore.shards.layout import VIEWS, expected_fields
from tests.featurestore.made import ALL_KEPT
from tests.featurestore.stores import drawn, each_number_type

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "reference" / "store-format.md").read_text(encoding="utf-8")
GOLDEN = Path(__file__).resolve().parent / "golden" / "format-2"


def read_by_page(folder: Path) -> Mapping[str, Mapping[str, NDArray[Any]]]:
    """What the reader on the page finds."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    found: Mapping[str, Mapping[str, NDArray[Any]]] = names["read"](folder)
    return found


def assert_read_alike(store: FeatureStore) -> None:
    found = read_by_page(store.folder)
    assert set(found) == set(store.keys)
    layers = store.recipe.layers
    for place, layer in enumerate(layers):
        for key in found:
            bags = store.bags([key], layer=layer)
            for view in bags.views:
                values = found[key][VIEWS[view]]
                values = values[:, place] if len(layers) > 1 and view != "token_ids" else values
                np.testing.assert_array_equal(values, bags.view(view).gather()[0])


@each_number_type
@settings(deadline=None, max_examples=20)
@given(st.data())
def test_the_reader_on_the_page_finds_what_the_library_finds(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, data: st.DataObject
) -> None:
    assert_read_alike(drawn(data, dtype, tmp_path_factory))


def test_the_page_names_every_dataset_and_every_field_of_a_recipe() -> None:
    named = set(re.findall(r"^\| `([^`]+)`", PAGE, re.MULTILINE))
    in_recipe = {field.name for field in fields(Recipe)} - {"revision", "commit"}  # which are in `hub`
    assert {*expected_fields(ALL_KEPT), "metadata", "hub", *in_recipe} <= named


LAYERS: dict[int, dict[str, list[list[list[float]]]]] = {
    -1: {
        "cls": [[[1, 2], [3, 4]], [], [[0.5, 0.25]]],
        "mean": [[[5, 6], [7, 8]], [], [[0.333251953125, 0.66650390625]]],
        "max": [[[9, 10], [11, 12]], [], [[0.125, 100]]],
        "segments": [[[1, 1.5], [2, 2.5], [3, 3.5]], [], [[4, 4.5]]],
        "tokens": [[[10, 11], [20, 21], [30, 31], [40, 41]], [], [[50, 51], [60, 61]]],
    },
    -2: {
        "cls": [[[-1, -2], [-3, -4]], [], [[65504, -65504]]],
        "mean": [[[-5, -6], [-7, -8]], [], [[2**-24, 0]]],
        "max": [[[-9, -10], [-11, -12]], [], [[-0.125, -100]]],
        "segments": [[[-1, -1.5], [-2, -2.5], [-3, -3.5]], [], [[-4, -4.5]]],
        "tokens": [[[-10, -11], [-20, -21], [-30, -31], [-40, -41]], [], [[-50, -51], [-60, -61]]],
    },
}


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """A copy of the store that was written when format 2 was introduced."""
    return Path(copytree(GOLDEN, tmp_path / "format-2"))


@pytest.mark.parametrize("layer", [-1, -2])
def test_a_store_of_format_2_is_read_with_these_vectors(golden: Path, layer: int) -> None:
    store = FeatureStore.open(golden)
    keys = [text_key(text) for text in ("one", "", "naïve \u2014 two")]
    bags = store.bags(keys, layer=layer)
    assert set(bags.views) == {*LAYERS[layer], "token_ids"}
    for view, rows in LAYERS[layer].items():
        assert bags.view(view).dtype == np.float16
        assert [bags.view(view).row(row).tolist() for row in range(3)] == rows
    assert [bags.view("token_ids").row(row).tolist() for row in range(3)] == [[11, 12, 13, 14], [], [21, 22]]
    assert store.verify() == []


def test_a_store_of_format_2_is_read_with_its_recipe_and_corpus(golden: Path) -> None:
    store = FeatureStore.open(golden)
    assert store.recipe.prefix == "Absatz – " and store.recipe.layers == (-1, -2)
    assert store.recipe.fingerprint == "301a8179ed51a5c430f231751426b92e846336a826971069e2ba0fbd8e127896"
    assert (store.documents, store.info()["dropped_tokens"], store.corpora()) == (3, 7, ["letters"])
    table = store.corpus("letters")
    assert (table.source, table.kind, table.notes) == ("letters.csv", "multilabel", ("A note.",))
    assert table.ids == ["a", "b", "c", "d"] and table.splits == ["train", "test", None, "train"]
    assert table.groups == [None, "ann", "ann", None]
    assert table.labels == [("x", "y, z"), (), ("x",), ("é",)]
    assert table.keys_of(["d", "b"]) == [text_key("one"), text_key("")]


def test_the_page_reads_the_store_of_format_2(golden: Path) -> None:
    assert_read_alike(FeatureStore.open(golden))


@pytest.mark.parametrize(
    ("version", "step"), [(1, "Embed the documents again into a new store."), (3, "Update embedonce.")]
)
def test_a_store_with_a_shard_of_another_format_is_refused_in_a_sentence(golden: Path, version: int, step: str) -> None:
    (path,) = (golden / "shards").iterdir()
    buffer = io.BytesIO(path.read_bytes())
    with h5py.File(buffer, "r+", libver="latest") as file:
        text = file["metadata"][32:].tobytes().replace(b'"format": 2', f'"format": {version}'.encode())
        file["metadata"][()] = np.frombuffer(hashlib.sha256(text).digest() + text, np.uint8)
    other = path.with_name(f"{hashlib.sha256(buffer.getvalue()).hexdigest()}.h5")
    other.write_bytes(buffer.getvalue())
    with pytest.raises(BadData) as refused:
        _ = FeatureStore.open(golden).documents
    assert str(refused.value) == f"{other.name} has format {version}, but this embedonce reads format 2. {step}"


def test_an_older_store_is_refused_in_a_sentence(golden: Path) -> None:
    path = golden / "recipe.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(BadData) as refused:
        FeatureStore.open(golden)
    assert str(refused.value) == (
        f"{golden} has format 1, but this embedonce reads format 2. Embed the documents again into a new store."
    )
