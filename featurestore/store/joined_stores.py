"""Several stores as one source of features: each view is pooled per store, and the vectors are concatenated."""

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
from featurestore.vectors.encoder_training import EncoderTraining
from featurestore.vectors.ragged import Float32Array, Ragged
from featurestore.vectors.recipe import Recipe

POOLED = ("cls", "mean", "max")


class FeatureSource(Protocol):
    """A source of features for heads: one store, or several joined."""

    @property
    def stores(self) -> tuple[FeatureStore, ...]:
        """The stores, at least one."""

    @property
    def name(self) -> str:
        """The name in messages."""

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipe of each store, in their order."""

    @property
    def trainings(self) -> tuple[EncoderTraining, ...]:
        """What the encoders learned from that this program trained, in the order of the stores."""

    def shards(self) -> list[Shard]:
        """All shards."""

    def unencodable(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each key is of a text without finite vectors, bool (keys,)."""

    def bags(self, keys: Sequence[str], keep: str | Iterable[str] | None = None, layer: int | None = -1) -> Bags:
        """As `FeatureStore.bags`."""


@dataclass(frozen=True, eq=False)
class JoinedStores:
    """Several stores as one: a document has the features of all stores, as `join_bags` joins them."""

    stores: tuple[FeatureStore, ...]

    @property
    def name(self) -> str:
        """The stores' names."""
        return " + ".join(store.name for store in self.stores)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipe of each store, in their order."""
        return tuple(store.recipe for store in self.stores)

    @property
    def trainings(self) -> tuple[EncoderTraining, ...]:
        """What the encoders learned from that this program trained, in the order of the stores."""
        return tuple(training for store in self.stores for training in store.trainings)

    def shards(self) -> list[Shard]:
        """The shards of all stores."""
        return [shard for store in self.stores for shard in store.shards()]

    def unencodable(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each key is of a text without finite vectors in any store, bool (keys,)."""
        failed: NDArray[np.bool_] = np.any([store.unencodable(keys) for store in self.stores], axis=0)
        return failed

    def bags(self, keys: Sequence[str], keep: str | Iterable[str] | None = None, layer: int | None = -1) -> Bags:
        """Return the documents of `keys`, in their order. Raises as each store does; CallError for all layers."""
        if layer is None:
            raise CallError("Layers can be weighted in one store only: name one --store.")
        bags = join_bags([store.bags(keys, layer=layer) for store in self.stores])
        return bags if keep is None else bags.select_views(keep)


def joined_fingerprint(recipes: Sequence[Recipe]) -> str:
    """Return the fingerprint of one recipe, or a hash of the fingerprints of several, in their order."""
    if len(recipes) == 1:
        return recipes[0].fingerprint
    return hashlib.sha256("".join(recipe.fingerprint for recipe in recipes).encode()).hexdigest()


def join_bags(bags_of_stores: Sequence[Bags]) -> Bags:
    """Join the features of the same documents in several stores; the Bags of a single store are returned unchanged.

    Encoders split a text at different positions, so chunks cannot be paired: each common view is pooled to one vector
    per document, as `Bags.pooled` does, on first use, and the vectors are concatenated. The vectors of one store have
    the view's name and the store's number: cls@1, cls@2. Token ids are those of the first store that keeps them.

    Args:
        bags_of_stores: The Bags of each store, with the same documents in the same order; at least one.

    Raises:
        BadData: The numbers of documents differ, or no view is common.
    """
    first = bags_of_stores[0]
    if len(bags_of_stores) == 1:
        return first
    if len({len(bags) for bags in bags_of_stores}) != 1:
        raise BadData("Features of different documents cannot be joined.")
    common = [view for view in POOLED if all(view in bags.views for bags in bags_of_stores)]
    if not common:
        kept = "; ".join(", ".join(bags.views) for bags in bags_of_stores)
        raise BadData(
            f"These stores have none of the views {', '.join(POOLED)} in common ({kept}). "
            "Embed again with more in --keep."
        )
    offsets = np.arange(len(first) + 1)
    views = {view: Ragged.from_flat(_PooledArray(bags_of_stores, view), offsets) for view in common}
    for number, bags in enumerate(bags_of_stores, start=1):
        views |= {f"{view}@{number}": Ragged.from_flat(_PooledArray([bags], view), offsets) for view in common}
    with_tokens = next((bags for bags in bags_of_stores if "token_ids" in bags.views), None)
    if with_tokens is None:
        return Bags(views)
    return Bags(views | {"token_ids": with_tokens.views["token_ids"]}, with_tokens.chunk_layout)


def store_number(view: str) -> int:
    """Return the number of the store that a view of `join_bags` comes from; 0 for a view of all stores."""
    return int(view.partition("@")[2] or 0)


class _PooledArray(Float32Array):
    """An ItemArray (documents, sum of dims)."""

    def __init__(self, all_bags: Sequence[Bags], view: str) -> None:
        self._bags = all_bags
        self._view = view
        self.shape = (len(all_bags[0]), sum(math.prod(bags.view(view).item_shape) for bags in all_bags))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._bags, self._view)  # without the values

    @cached_property
    def _values(self) -> NDArray[np.float32]:
        return np.concatenate([bags.pooled([self._view]) for bags in self._bags], axis=1)
