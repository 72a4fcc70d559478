"""Exported files, read by h5py, NumPy and pyarrow alone: the documents that the store's Bags have."""

import json
import resource
import tracemalloc
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import BadData, CallError, StorageFailed, UnknownName
from featurestore import Bags, CorpusTable, FeatureStore, Ragged, text_key
from featurestore.maintenance import export
from featurestore.maintenance.export import Format, export_store
from tests.featurestore.made import ALL_KEPT, CUT_BY, FOLDER_OF, NAMED, RECIPE, as_float32, content
from tests.featurestore.stores import drawn, each_number_type

FORMATS: tuple[Format, ...] = ("npz", "parquet", "h5")


def plain_arrays(path: Path) -> Mapping[str, Any]:
    """Every array of an npz or h5 file; texts as lists of str."""
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return {
                name: archive[name].tolist() if archive[name].dtype.kind == "U" else archive[name] for name in archive
            }
    found: dict[str, Any] = {}

    def see(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            array = item.asstr()[()] if item.dtype.kind == "O" else item[()]
            found[name] = array.tolist() if isinstance(array, np.ndarray) and array.dtype.kind == "O" else array

    with h5py.File(path) as file:
        file.visititems(see)
    return found


def of_arrays(path: Path, layers: tuple[int, ...]) -> tuple[list[str], dict[int, Bags]]:
    """Keys, and the Bags of each layer, of an npz or h5 file."""
    arrays = plain_arrays(path)

    def ragged(view: str, place: int) -> Ragged:
        values = arrays[NAMED.get(view, "tokens/id")]
        values = values[:, place] if len(layers) > 1 and view != "token_ids" else values
        bfloat16 = path.suffix == ".h5" and values.dtype == np.uint16
        cuts = arrays[f"documents/{CUT_BY[FOLDER_OF[view]]}_offsets"]
        return Ragged.from_flat(as_float32(values) if bfloat16 else values, cuts)

    views = [*(view for view in NAMED if NAMED[view] in arrays), "token_ids"]
    keys = [key.tobytes().hex() for key in arrays["documents/key"]]
    return keys, {layer: Bags({view: ragged(view, place) for view in views}) for place, layer in enumerate(layers)}


def of_parquet(path: Path, layers: tuple[int, ...]) -> tuple[list[str], dict[int, Bags]]:
    """Keys, and the Bags of each layer, of a Parquet file."""
    table = pyarrow.parquet.read_table(path).combine_chunks()

    def ragged(column: str) -> Ragged:
        kind = table.schema.field(column).type.value_type
        item, inner = ((), kind) if column == "token_ids" else ((kind.list_size,), kind.value_type)
        rows = [np.array(each.as_py()).reshape(-1, *item).astype(inner.to_pandas_dtype()) for each in table[column]]
        return Ragged.from_rows(rows or [np.zeros((0, *item), inner.to_pandas_dtype())])[: len(rows)]

    def bags(layer: int) -> Bags:
        suffix = f"_layer_{layer}" if len(layers) > 1 else ""
        views = [view for view in NAMED if view + suffix in table.column_names]
        return Bags({view: ragged(view + suffix) for view in views} | {"token_ids": ragged("token_ids")})

    return table["key"].to_pylist(), {layer: bags(layer) for layer in layers}


def assert_same(path: Path, store: FeatureStore, keys: list[str]) -> None:
    """That the file holds the documents of `keys`, in that order, as the store does."""
    found, bags_of = (of_parquet if path.suffix == ".parquet" else of_arrays)(path, store.recipe.layers)
    assert found == keys
    for layer, bags in bags_of.items():
        assert set(bags.views) == {*store.recipe.keep, "token_ids"} and len(bags) == len(keys)
        expected = store.bags(keys, layer=layer) if keys else bags
        for view, ragged in bags.views.items():
            for one, other in zip(ragged.gather(), expected.view(view).gather(), strict=True):
                np.testing.assert_array_equal(one, other)
            kept = np.float32 if store.recipe.dtype == "bfloat16" else np.dtype(store.recipe.dtype)
            assert ragged.dtype == (np.int32 if view == "token_ids" else kept)


@each_number_type
@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None, max_examples=15)
@given(st.data(), st.integers(1, 1000))
def test_an_exported_store_has_every_document_as_its_bags_do(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, format: Format, data: st.DataObject, block: int
) -> None:
    store = drawn(data, dtype, tmp_path_factory)
    path = store.folder.parent / f"plain.{format}"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(export, "BLOCK_BYTES", block)
        assert export_store(store, path, format) == store.documents
    assert_same(path, store, store.select().hex_keys())
    assert [each.name for each in path.parent.glob(".tmp-*")] == []


