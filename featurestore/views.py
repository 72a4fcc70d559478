"""Documents of one or many shards as Bags: where each one's chunks, segments and tokens lie."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.errors import UnknownName
from featurestore.bags import Bags
from featurestore.layout import OFFSETS, VIEWS, offsets_of
from featurestore.ragged import Ragged, array_of

if TYPE_CHECKING:
    from featurestore.shard import Shard


def bags_of(shards: Sequence["Shard"], part: NDArray[np.int32], row: NDArray[np.int64], layer: int | Sequence[int]) -> Bags:
    """Document i is row[i] of shards[part[i]]; at least one shard. Offsets are read, nothing that they cut.

    layer: one, of which an item is a vector (dim,), or several, of which it is (layers, dim) in the recipe's order.
    Raises UnknownName for a layer that the recipe does not keep.
    """
    recipe = shards[0].recipe
    places = _places(recipe.layers, (layer,) if isinstance(layer, int) else layer)
    parts = {view: tuple(shard.views(places)[view] for shard in shards) for view in shards[0].views(places)}
    rows = {name: _rows(shards, part, row, name) for name in OFFSETS.values() if name in shards[0].parts}
    return Bags(
        {
            view: Ragged(
                parts[view], part, *rows[offsets_of(VIEWS[view])], recipe.dtype == "bfloat16" and view != "token_ids"
            )
            for view in parts
        }
    )


def _places(kept: Sequence[int], asked: Sequence[int]) -> tuple[int, ...]:
    for layer in asked:
        if layer not in kept:
            raise UnknownName(
                f"Layer {layer} is not kept in this store, which has {', '.join(map(str, kept))}. "
                "Name one of these with --layer."
            )
    return tuple(place for place, layer in enumerate(kept) if layer in asked)


def _rows(
    shards: Sequence["Shard"], part: NDArray[np.int32], row: NDArray[np.int64], name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and length of each document's items: int64 (documents,) each."""
    start, stop = np.empty((2, len(row)), dtype=np.int64)
    order = np.argsort(part, kind="stable")
    for which, (first, end) in enumerate(pairwise(np.searchsorted(part, np.arange(len(shards) + 1), sorter=order))):
        own = order[first:end]
        offsets = array_of(shards[which].parts[name])
        start[own], stop[own] = offsets[row[own]], offsets[row[own] + 1]
    return start, stop - start
