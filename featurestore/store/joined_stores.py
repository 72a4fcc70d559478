"""Documents as several stores have them: of each view one vector, the stores' own one behind the other."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, CallError
from featurestore.shards.shard import Shard
from featurestore.store.store import FeatureStore
from featurestore.vectors.bags import Bags
from featurestore.vectors.ragged import Ragged
from featurestore.vectors.recipe import Recipe

POOLED = ("cls", "mean", "max")


class FeatureSource(Protocol):
    """What heads are given documents of: a store, or several."""

    @property
    def name(self) -> str:
        """As it is said to the user."""

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """Of each store, in their order."""

    def shards(self) -> list[Shard]:
        """All that are read."""

    def bags(self, keys: Sequence[str], keep: str | Iterable[str] | None = None, layer: int | None = -1) -> Bags:
        """As `FeatureStore.bags`."""


@dataclass(frozen=True, eq=False)
class JoinedStores:
    """Several stores as one: each document's features are those of all, as `join_bags` puts them."""

    stores: tuple[FeatureStore, ...]

    @property
    def name(self) -> str:
        """The stores' names."""
        return " + ".join(store.name for store in self.stores)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """Of each store, in their order."""
        return tuple(store.recipe for store in self.stores)

    def shards(self) -> list[Shard]:
        """Those of all stores."""
        return [shard for store in self.stores for shard in store.shards()]

    def bags(self, keys: Sequence[str], keep: str | Iterable[str] | None = None, layer: int | None = -1) -> Bags:
        """The documents of `keys`, in their order. Raises as each store does; CallError for all layers at once."""
        if layer is None:
            raise CallError("Layers can be weighed of one store alone: name one --store.")
        bags = join_bags([store.bags(keys, layer=layer) for store in self.stores])
        return bags if keep is None else bags.select_views(keep)


def joined_fingerprint(recipes: Sequence[Recipe]) -> str:
    """Of one recipe its own; of several a hash of theirs, in their order."""
    if len(recipes) == 1:
        return recipes[0].fingerprint
    return hashlib.sha256("".join(recipe.fingerprint for recipe in recipes).encode()).hexdigest()


def join_bags(multilabel: Sequence[Bags]) -> Bags:
    """The same documents, in one order, with the features of all; one set at least, which is given back as it is.

    Encoders cut a text at different places, so chunks cannot be paired: each view that all have is pooled to a vector a
    document, as `Bags.pooled` does, once it is asked for. What each set gives alone has the view's name and the set's
    number: cls@1, cls@2. Of token ids the first that are kept are read. Raises BadData where the sets have different
    numbers of documents, or no view in common.
    """
    if len(multilabel) == 1:
        return multilabel[0]
    if len({len(bags) for bags in multilabel}) != 1:
        raise BadData("Features can stand side by side where they are of the same documents.")
    common = [view for view in POOLED if all(view in bags.views for bags in multilabel)]
    if not common:
        kept = "; ".join(", ".join(bags.views) for bags in multilabel)
        raise BadData(
            f"Of {', '.join(POOLED)} these stores have none in common ({kept}). Embed again with more in --keep."
        )
    one_each = np.arange(len(multilabel[0]) + 1)
    views = {view: Ragged.from_flat(_Pooled(multilabel, view), one_each) for view in common}
    for number, bags in enumerate(multilabel, start=1):
        views |= {f"{view}@{number}": Ragged.from_flat(_Pooled([bags], view), one_each) for view in common}
    worded = next((bags for bags in multilabel if "token_ids" in bags.views), None)
    return (
        Bags(views) if worded is None else Bags(views | {"token_ids": worded.views["token_ids"]}, worded.chunk_layout)
    )


def store_number(view: str) -> int:
    """The number of the set that a view of `join_bags` is of alone; 0 for one of all, or of a single store."""
    return int(view.partition("@")[2] or 0)


class _Pooled:
    """A Part of a Ragged: float32 (documents, sum of dims), computed when it is first read."""

    dtype: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, multilabel: Sequence[Bags], view: str) -> None:
        self._several = multilabel
        self._view = view
        self.shape = (len(multilabel[0]), sum(math.prod(bags.view(view).item_shape) for bags in multilabel))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self._values if dtype is None and not copy else np.array(self._values, dtype=dtype, copy=copy)

    def read(self, start: int, out: NDArray[Any]) -> None:
        out[...] = self._values[start : start + len(out)]

    @cached_property
    def _values(self) -> NDArray[np.float32]:
        return np.concatenate([bags.pooled([self._view]) for bags in self._several], axis=1)