def letters(keys: list[str], **changes: Any) -> CorpusTable:
    columns: dict[str, Any] = {
        "ids": [f"letter {row}" for row in range(len(keys))],
        "splits": ["train", None, "test", "train"],
        "groups": [None, "é\U0001f600", None, "b"],
        "labels": [("x", "y"), (), ("y",), None],
    }
    return CorpusTable("letters", "letters.csv", "multilabel", None, keys=keys, **columns | changes)


def with_corpus(folder: Path, **changes: Any) -> FeatureStore:
    """Three documents and one more that no corpus names; the first one stands twice in the corpus."""
    store = FeatureStore.create(folder / "store", ALL_KEPT)
    store.commit(content(["one", "two"], ALL_KEPT))
    store.commit(content(["three", "four"], ALL_KEPT, seed=1))
    store.save_corpus(letters([text_key(text) for text in ("three", "one", "two", "three")], **changes))
    return store


@pytest.mark.parametrize("format", FORMATS)
def test_a_corpus_is_exported_in_its_order_with_what_is_known_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    monkeypatch.setattr(export, "BLOCK_BYTES", 150)  # a block of one document or two
    store = with_corpus(tmp_path)
    path = tmp_path / f"plain.{format}"
    assert export_store(store, path, format, corpus="letters") == 4
    assert_same(path, store, list(store.corpus("letters").keys))
    if format == "parquet":
        table = pyarrow.parquet.read_table(path)
        assert table["id"].to_pylist() == ["letter 0", "letter 1", "letter 2", "letter 3"]
        assert table["split"].to_pylist() == ["train", None, "test", "train"]
        assert table["group"].to_pylist() == [None, "é\U0001f600", None, "b"]
        assert table["label"].to_pylist() == [["x", "y"], [], ["y"], None]
    else:
        arrays = plain_arrays(path)
        assert arrays["corpus/id"] == ["letter 0", "letter 1", "letter 2", "letter 3"]
        assert arrays["corpus/split"] == ["train", "", "test", "train"]
        assert arrays["corpus/group"] == ["", "é\U0001f600", "", "b"]
        assert arrays["corpus/label"] == ["x", "y", "y"]
        assert arrays["corpus/label_offsets"].tolist() == [0, 2, 2, 3, 3]
        assert arrays["corpus/is_labeled"].tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("format", FORMATS)
def test_characters_that_other_programs_cannot_hold_are_written_out(tmp_path: Path, format: Format) -> None:
    store = with_corpus(tmp_path, ids=["a\0", "a", "\ud800", "b"])
    path = tmp_path / f"plain.{format}"
    export_store(store, path, format, corpus="letters")
    ids = pyarrow.parquet.read_table(path)["id"].to_pylist() if format == "parquet" else plain_arrays(path)["corpus/id"]
    assert ids == [r"a\x00", "a", r"\ud800", "b"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_h5_keeps_the_numbers_as_they_are_and_says_what_they_are(tmp_path: Path, dtype: str) -> None:
    recipe = replace(ALL_KEPT, dtype=dtype, layers=(-1, -4))
    store = FeatureStore.create(tmp_path / "store", recipe)
    store.commit(made := content(["one", "two", "three"], recipe))
    export_store(store, tmp_path / "plain.h5", "h5")
    with h5py.File(tmp_path / "plain.h5") as file:
        for name, array in made.arrays.items():
            np.testing.assert_array_equal(file[name][()], array)
            vectors = array.ndim == 3 and dtype == "bfloat16"
            assert dict(file[name].attrs) == ({"number_type": "bfloat16"} if vectors else {})
            assert file[name].dtype == array.dtype and file[name].chunks is None


@pytest.mark.parametrize("format", FORMATS)
def test_the_recipe_goes_with_the_documents(tmp_path: Path, format: Format) -> None:
    store = with_corpus(tmp_path)
    path = tmp_path / f"plain.{format}"
    export_store(store, path, format)
    if format == "parquet":
        text = pyarrow.parquet.read_schema(path).metadata[b"recipe"]
    else:
        text = plain_arrays(path)["recipe"]
    assert json.loads(text) == json.loads((store.folder / "recipe.json").read_text())


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_documents_make_the_same_file(tmp_path: Path, format: Format) -> None:
    store = with_corpus(tmp_path)
    for name in "ab":
        export_store(store, tmp_path / name, format, corpus="letters")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    if format == "npz":
        with zipfile.ZipFile(tmp_path / "a") as archive:
            assert {member.date_time[0] for member in archive.infolist()} == {1980}


@pytest.mark.parametrize("format", FORMATS)
def test_progress_rises_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format) -> None:
    monkeypatch.setattr(export, "BLOCK_BYTES", 50)
    told: list[tuple[float, float]] = []
    export_store(with_corpus(tmp_path), tmp_path / "plain", format, progress=lambda *step: told.append(step))
    done = [step[0] for step in told]
    assert len(told) > 2 and done == sorted(done)
    assert {step[1] for step in told} == {done[-1]}


