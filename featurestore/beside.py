"""Documents as several stores have them: of each view one vector, the stores' own one behind the other."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData
from featurestore.bags import Bags
from featurestore.ragged import Ragged

POOLED = ("cls", "mean", "max")


def beside(several: Sequence[Bags]) -> Bags:
    """The same documents, in one order, with the features of all; one set at least, which is given back as it is.

    Encoders cut a text at different places, so chunks cannot be paired: each view that all have is pooled to a vector a
    document, as `Bags.pooled` does, once it is asked for. Of token ids the first that are kept are read. Raises
    BadData where the sets have different numbers of documents, or no view in common.
    """
    if len(several) == 1:
        return several[0]
    if len({len(bags) for bags in several}) != 1:
        raise BadData("Features can stand side by side where they are of the same documents.")
    common = [view for view in POOLED if all(view in bags.views for bags in several)]
    if not common:
        kept = "; ".join(", ".join(bags.views) for bags in several)
        raise BadData(
            f"Of {', '.join(POOLED)} these stores have none in common ({kept}). Embed again with more in --keep."
        )
    one_each = np.arange(len(several[0]) + 1)
    views = {view: Ragged.from_flat(_Pooled(several, view), one_each) for view in common}
    ids = [bags.views["token_ids"] for bags in several if "token_ids" in bags.views]
    return Bags(views | ({"token_ids": ids[0]} if ids else {}))


class _Pooled:
    """A Part of a Ragged: float32 (documents, sum of dims), computed when it is first read."""

    dtype: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, several: Sequence[Bags], view: str) -> None:
        self._several = several
        self._view = view
        self.shape = (len(several[0]), sum(bags.view(view).item_shape[0] for bags in several))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self._values if dtype is None and not copy else np.array(self._values, dtype=dtype, copy=copy)

    def read(self, start: int, out: NDArray[Any]) -> None:
        out[...] = self._values[start : start + len(out)]

    @cached_property
    def _values(self) -> NDArray[np.float32]:
        return np.concatenate([bags.pooled([self._view]) for bags in self._several], axis=1)
