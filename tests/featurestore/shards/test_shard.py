"""A shard: the same bytes for the same content, plain HDF5 for others, and refused whole when anything is odd."""

import hashlib
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import BadData, StoreDamaged, UnknownName
from featurestore import Bags, Recipe, Shard, ShardContent, shard_bytes
from tests.featurestore.made import ALL_KEPT, NAMED, RECIPE, as_float32, content, rows_of

TEXTS = [f"text {row}" for row in range(9)]


def saved(folder: Path, data: bytes | memoryview) -> Path:
    path = folder / f"{hashlib.sha256(data).hexdigest()}.h5"
    path.write_bytes(data)
    return path


def assert_holds(bags: Bags, made: ShardContent, recipe: Recipe, layer: int | None = None) -> None:
    assert set(bags.views) == {*recipe.keep, "token_ids"}
    for view in recipe.keep:
        expected = rows_of(made, view, layer=layer)
        for row, each in enumerate(expected):
            np.testing.assert_array_equal(bags.view(view).row(row), as_float32(each))
    values, _ = bags.view("token_ids").gather()
    assert values.dtype == np.int32 and values.tolist() == made.arrays["tokens/id"].tolist()


@settings(deadline=None, max_examples=40)
@given(
    documents=st.integers(0, 8),
    most=st.integers(0, 3),
    dtype=st.sampled_from(["float16", "bfloat16", "float32"]),
    keep=st.sets(st.sampled_from(list(NAMED))),
    seed=st.integers(0, 99),
)
def test_what_is_put_into_a_shard_is_read_back(
    documents: int, most: int, dtype: str, keep: set[str], seed: int
) -> None:
    recipe = replace(RECIPE, dtype=dtype, keep=tuple(view for view in NAMED if view in keep))
    made = content(TEXTS[:documents], recipe, seed=seed, most=most)
    shard = Shard.of_bytes(shard_bytes(made, recipe), recipe)
    assert len(shard) == documents
    assert [key.tobytes().hex() for key in shard.keys.view("V32")] == list(made.keys)
    assert_holds(shard.bags(), made, recipe)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_each_of_several_layers_is_read_by_its_number(tmp_path: Path, dtype: str) -> None:
    recipe = replace(ALL_KEPT, layers=(-1, -2, -4), dtype=dtype)
    made = content(TEXTS, recipe)
    data = shard_bytes(made, recipe)
    for shard in (Shard.of_bytes(data, recipe), Shard.open(saved(tmp_path, data), recipe)):
        for place, layer in enumerate(recipe.layers):
            assert_holds(shard.bags(layer), made, recipe, place)
            turned, _ = shard.bags(layer)[::-1].view("mean").gather()
            expected = np.concatenate([as_float32(row) for row in rows_of(made, "mean", layer=place)[::-1]])
            np.testing.assert_array_equal(turned, expected)


def test_a_layer_that_is_not_kept_is_named_with_those_that_are() -> None:
    recipe = replace(RECIPE, layers=(-1, -4))
    shard = Shard.of_bytes(shard_bytes(content(TEXTS, recipe), recipe), recipe)
    with pytest.raises(UnknownName, match=r"^Layer -2 is not kept in this store, which has -1, -4\. Name one of these"):
        shard.bags(-2)


def test_a_file_is_read_as_the_bytes_are(tmp_path: Path) -> None:
    made = content(TEXTS, ALL_KEPT)
    data = shard_bytes(made, ALL_KEPT)
    shard = Shard.open(saved(tmp_path, data), ALL_KEPT)
    assert shard.name == Shard.of_bytes(data, ALL_KEPT).name and shard.size == len(data)
    assert_holds(shard.bags(), made, ALL_KEPT)


def test_the_same_content_gives_the_same_bytes_at_another_time() -> None:
    first = shard_bytes(content(TEXTS), RECIPE)
    time.sleep(1.1)  # HDF5 counts time in seconds
    assert shard_bytes(content(TEXTS), RECIPE) == first
    assert shard_bytes(content(TEXTS, seed=1), RECIPE) != first


