"""Documents of one or many shards as Bags: where each one's chunks, segments and tokens lie."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.errors import UnknownName
from featurestore.shards.layout import OFFSETS, VIEWS, offsets_of
from featurestore.vectors.bags import Bags
from featurestore.vectors.contiguous_tokens import Cut
from featurestore.vectors.ragged import Ragged, array_of

if TYPE_CHECKING:
    from featurestore.shards.shard import Shard


def bags_of(shards: Sequence["Shard"], part: NDArray[np.int32], row: NDArray[np.int64], layer: int | None) -> Bags:
    """Document i is row[i] of shards[part[i]]; at least one shard. Offsets are read, nothing that they cut.

    layer: items are its vectors (dim,); None is all that are kept, (layers, dim) in the recipe's order if several.
    Raises UnknownName for a layer that the recipe does not keep.
    """
    recipe = shards[0].recipe
    if layer is not None and layer not in recipe.layers:
        kept = ", ".join(map(str, recipe.layers))
        raise UnknownName(f"Layer {layer} is not kept in this store, which has {kept}. Name one of these with --layer.")
    parts = {view: tuple(shard.layers[layer][view] for shard in shards) for view in shards[0].layers[layer]}
    rows = {name: _rows(shards, part, row, name) for name in OFFSETS.values() if name in shards[0].parts}
    return Bags(
        {
            view: Ragged(
                parts[view], part, *rows[offsets_of(VIEWS[view])], recipe.dtype == "bfloat16" and view != "token_ids"
            )
            for view in parts
        },
        Cut.of(recipe),
    )


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
