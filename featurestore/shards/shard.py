"""An immutable shard: HDF5 locates each dataset, and a memory map reads its bytes."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader, BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import open_regular_file
from data.errors import StoreDamaged, UnknownName
from featurestore.shards.hdf5_extents import Extent, read_extents
from featurestore.shards.layout import KEY_BYTES, METADATA, OFFSETS, VIEWS, check_format, find_fault, offsets_name
from featurestore.shards.mapped import MappedArray, MappedFile, has_matching_hash, one_layer
from featurestore.vectors.bags import Bags
from featurestore.vectors.contiguous_tokens import ChunkLayout
from featurestore.vectors.ragged import ItemArray, Ragged, as_array
from featurestore.vectors.recipe import Recipe

NEXT_STEP = "Run `embedonce store repair`, then `embedonce embed` again to encode its documents."
_DIGEST_BYTES = 32


@dataclass(frozen=True, eq=False)
class Shard:
    """One shard's arrays by the names of layout.py, checked for consistency; vectors are read when they are used.

    name: the file's name. size: in bytes.
    """

    name: str
    size: int
    recipe: Recipe
    arrays: Mapping[str, ItemArray]

    @classmethod
    def open(cls, path: Path, recipe: Recipe, known: Callable[[os.stat_result], bool] | None = None) -> Self:
        """Open a shard; its bytes are hashed before HDF5 parses them.

        Args:
            path: The file.
            recipe: The recipe of its store.
            known: Whether the file with this `os.stat_result` was hashed before, so that it need not be hashed again.

        Raises:
            StoreDamaged: The bytes do not match the name, or the datasets not the recipe.
            BadData: The shard has another format.
            FileNotFoundError: The file does not exist.
        """
        with _open_shard(path) as file:
            stat = os.fstat(file.fileno())
            if not (known and known(stat)):
                _check_hash(file, path)
            mapped = MappedFile(path.absolute(), stat.st_size, stat.st_mtime_ns)
            arrays = _read_arrays(file, stat.st_size, recipe, path.name, lambda extent: MappedArray(mapped, *extent))
        return cls(path.name, stat.st_size, recipe, arrays)

    @classmethod
    def of_bytes(cls, data: bytes | memoryview, recipe: Recipe) -> Self:
        """Make a shard in memory from the result of `shard_bytes`. Raises as `open` does."""
        name = f"{hashlib.sha256(data).hexdigest()}.h5"

        def view(extent: Extent) -> NDArray[Any]:
            flat: NDArray[Any] = np.frombuffer(data, extent.dtype, math.prod(extent.shape), extent.offset)
            return flat.reshape(extent.shape)

        return cls(name, len(data), recipe, _read_arrays(BytesIO(data), len(data), recipe, name, view))

    def __len__(self) -> int:
        """The number of documents."""
        return self.arrays["documents/key"].shape[0]

    @property
    def keys(self) -> NDArray[np.bytes_]:
        """The documents' keys, S32 (documents,): copied, so that keys of many shards keep no maps open."""
        return as_array(self.arrays["documents/key"]).copy().view(f"S{KEY_BYTES}").reshape(-1)

    @cached_property
    def layers(self) -> Mapping[int | None, Mapping[str, ItemArray]]:
        """The views of Bags as arrays of one layer, for each layer of the recipe; of all layers for None."""
        views = {view: self.arrays[name] for view, name in VIEWS.items() if name in self.arrays}
        if len(self.recipe.layers) == 1:
            return {self.recipe.layers[0]: views, None: views}
        return {None: views} | {
            layer: {view: array if view == "token_ids" else one_layer(array, position) for view, array in views.items()}
            for position, layer in enumerate(self.recipe.layers)
        }

    def bags(self, layer: int | None = -1) -> Bags:
        """Return all documents of the shard, in its order; `layer` as in `bags_from_shards`. Raises UnknownName."""
        return bags_from_shards([self], np.zeros(len(self), dtype=np.int32), np.arange(len(self)), layer)