def test_other_programs_find_plain_aligned_datasets_without_attributes() -> None:
    data = shard_bytes(content(TEXTS, ALL_KEPT), ALL_KEPT)
    with h5py.File(io.BytesIO(data)) as file:
        names = [f"{group}/{name}" for group in ("documents", "chunks", "segments", "tokens") for name in file[group]]
        assert len(names) == 12
        for name in [*names, "metadata"]:
            dataset = file[name]
            assert dataset.chunks is None and dataset.compression is None and len(dataset.attrs) == 0
            assert dataset.id.get_offset() % 64 == 0
        made = content(TEXTS, ALL_KEPT)
        np.testing.assert_array_equal(file["chunks/cls"][()], made.arrays["chunks/cls"])
        assert file["documents/key"][0].tobytes().hex() == made.keys[0]


@pytest.mark.parametrize(
    ("name", "array", "clause"),
    [
        ("chunks/cls", None, "chunks/cls is missing"),
        ("tokens/vector", np.zeros((0, 4), np.float16), "tokens/vector is not part of a shard of this recipe"),
        ("chunks/cls", np.zeros((3, 4), np.float32), r"chunks/cls is float32 of \(3, 4\), not float16 of \(n, dim\)"),
        ("chunks/span", np.zeros((3, 3), np.int64), r"chunks/span is int64 of \(3, 3\), not int64 of \(n, 2\)"),
        ("documents/dropped_tokens", np.zeros(2, np.int64), "documents/dropped_tokens has another length"),
        ("documents/chunk_offsets", np.arange(9), "documents/chunk_offsets does not divide the"),
    ],
)
def test_no_shard_is_made_of_arrays_that_the_recipe_does_not_ask_for(name: str, array: Any, clause: str) -> None:
    made = content(TEXTS)
    arrays = {key: value for key, value in {**made.arrays, name: array}.items() if value is not None}
    with pytest.raises(ValueError, match=f"^No shard can be made of this: {clause}"):
        shard_bytes(ShardContent(made.keys, arrays), RECIPE)


def test_vectors_of_unequal_length_make_no_shard() -> None:
    made = content(TEXTS)
    wider = {**made.arrays, "chunks/mean": np.zeros((len(made.arrays["chunks/mean"]), 5), np.float16)}
    with pytest.raises(ValueError, match="its vectors have different lengths"):
        shard_bytes(ShardContent(made.keys, wider), RECIPE)


def test_a_shard_of_another_recipe_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, shard_bytes(content(TEXTS), RECIPE))
    with pytest.raises(StoreDamaged, match="has features of another recipe than its store"):
        Shard.open(path, replace(RECIPE, window=510))


def test_bytes_that_do_not_fit_the_name_are_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"{'0' * 64}.h5"
    path.write_bytes(shard_bytes(content(TEXTS), RECIPE))
    monkeypatch.setattr(h5py, "File", None)  # calling it would be a TypeError
    with pytest.raises(StoreDamaged, match=r"is damaged: its bytes do not match its name\. Run `embedonce store rep"):
        Shard.open(path, RECIPE)


# what a stranger could put into a file and name by its own hash
Spoil = Callable[[h5py.File, Path], None]


def put(name: str, **how: Any) -> Spoil:
    def spoil(file: h5py.File, outside: Path) -> None:
        del file[name]
        file.create_dataset(name, **how)

    return spoil


def link(name: str, kind: Callable[[Path], Any]) -> Spoil:
    def spoil(file: h5py.File, outside: Path) -> None:
        del file[name]
        file[name] = kind(outside)

    return spoil


