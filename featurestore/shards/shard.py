"""An immutable shard, read past HDF5: the library says where each dataset lies, a memory map gives its bytes."""

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
from data.errors import BadData, StoreDamaged, UnknownName
from featurestore.shards.hdf5_extents import Extent, read_extents
from featurestore.shards.layout import FORMAT, KEY_BYTES, METADATA, OFFSETS, VIEWS, find_fault, offsets_name
from featurestore.shards.mapped import MappedArray, MappedFile, has_matching_hash, one_layer
from featurestore.vectors.bags import Bags
from featurestore.vectors.contiguous_tokens import ChunkLayout
from featurestore.vectors.ragged import ItemArray, Ragged, as_array
from featurestore.vectors.recipe import Recipe

NEXT_STEP = "Run `embedonce store repair`, then `embedonce embed` again: its documents are encoded anew."
_DIGEST_BYTES = 32


@dataclass(frozen=True, eq=False)
class Shard:
    """One shard's arrays by the names of layout.py, checked against each other; vectors are read when they are used.

    name: the file's. size: bytes.
    """

    name: str
    size: int
    recipe: Recipe
    arrays: Mapping[str, ItemArray]

    @classmethod
    def open(cls, path: Path, recipe: Recipe, known: Callable[[os.stat_result], bool] | None = None) -> Self:
        """The shard at `path`. Its bytes are hashed before HDF5 parses them, unless `known` says that they were.

        Raises StoreDamaged for bytes that are not those of its name, for another recipe's shard, and for datasets that
        are not as layout.py says; BadData for a newer format; FileNotFoundError when there is no such file.
        """
        with _opened(path) as file:
            found = os.fstat(file.fileno())
            if not (known and known(found)):
                _check_hash(file, path)
            mapped = MappedFile(path.absolute(), found.st_size, found.st_mtime_ns)
            parts = _parts(file, found.st_size, recipe, path.name, lambda extent: MappedArray(mapped, *extent))
        return cls(path.name, found.st_size, recipe, parts)

    @classmethod
    def of_bytes(cls, data: bytes | memoryview, recipe: Recipe) -> Self:
        """A shard in memory, from what `shard_bytes` returned, under its name on disk. Raises as `open` does."""
        name = f"{hashlib.sha256(data).hexdigest()}.h5"

        def view(extent: Extent) -> NDArray[Any]:
            flat: NDArray[Any] = np.frombuffer(data, extent.dtype, math.prod(extent.shape), extent.offset)
            return flat.reshape(extent.shape)

        return cls(name, len(data), recipe, _parts(BytesIO(data), len(data), recipe, name, view))

    def __len__(self) -> int:
        """Documents."""
        return self.arrays["documents/key"].shape[0]

    @property
    def keys(self) -> NDArray[np.bytes_]:
        """The documents' keys, 32 bytes each: S32 (documents,), copied, so that many hold no maps open."""
        return as_array(self.arrays["documents/key"]).copy().view(f"S{KEY_BYTES}").reshape(-1)

    @cached_property
    def layers(self) -> Mapping[int | None, Mapping[str, ItemArray]]:
        """For each layer of the recipe, the views of Bags as arrays of that layer alone; for None, of all layers."""
        views = {view: self.arrays[name] for view, name in VIEWS.items() if name in self.arrays}
        if len(self.recipe.layers) == 1:
            return {self.recipe.layers[0]: views, None: views}
        return {None: views} | {
            layer: {view: part if view == "token_ids" else one_layer(part, place) for view, part in views.items()}
            for place, layer in enumerate(self.recipe.layers)
        }

    def bags(self, layer: int | None = -1) -> Bags:
        """All documents of the shard, in its order; `layer` as in `bags_from_shards`. Raises UnknownName."""
        return bags_from_shards([self], np.zeros(len(self), dtype=np.int32), np.arange(len(self)), layer)


