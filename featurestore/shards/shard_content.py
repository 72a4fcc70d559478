"""The content of one shard as arrays: encoded, concatenated from several, or selected from an existing shard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featurestore.shards.layout import OFFSETS, offsets_name
from featurestore.vectors.ragged import Ragged, as_array, offsets_from_lengths

if TYPE_CHECKING:
    from featurestore.shards.shard import Shard

_OFFSET_NAMES = frozenset(OFFSETS.values())


@dataclass(frozen=True)
class ShardContent:
    """One shard's documents before they are written.

    keys: hex sha256 of each text. arrays: the datasets of layout.py by name, without the metadata and documents/key;
    numbers have the recipe's type, bfloat16 as uint16.
    """

    keys: Sequence[str]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def size(self) -> int:
        """The bytes of its arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def concatenate_content(contents: Sequence[ShardContent]) -> ShardContent:
    """Concatenate the documents of one or more contents."""
    arrays = {}
    for name in contents[0].arrays:
        parts = [content.arrays[name] for content in contents]
        arrays[name] = (
            offsets_from_lengths(np.concatenate([np.diff(part) for part in parts]))
            if name in _OFFSET_NAMES
            else np.concatenate(parts)
        )
    return ShardContent([key for content in contents for key in content.keys], arrays)


def select_content(shard: "Shard", rows: NDArray[np.int64]) -> ShardContent:
    """Copy the documents of a shard in `rows`, in that order, bit for bit. Raises StoreDamaged."""
    keys = [key.tobytes().hex() for key in as_array(shard.arrays["documents/key"])[rows]]
    arrays: dict[str, NDArray[Any]] = {
        "documents/dropped_tokens": as_array(shard.arrays["documents/dropped_tokens"])[rows]
    }
    for name, array in shard.arrays.items():
        if name.startswith("documents/"):
            continue
        offsets = offsets_name(name)
        ragged = Ragged.from_flat(array, as_array(shard.arrays[offsets]))
        arrays[name], arrays[offsets] = ragged[rows].gather(array.dtype)
    return ShardContent(keys, arrays)