def virtual(file: h5py.File, outside: Path) -> None:
    layout = h5py.VirtualLayout(shape=file["chunks/cls"].shape, dtype=np.float16)
    layout[:] = h5py.VirtualSource(str(outside), "chunks/cls", shape=layout.shape)
    del file["chunks/cls"]
    file.create_virtual_dataset("chunks/cls", layout)


def newer(file: h5py.File, outside: Path) -> None:
    text = file["metadata"][32:].tobytes().replace(b'"format": 2', b'"format": 3')
    del file["metadata"]
    file["metadata"] = np.frombuffer(hashlib.sha256(text).digest() + text, np.uint8)


def set_to(name: str, place: int, value: int) -> Spoil:
    def spoil(file: h5py.File, outside: Path) -> None:
        file[name][place] = value

    return spoil


SPOILS: dict[str, tuple[Spoil, str]] = {
    "soft link": (link("chunks/cls", lambda outside: h5py.SoftLink("/chunks/mean")), "chunks/cls is a link"),
    "external link": (link("chunks/cls", lambda outside: h5py.ExternalLink(outside, "chunks/cls")), "is a link"),
    "group by external link": (
        link("chunks", lambda outside: h5py.ExternalLink(outside, "chunks")),
        "chunks is a link",
    ),
    "virtual dataset": (virtual, "chunks/cls is not stored in one piece"),
    "external storage": (
        put("tokens/id", shape=3, dtype="<i4", external=[("elsewhere.bin", 0, 12)]),
        "tokens/id is not stored in one piece",
    ),
    "chunked": (put("tokens/id", data=np.zeros(9, np.int32), chunks=(3,)), "tokens/id is not stored in one piece"),
    "3 TB": (put("tokens/id", shape=3 * 2**40, dtype="<i4"), "tokens/id extends beyond the end of the file"),
    "2^60 rows": (put("tokens/id", shape=2**60, dtype="<i4"), "tokens/id extends beyond the end of the file"),
    "strings": (put("tokens/id", data=["a", "b"]), "tokens/id is not an array of numbers"),
    "big-endian": (put("tokens/id", data=np.zeros(9, ">i4")), "tokens/id is >i4"),
    "one number": (put("tokens/id", data=np.int32(1)), "tokens/id is int32"),
    "nothing": (put("tokens/id", data=h5py.Empty("i4")), "cannot be read as a shard"),
    "a stranger": (lambda file, outside: file.create_dataset("chunks/sum", data=[1.0]), "chunks/sum is not part"),
    "a deep group": (lambda file, outside: file.create_group("chunks/more/deep"), "chunks/more is not an array"),
    "negative offset": (set_to("documents/chunk_offsets", 0, -1), "does not divide"),
    "falling offset": (set_to("documents/token_offsets", 1, 2**40), "does not divide"),
    "offset past the end": (set_to("documents/segment_offsets", -1, 2**40), "does not divide"),
    "metadata": (set_to("metadata", 40, 0), "has no metadata that match their checksum"),
    "newer": (newer, "has format 3, but this embedonce reads format 2. Update embedonce."),
}


@pytest.mark.parametrize("name", SPOILS)
def test_a_shard_with_anything_odd_in_it_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    spoil, clause = SPOILS[name]
    outside = saved(tmp_path, shard_bytes(content(TEXTS), RECIPE))
    buffer = io.BytesIO(outside.read_bytes())
    with h5py.File(buffer, "r+", libver="latest") as file:
        spoil(file, outside)
    path = saved(tmp_path, buffer.getvalue())
    with pytest.raises((StoreDamaged, BadData), match=clause):
        Shard.open(path, RECIPE)


def test_a_link_in_a_shards_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    there = saved(tmp_path / "elsewhere", shard_bytes(content(TEXTS), RECIPE))
    (tmp_path / there.name).symlink_to(there)
    with pytest.raises(StoreDamaged, match=r"is a link\. Replace it by the shard itself\.$"):
        Shard.open(tmp_path / there.name, RECIPE)