def bags_from_shards(
    shards: Sequence[Shard], part: NDArray[np.int32], row: NDArray[np.int64], layer: int | None
) -> Bags:
    """Document i is row[i] of shards[part[i]]; at least one shard. Offsets are read, nothing that they cut.

    layer: items are its vectors (dim,); None is all that are kept, (layers, dim) in the recipe's order if several.
    Raises UnknownName for a layer that the recipe does not keep.
    """
    recipe = shards[0].recipe
    if layer is not None and layer not in recipe.layers:
        kept = ", ".join(map(str, recipe.layers))
        raise UnknownName(f"Layer {layer} is not kept in this store, which has {kept}. Name one of these with --layer.")
    parts = {view: tuple(shard.layers[layer][view] for shard in shards) for view in shards[0].layers[layer]}
    rows = {name: _rows(shards, part, row, name) for name in OFFSETS.values() if name in shards[0].arrays}
    return Bags(
        {
            view: Ragged(
                parts[view], part, *rows[offsets_name(VIEWS[view])], recipe.dtype == "bfloat16" and view != "token_ids"
            )
            for view in parts
        },
        ChunkLayout.from_recipe(recipe),
    )


def _rows(
    shards: Sequence[Shard], part: NDArray[np.int32], row: NDArray[np.int64], name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and length of each document's items: int64 (documents,) each."""
    start, stop = np.empty((2, len(row)), dtype=np.int64)
    order = np.argsort(part, kind="stable")
    for which, (first, end) in enumerate(pairwise(np.searchsorted(part, np.arange(len(shards) + 1), sorter=order))):
        own = order[first:end]
        offsets = as_array(shards[which].arrays[name])
        start[own], stop[own] = offsets[row[own]], offsets[row[own] + 1]
    return start, stop - start


def check_shard_hash(path: Path) -> None:
    """Raise StoreDamaged where a shard's bytes are not those of its name; FileNotFoundError when there is none."""
    with _opened(path) as file:
        _check_hash(file, path)


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    if path.is_symlink():
        raise StoreDamaged(f"{path} is a link. Put the shard itself in its place.")
    try:
        with open_regular_file(path) as file:
            yield file
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {error.strerror or error}.") from error


def _check_hash(file: BufferedReader, path: Path) -> None:
    if not has_matching_hash(file, path):
        raise StoreDamaged(f"{path} is damaged: its bytes are not those of its name. {NEXT_STEP}")


def _parts(
    file: BinaryIO, size: int, recipe: Recipe, name: str, part_at: Callable[[Extent], ItemArray]
) -> Mapping[str, ItemArray]:
    """The arrays of a shard, without the metadata, all of them as `recipe` asks."""
    try:
        parts: dict[str, ItemArray] = {
            key: part_at(extent) if math.prod(extent.shape) else np.empty(extent.shape, extent.dtype)
            for key, extent in read_extents(file, size).items()
        }
    except ValueError as error:  # NumPy's too: it has no array of 2^62 numbers a vector, even where there is no vector
        raise StoreDamaged(f"{name} cannot be read as a shard ({error}). {NEXT_STEP}") from error
    _check_metadata(parts.pop(METADATA, None), recipe, name)
    if wrong := find_fault(parts, recipe):
        raise StoreDamaged(f"{name} is not as its recipe says: {wrong}. {NEXT_STEP}")
    return parts


def _check_metadata(part: ItemArray | None, recipe: Recipe, name: str) -> None:
    data = b"" if part is None or part.dtype != np.uint8 else as_array(part).tobytes()
    digest, text = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    try:
        about = json.loads(text) if hashlib.sha256(text).digest() == digest else None
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise StoreDamaged(f"{name} has no metadata that fits its checksum. {NEXT_STEP}")
    if about.get("format") != FORMAT:
        raise BadData(
            f"{name} is of format {about.get('format')}, which this embedonce does not know. Update embedonce."
        )
    if about.get("fingerprint") != recipe.fingerprint:
        raise StoreDamaged(f"{name} holds features of another recipe than its store. {NEXT_STEP}")
