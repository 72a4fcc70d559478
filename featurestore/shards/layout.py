"""What stands in a shard: the datasets that a recipe asks for, their types and lengths, and what cuts them.

    metadata                      uint8: 32 bytes of sha256, and the JSON that they are the hash of
    documents/key                 uint8 (documents, 32): the sha256 of each text
    documents/dropped_tokens      int64 (documents,): tokens that are in no chunk
    documents/chunk_offsets       int64 (documents + 1,): where each document's chunks begin, and the end
    documents/segment_offsets     the same for segments, where they are kept
    documents/token_offsets       the same for tokens
    chunks/cls, mean, max         numbers (chunks(, layers), dim), those that are kept
    chunks/span                   int64 (chunks, 2): first character and the one after the last
    segments/vector               numbers (segments(, layers), dim), where they are kept
    tokens/id                     int32 (tokens,): the chunks' own tokens, overlaps included, no special tokens
    tokens/vector                 numbers (tokens(, layers), dim), where they are kept

Numbers are float16, float32, or bfloat16 as uint16; all are little-endian. Layers stand in the recipe's order, and
their axis is there when there are several.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.vectors.ragged import ItemArray, are_offsets, as_array
from featurestore.vectors.recipe import Recipe

FORMAT = 1
METADATA = "metadata"
ALIGNMENT = 64
KEY_BYTES = 32
# view of Bags -> dataset
VIEWS = {
    "cls": "chunks/cls",
    "mean": "chunks/mean",
    "max": "chunks/max",
    "segments": "segments/vector",
    "tokens": "tokens/vector",
    "token_ids": "tokens/id",
}
# folder of datasets -> the offsets that cut them into documents
OFFSETS = {
    "chunks": "documents/chunk_offsets",
    "segments": "documents/segment_offsets",
    "tokens": "documents/token_offsets",
}
_NUMBERS = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4"}


@dataclass(frozen=True)
class Field:
    """One dataset. tail: its shape behind the first axis, 0 for the dim of vectors, which each shard has its own of."""

    dtype: np.dtype[Any]
    tail: tuple[int, ...]

    def fits(self, part: ItemArray) -> bool:
        """Whether type and shape are as they should be, but for lengths."""
        if part.dtype != self.dtype or len(part.shape) != 1 + len(self.tail):
            return False
        return all(asked in (0, found) for asked, found in zip(self.tail, part.shape[1:], strict=True))

    def __str__(self) -> str:
        tail = "".join(f", {length or 'dim'}" for length in self.tail)
        return f"{self.dtype} of (n{tail})"


def offsets_name(name: str) -> str:
    """The dataset that cuts dataset `name` into documents."""
    return OFFSETS[name.split("/")[0]]


def expected_fields(recipe: Recipe) -> dict[str, Field]:
    """Every dataset of a shard of `recipe` but the metadata."""
    long = Field(np.dtype("<i8"), ())
    vectors = Field(np.dtype(_NUMBERS[recipe.dtype]), (len(recipe.layers), 0) if len(recipe.layers) > 1 else (0,))
    found = {
        "documents/key": Field(np.dtype("u1"), (KEY_BYTES,)),
        "documents/dropped_tokens": long,
        "chunks/span": Field(np.dtype("<i8"), (2,)),
        "tokens/id": Field(np.dtype("<i4"), ()),
    }
    found |= {VIEWS[name]: vectors for name in recipe.keep}
    return found | {offsets_name(name): long for name in found if not name.startswith("documents/")}


def find_fault(parts: Mapping[str, ItemArray], recipe: Recipe) -> str | None:
    """A clause on the first thing that is not as `recipe` asks, None if all is. Reads the offsets, no vectors."""
    fields = expected_fields(recipe)
    odd = sorted(set(parts) ^ set(fields))
    if odd:
        return f"{odd[0]} is {'missing' if odd[0] in fields else 'not part of a shard of this recipe'}"
    for name, field in fields.items():
        if not field.fits(parts[name]):
            return f"{name} is {parts[name].dtype} of {parts[name].shape}, not {field}"
    if len({parts[VIEWS[name]].shape[-1] for name in recipe.keep}) > 1:
        return "its vectors have different lengths"
    return _fault_of_lengths({name: parts[name] for name in fields})


def _fault_of_lengths(parts: Mapping[str, ItemArray]) -> str | None:
    documents = parts["documents/key"].shape[0]
    if parts["documents/dropped_tokens"].shape[0] != documents:
        return "documents/dropped_tokens has another length than documents/key"
    checked: set[tuple[str, int]] = set()
    for name, part in parts.items():
        if name.startswith("documents/"):
            continue
        offsets, items = offsets_name(name), part.shape[0]
        if (offsets, items) not in checked and not _cut_into(as_array(parts[offsets]), documents, items):
            return f"{offsets} does not cut the {items:,} rows of {name} into {documents:,} documents"
        checked.add((offsets, items))
    return None


def _cut_into(offsets: NDArray[np.int64], documents: int, items: int) -> bool:
    return len(offsets) == documents + 1 and are_offsets(offsets, items)