def bags_from_shards(
    shards: Sequence[Shard], shard_index: NDArray[np.int32], row: NDArray[np.int64], layer: int | None
) -> Bags:
    """Make Bags of documents in one or more shards; offsets are read, vectors are not.

    Args:
        shards: At least one.
        shard_index: The shard of each document: int32 (documents,).
        row: The row of each document in its shard: int64 (documents,).
        layer: The layer whose vectors (dim,) are the items; None takes all that are kept, (layers, dim) in the recipe's
            order if there are several.

    Raises:
        UnknownName: The recipe does not keep this layer.
    """
    recipe = shards[0].recipe
    if layer is not None and layer not in recipe.layers:
        kept = ", ".join(map(str, recipe.layers))
        raise UnknownName(f"Layer {layer} is not kept in this store, which has {kept}. Name one of these with --layer.")
    arrays = {view: tuple(shard.layers[layer][view] for shard in shards) for view in shards[0].layers[layer]}
    ranges = {
        name: document_ranges([shard.arrays[name] for shard in shards], shard_index, row)
        for name in OFFSETS.values()
        if name in shards[0].arrays
    }
    views = {}
    for view in arrays:
        is_bfloat16 = recipe.dtype == "bfloat16" and view != "token_ids"
        views[view] = Ragged(arrays[view], shard_index, *ranges[offsets_name(VIEWS[view])], is_bfloat16)
    return Bags(views, ChunkLayout.from_recipe(recipe))


def document_ranges(
    offsets: Sequence[ItemArray], shard_index: NDArray[np.int32], row: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the items of each document start in its shard, and how many there are: int64 (documents,) each.

    Args:
        offsets: The offsets of each shard.
        shard_index: The shard of each document: int32 (documents,).
        row: The row of each document in its shard: int64 (documents,).
    """
    start, stop = np.empty((2, len(row)), dtype=np.int64)
    order = np.argsort(shard_index, kind="stable")
    bounds = np.searchsorted(shard_index, np.arange(len(offsets) + 1), sorter=order)
    for shard, (first, end) in enumerate(pairwise(bounds)):
        documents, shard_offsets = order[first:end], as_array(offsets[shard])
        start[documents], stop[documents] = shard_offsets[row[documents]], shard_offsets[row[documents] + 1]
    return start, stop - start


def check_shard_hash(path: Path) -> None:
    """Raise StoreDamaged if a shard's bytes do not match its name, FileNotFoundError if it does not exist."""
    with _open_shard(path) as file:
        _check_hash(file, path)


@contextmanager
def _open_shard(path: Path) -> Iterator[BufferedReader]:
    if path.is_symlink():
        raise StoreDamaged(f"{path} is a link. Replace it by the shard itself.")
    try:
        with open_regular_file(path) as file:
            yield file
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {error.strerror or error}.") from error


def _check_hash(file: BufferedReader, path: Path) -> None:
    if not has_matching_hash(file, path):
        raise StoreDamaged(f"{path} is damaged: its bytes do not match its name. {NEXT_STEP}")


def _read_arrays(
    file: BinaryIO, size: int, recipe: Recipe, name: str, make_array: Callable[[Extent], ItemArray]
) -> Mapping[str, ItemArray]:
    """Return the arrays of a shard without the metadata, checked against `recipe`."""
    try:
        arrays: dict[str, ItemArray] = {
            key: make_array(extent) if math.prod(extent.shape) else np.empty(extent.shape, extent.dtype)
            for key, extent in read_extents(file, size).items()
        }
    except ValueError as error:  # also of NumPy, which has no array of shape (0, 2**62)
        raise StoreDamaged(f"{name} cannot be read as a shard ({error}). {NEXT_STEP}") from error
    _check_metadata(arrays.pop(METADATA, None), recipe, name)
    if fault := find_fault(arrays, recipe):
        raise StoreDamaged(f"{name} does not match its recipe: {fault}. {NEXT_STEP}")
    return arrays


def _check_metadata(array: ItemArray | None, recipe: Recipe, name: str) -> None:
    data = b"" if array is None or array.dtype != np.uint8 else as_array(array).tobytes()
    digest, text = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    try:
        metadata = json.loads(text) if hashlib.sha256(text).digest() == digest else None
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise StoreDamaged(f"{name} has no metadata that match their checksum. {NEXT_STEP}")
    check_format(name, metadata.get("format"))
    if metadata.get("fingerprint") != recipe.fingerprint:
        raise StoreDamaged(f"{name} has features of another recipe than its store. {NEXT_STEP}")