def test_an_existing_file_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    store, path = with_corpus(tmp_path), tmp_path / "plain.npz"
    path.write_bytes(b"mine")
    with pytest.raises(CallError) as refused:
        export_store(store, path, "npz")
    assert str(refused.value) == (f"{path} already exists. Name another file, or give --overwrite to replace it.")
    assert path.read_bytes() == b"mine"
    export_store(store, path, "npz", overwrite=True)
    assert_same(path, store, store.select().hex_keys())


def test_a_file_that_comes_to_be_meanwhile_stays(tmp_path: Path) -> None:
    store, path = with_corpus(tmp_path), tmp_path / "plain.h5"
    with pytest.raises(CallError, match="already exists"):
        export_store(store, path, "h5", progress=lambda *_: path.touch())
    assert path.read_bytes() == b"" and list(tmp_path.glob(".tmp-*")) == []


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_disk_that_fills_is_reported_in_a_sentence_and_leaves_nothing(
    tmp_path: Path, format: Format, share: float
) -> None:
    store = with_corpus(tmp_path)
    export_store(store, whole := tmp_path / f"whole.{format}", format, corpus="letters")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * whole.stat().st_size), hard))
    try:
        with pytest.raises(StorageFailed) as failed:
            export_store(store, path := tmp_path / f"plain.{format}", format, corpus="letters")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(failed.value).startswith(f"{path} cannot be written: ") and "\n" not in str(failed.value)
    assert str(failed.value).endswith(", or name another file.")
    assert not path.exists() and list(tmp_path.glob(".tmp-*")) == []


def test_a_folder_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    store, path = with_corpus(tmp_path), tmp_path / "nowhere" / "plain.npz"
    with pytest.raises(
        StorageFailed,
        match=r"plain\.npz cannot be written: No such file or directory\. Check that it can be written to, or",
    ):
        export_store(store, path, "npz")


def test_what_cannot_be_exported_is_a_sentence(tmp_path: Path) -> None:
    store, path = with_corpus(tmp_path), tmp_path / "plain"
    with pytest.raises(UnknownName, match=r"^There is no export to 'hdf5'\. Did you mean 'h5'\?$"):
        export_store(store, path, "hdf5")
    with pytest.raises(UnknownName, match=r"^store has no corpus 'letter'\. Did you mean 'letters'\?$"):
        export_store(store, path, "npz", corpus="letter")
    store.save_corpus(letters([text_key(text) for text in ("new", "one", "two", "three")]))
    with pytest.raises(BadData, match=r"^store: 1 of 4 documents have no features\."):
        export_store(store, path, "npz", corpus="letters")
    assert not path.exists()


@pytest.mark.parametrize("format", FORMATS)
def test_memory_does_not_grow_with_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format) -> None:
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    for seed in range(4):
        store.commit(content([f"{seed} {row}" for row in range(400)], RECIPE, seed=seed, dim=384))
    monkeypatch.setattr(export, "BLOCK_BYTES", 2**18)
    export_store(store, tmp_path / "first", format)
    tracemalloc.start()
    try:
        export_store(store, tmp_path / "second", format)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert store.info()["bytes"] > 6e6 and peak < 2e6
