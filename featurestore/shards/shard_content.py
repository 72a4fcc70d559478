"""What goes into one shard, as arrays: made by stage one, joined from several, or taken from shards that are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featurestore.shards.layout import OFFSETS, offsets_name
from featurestore.vectors.ragged import Ragged, as_array

if TYPE_CHECKING:
    from featurestore.shards.shard import Shard

_CUTS = frozenset(OFFSETS.values())


@dataclass(frozen=True)
class ShardContent:
    """One shard's documents before they are written.

    keys: hex sha256 of each text. arrays: every dataset of layout.py by its name, but for the metadata and
    documents/key; numbers in the recipe's type, bfloat16 as uint16.
    """

    keys: Sequence[str]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def size(self) -> int:
        """Bytes of its arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def concatenate_content(contents: Sequence[ShardContent]) -> ShardContent:
    """The documents of several contents in one; at least one content."""
    arrays = {}
    for name in contents[0].arrays:
        parts = [content.arrays[name] for content in contents]
        arrays[name] = (
            _cuts_of(np.concatenate([np.diff(part) for part in parts])) if name in _CUTS else np.concatenate(parts)
        )
    return ShardContent([key for content in contents for key in content.keys], arrays)


def select_content(shard: "Shard", rows: NDArray[np.int64]) -> ShardContent:
    """The documents of a shard that stand in `rows`, in that order, bit for bit. Raises StoreDamaged."""
    keys = [key.tobytes().hex() for key in as_array(shard.arrays["documents/key"])[rows]]
    arrays: dict[str, NDArray[Any]] = {
        "documents/dropped_tokens": as_array(shard.arrays["documents/dropped_tokens"])[rows]
    }
    for name, part in shard.arrays.items():
        if name.startswith("documents/"):
            continue
        cuts = offsets_name(name)
        values, arrays[cuts] = Ragged.from_flat(part, as_array(shard.arrays[cuts]))[rows].gather(part.dtype)
        arrays[name] = values
    return ShardContent(keys, arrays)


def _cuts_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
