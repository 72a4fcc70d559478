"""What heads over one vector a document share: which pooled views they read."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError
from featurestore import Bags
from heads.core.head import Head

__all__ = ["Pool", "PooledHead"]

Pool: TypeAlias = Literal["cls", "mean", "max", "segments"]

FAVOURITES = ("cls", "segments", "max")


class PooledHead(Head):
    """A head that reads one vector a document: means over its chunks (cls, mean) or segments, the maximum of max.

    The mean of segments is one over a document's tokens, where that of chunks counts a last chunk of ten words as much
    as a full one. On training documents, out of fold, linear's accuracy with cls, segments and max was 0.1 points above
    that with cls, mean and max on Reuters-52, and 1.4 on 20 Newsgroups, whose documents are longer.

    pool: which of them; None is those of FAVOURITES that the features keep, mean in place of segments.
    """

    pool: tuple[Pool, ...] | None

    def _views(self) -> tuple[str, ...]:
        if self.pool is None:
            return FAVOURITES
        if not self.pool:
            raise CallError(f"{self.name} has an empty pool: name cls, mean, max or segments.")
        return tuple(self.pool)

    def _available(self, bags: Bags) -> tuple[str, ...]:
        if self.pool is not None:
            return self._views()
        kept = [view for view in self._wanted(bags) if view in bags.views]
        if kept and _one_array(bags, kept):
            kept = kept[:1]
        return tuple(kept) or self._views()

    def _wanted(self, bags: Bags) -> tuple[str, ...]:
        if "segments" in bags.views:
            return FAVOURITES
        return tuple("mean" if view == "segments" else view for view in FAVOURITES)

    def _features(self, bags: Bags) -> NDArray[np.float32]:
        """float32 (documents, dims), the pooled views side by side."""
        return np.asarray(bags.pooled(self.reads))


def _one_array(bags: Bags, kept: list[str]) -> bool:
    """Whether the views are one vector a document under several names, as those of a plain array are."""
    views = [bags.view(name) for name in kept]
    return all(view.arrays is views[0].arrays for view in views) and bool((views[0].length == 1).all())


def constant_logits(y: NDArray[Any], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of each label by how often it occurs, half a document added to either side: float64 (labels,).

    y: bool (documents, labels). What is left to say of a label that every document has, or none.
    """
    present = weight @ y
    return np.asarray(np.log(present + 0.5) - np.log(weight.sum() - present + 0.5))
