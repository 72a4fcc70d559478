"""Documents as a head sees them: named ragged views in one row order, indexed as scikit-learn indexes an array."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, CallError, UnknownName, suggest_name
from featurestore.vectors.contiguous_tokens import ChunkLayout, ContiguousTokens
from featurestore.vectors.ragged import Ragged, row_index
from featurestore.vectors.row_batches import shuffled_batches

if TYPE_CHECKING:
    from featurestore.vectors.torch_dataset import BagDataset

VIEWS = ("cls", "mean", "max", "segments", "tokens", "token_ids")
_BLOCK = 8192  # documents pooled at a time, so that memory holds no second copy of all chunks


@dataclass(frozen=True, eq=False, repr=False)
class Bags:
    """A set of documents; nothing is read before a view is gathered.

    views: of "cls" "mean" "max" (vectors, one a chunk), "segments" and "tokens" (vectors), "token_ids" (int32 items);
    each has one row a document, in one order.
    cut: how their tokens became chunks; None where a document's token ids are its text.
    """

    views: Mapping[str, Ragged]
    chunk_layout: ChunkLayout | None = None

    def __post_init__(self) -> None:
        if len({len(ragged) for ragged in self.views.values()}) != 1:
            raise BadData("A set of documents needs one view at least, and as many rows in each.")

    @classmethod
    def from_array(cls, array: Any) -> Self:
        """A 2-D array as one chunk a document: its rows are cls, mean, max and segments alike, no copy of floats.

        Raises CallError for what is not two-dimensional and numeric.
        """
        values = np.asarray(array)
        if values.ndim != 2 or values.dtype.kind not in "fiub":
            raise CallError(f"Expected Bags or a 2-D array of numbers, got {values.ndim} dimensions of {values.dtype}.")
        if values.dtype.kind != "f":
            values = values.astype(np.float32)
        one = Ragged.from_flat(values, np.arange(len(values) + 1))
        return cls(dict.fromkeys(("cls", "mean", "max", "segments"), one))

    @classmethod
    def concatenate(cls, all_bags: Sequence["Bags"]) -> Self:
        """Concatenate the documents of one or more Bags, in order.

        Raises BadData if their views or chunk layouts differ.
        """
        first = all_bags[0]
        for bags in all_bags:
            if set(bags.views) != set(first.views):
                raise BadData(
                    f"Documents with the views {_listed(first.views)} and with {_listed(bags.views)} "
                    "cannot be concatenated."
                )
            if bags.chunk_layout != first.chunk_layout:
                raise BadData("Documents that were split into chunks in different ways cannot be concatenated.")
        views = {name: Ragged.concatenate([bags.views[name] for bags in all_bags]) for name in first.views}
        return cls(views, first.chunk_layout)

    def __len__(self) -> int:
        return len(next(iter(self.views.values())))

    @property
    def shape(self) -> tuple[int]:
        """(documents,)."""
        return (len(self),)

    def __getitem__(self, key: Any) -> Self:
        """Some documents, no copy: by index array, mask, slice, integer (Bags of one), or (any of these, ...)."""
        if isinstance(key, tuple):
            key = key[0]
        rows = row_index(key, len(self))
        taken: dict[tuple[int, ...], Ragged] = {}  # cls, mean and max stand in the same rows: these are taken once
        views: dict[str, Ragged] = {}
        for name, ragged in self.views.items():
            place = (id(ragged.array_index), id(ragged.start), id(ragged.length))
            if place not in taken:
                taken[place] = ragged[rows]
            views[name] = replace(taken[place], arrays=ragged.arrays, bfloat16=ragged.bfloat16)
        return type(self)(views, self.chunk_layout)

    def __repr__(self) -> str:
        return f"<Bags of {len(self):,} documents: {_listed(self.views)}>"

    def view(self, name: str) -> Ragged:
        """The view of that name. Raises UnknownName, naming those that there are."""
        if name not in self.views:
            raise UnknownName(f"These features have no '{name}'.{suggest_name(name, self.views)}")
        return self.views[name]

    def select_views(self, names: str | Iterable[str]) -> Self:
        """The same documents with these views alone. Raises UnknownName, naming those that there are."""
        wanted = [names] if isinstance(names, str) else names
        return type(self)({name: self.view(name) for name in wanted}, self.chunk_layout)

    def contiguous_tokens(self) -> ContiguousTokens:
        """The token ids as they stood in the text, read now. Raises UnknownName where there are none."""
        return ContiguousTokens.from_chunks(self.view("token_ids"), self.chunk_layout)

    def batches(self, size: int, *, by: str, rng: np.random.Generator | int) -> Iterator[NDArray[np.int64]]:
        """An epoch: rows of at most `size` documents of alike length in view `by`, int64, in random order.

        rng: an integer gives the same batches at each call, a generator other ones. Raises UnknownName; CallError for
        a size below 1.
        """
        return shuffled_batches(self.view(by).length, size, np.random.default_rng(rng))

    def dataset(self, view: str, targets: Any = None) -> "BagDataset":
        """One view as a torch Dataset of (float32 (items, dim)[, target]); see loading.py for its batches.

        targets: (documents, ...). Raises UnknownName; CallError for more or fewer targets than documents.
        """
        from featurestore.vectors.torch_dataset import BagDataset

        return BagDataset(self.view(view), targets)

    def pooled(self, names: Sequence[str] = ("cls", "mean", "max")) -> NDArray[np.float32]:
        """One vector a document, float32 (documents, sum of dims): the maximum of "max", the mean of other views.

        Several layers of a view stand side by side. A document without chunks has zeros.
        """
        views = [(name, self.view(name)) for name in names]
        pooled = np.empty((len(self), sum(math.prod(ragged.item_shape) for _, ragged in views)), dtype=np.float32)
        for start in range(0, len(self), _BLOCK):
            rows, column = slice(start, start + _BLOCK), 0
            for name, ragged in views:
                dim = math.prod(ragged.item_shape)
                pooled[rows, column : column + dim] = _pooled(ragged[rows], largest=name == "max")
                column += dim
        return pooled


def as_bags(X: Any) -> Bags:
    """Bags as they are, a 2-D array as Bags of one chunk a document."""
    return X if isinstance(X, Bags) else Bags.from_array(X)


def _pooled(ragged: Ragged, *, largest: bool) -> NDArray[np.float32]:
    """float32 (rows, dim): the mean of each row's items, or the `largest` of each number; zeros for an empty row."""
    items, offsets = ragged.gather(np.float32)
    values = items.reshape(len(items), math.prod(ragged.item_shape))
    if len(values) == len(ragged) and (ragged.length == 1).all():
        return values
    if largest:
        return _largest(values, offsets[:-1], ragged.length)
    sums = _sums(values, offsets)
    sums /= np.maximum(ragged.length, 1)[:, None]
    return sums


def _sums(values: NDArray[np.float32], offsets: NDArray[np.int64]) -> NDArray[np.float32]:
    """The sum of each row's values; a fiftieth of the time that `np.add.reduceat` takes."""
    from scipy.sparse import csr_array

    rows = csr_array(
        (np.ones(len(values), np.float32), np.arange(len(values)), offsets), (len(offsets) - 1, len(values))
    )
    return np.asarray(rows @ values)


def _largest(values: NDArray[np.float32], start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.float32]:
    """The largest of each row's values, rows of one length at a time; a tenth of the time of `np.maximum.reduceat`."""
    pooled = np.zeros((len(start), values.shape[1]), dtype=np.float32)
    for each in np.unique(length[length > 0]).tolist():
        rows = np.flatnonzero(length == each)
        pooled[rows] = values[start[rows, None] + np.arange(each)].max(axis=1)
    return pooled


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
