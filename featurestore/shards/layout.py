"""The layout of a shard: the datasets that a recipe asks for, their types and lengths, and their offsets.

    metadata                      uint8: 32 bytes of sha256, and the JSON text that they are the hash of
    documents/key                 uint8 (documents, 32): the sha256 of each text
    documents/dropped_tokens      int64 (documents,): tokens that are in no chunk
    documents/chunk_offsets       int64 (documents + 1,): where each document's chunks begin, and the end
    documents/segment_offsets     the same for segments, if they are kept
    documents/token_offsets       the same for tokens
    chunks/cls, mean, max         numbers (chunks(, layers), dim), those that are kept
    chunks/span                   int64 (chunks, 2): first character, and the one after the last
    segments/vector               numbers (segments(, layers), dim), if they are kept
    tokens/id                     int32 (tokens,): the tokens of the chunks, overlaps included, no special tokens
    tokens/vector                 numbers (tokens(, layers), dim), if they are kept

Numbers are float16, float32, or bfloat16 as uint16; all are little-endian. Layers are in the recipe's order; a single
layer has no axis.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData
from featurestore.vectors.ragged import ItemArray, are_offsets, as_array
from featurestore.vectors.recipe import Recipe

FORMAT = 2
METADATA = "metadata"
ALIGNMENT = 64
KEY_BYTES = 32
# view of Bags -> its dataset
VIEWS = {
    "cls": "chunks/cls",
    "mean": "chunks/mean",
    "max": "chunks/max",
    "segments": "segments/vector",
    "tokens": "tokens/vector",
    "token_ids": "tokens/id",
}
# group of datasets -> the offsets that divide them into documents
OFFSETS = {
    "chunks": "documents/chunk_offsets",
    "segments": "documents/segment_offsets",
    "tokens": "documents/token_offsets",
}
_NUMBERS = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4"}


@dataclass(frozen=True)
class Field:
    """One dataset. tail: its shape after the first axis; 0 is the dim of vectors, which only the shard knows."""

    dtype: np.dtype[Any]
    tail: tuple[int, ...]

    def fits(self, array: ItemArray) -> bool:
        """Whether type and shape are correct, lengths aside."""
        if array.dtype != self.dtype or len(array.shape) != 1 + len(self.tail):
            return False
        return all(expected in (0, length) for expected, length in zip(self.tail, array.shape[1:], strict=True))

    def __str__(self) -> str:
        tail = "".join(f", {length or 'dim'}" for length in self.tail)
        return f"{self.dtype} of (n{tail})"


def check_format(name: str, version: object) -> None:
    """Raise BadData, with the next step, unless a store or shard has the current format."""
    if version == FORMAT:
        return
    is_older = isinstance(version, int) and version < FORMAT
    step = "Embed the documents again into a new store." if is_older else "Update embedonce."
    raise BadData(f"{name} has format {version}, but this embedonce reads format {FORMAT}. {step}")


def offsets_name(name: str) -> str:
    """Return the offsets that divide dataset `name` into documents."""
    return OFFSETS[name.split("/")[0]]


def expected_fields(recipe: Recipe) -> dict[str, Field]:
    """Return the datasets of a shard of `recipe`, without the metadata."""
    int64 = Field(np.dtype("<i8"), ())
    vectors = Field(np.dtype(_NUMBERS[recipe.dtype]), (len(recipe.layers), 0) if len(recipe.layers) > 1 else (0,))
    fields = {
        "documents/key": Field(np.dtype("u1"), (KEY_BYTES,)),
        "documents/dropped_tokens": int64,
        "chunks/span": Field(np.dtype("<i8"), (2,)),
        "tokens/id": Field(np.dtype("<i4"), ()),
    }
    fields |= {VIEWS[name]: vectors for name in recipe.keep}
    return fields | {offsets_name(name): int64 for name in fields if not name.startswith("documents/")}


def find_fault(arrays: Mapping[str, ItemArray], recipe: Recipe) -> str | None:
    """Describe the first array that is not as `recipe` requires, or return None; offsets are read, vectors are not."""
    fields = expected_fields(recipe)
    unexpected = sorted(set(arrays) ^ set(fields))
    if unexpected:
        name = unexpected[0]
        return f"{name} is {'missing' if name in fields else 'not part of a shard of this recipe'}"
    for name, field in fields.items():
        if not field.fits(arrays[name]):
            return f"{name} is {arrays[name].dtype} of {arrays[name].shape}, not {field}"
    if len({arrays[VIEWS[name]].shape[-1] for name in recipe.keep}) > 1:
        return "its vectors have different lengths"
    return _find_length_fault({name: arrays[name] for name in fields})


def _find_length_fault(arrays: Mapping[str, ItemArray]) -> str | None:
    documents = arrays["documents/key"].shape[0]
    if arrays["documents/dropped_tokens"].shape[0] != documents:
        return "documents/dropped_tokens has another length than documents/key"
    checked: set[tuple[str, int]] = set()
    for name, array in arrays.items():
        if name.startswith("documents/"):
            continue
        offsets, items = offsets_name(name), array.shape[0]
        if (offsets, items) not in checked and not _are_offsets_of(as_array(arrays[offsets]), documents, items):
            return f"{offsets} does not divide the {items:,} rows of {name} into {documents:,} documents"
        checked.add((offsets, items))
    return None


def _are_offsets_of(offsets: NDArray[np.int64], documents: int, items: int) -> bool:
    return len(offsets) == documents + 1 and are_offsets(offsets, items)
