"""Bags: documents as named ragged views in one row order, indexed like a scikit-learn array."""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, CallError, UnknownName, suggest_name
from data.tabular import Tabular
from featurestore.vectors.contiguous_tokens import ChunkLayout, ContiguousTokens
from featurestore.vectors.ragged import ItemArray, Ragged, Rows, row_index
from featurestore.vectors.row_batches import shuffled_batches

if TYPE_CHECKING:
    from featurestore.vectors.torch_dataset import BagDataset

VIEWS = ("cls", "mean", "max", "segments", "tokens", "token_ids")
_BLOCK = 8192  # documents pooled at a time, so that memory never holds a second copy of all chunks


class PerDocument(Protocol):
    """What was computed for each document of a set, such as its n-gram counts."""

    def __getitem__(self, rows: Rows, /) -> Self:
        """Select documents."""


class Computation(Hashable, Protocol):
    """What to compute for each document, without its label; equal computations have equal results."""

    def compute(self, bags: "Bags", /) -> PerDocument:
        """Compute it for all documents."""


@dataclass(frozen=True, eq=False, repr=False)
class Bags:
    """A set of documents; vectors are read when a view is gathered.

    views: of "cls" "mean" "max" (one vector per chunk), "segments" and "tokens" (vectors), "token_ids" (int32 items);
    each has one row per document, in the same order.
    chunk_layout: how tokens were split into chunks; None if a document's token ids are its text.
    tabular: columns next to the text, a row per document; None if there are none.
    pooled_rows: names of views -> what `pooled` returns for them, computed before and kept in memory or in a file.
    computed: the results of other computations that were made before, for several fits.
    """

    views: Mapping[str, Ragged]
    chunk_layout: ChunkLayout | None = None
    tabular: Tabular | None = None
    pooled_rows: Mapping[tuple[str, ...], Ragged] = field(default_factory=dict)
    computed: Mapping[Computation, PerDocument] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = {len(ragged) for ragged in self.views.values()}
        if len(rows) != 1 or (self.tabular is not None and {len(self.tabular)} != rows):
            raise BadData("A set of documents needs at least one view, and the same number of rows in each.")

    @classmethod
    def from_array(cls, array: Any) -> Self:
        """Use a 2-D array as one chunk per document: its rows are cls, mean, max and segments; floats are not copied.

        Raises CallError for an array that is not two-dimensional and numeric.
        """
        values = np.asarray(array)
        if values.ndim != 2 or values.dtype.kind not in "fiub":
            raise CallError(f"Expected Bags or a 2-D array of numbers, got {values.ndim} dimensions of {values.dtype}.")
        if values.dtype.kind != "f":
            values = values.astype(np.float32)
        rows = Ragged.from_flat(values, np.arange(len(values) + 1))
        return cls(dict.fromkeys(("cls", "mean", "max", "segments"), rows))

    @classmethod
    def concatenate(cls, all_bags: Sequence["Bags"]) -> Self:
        """Concatenate the documents of one or more Bags, in order, without what is `computed`.

        Raises BadData if their views, chunk layouts or tabular columns differ.
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
        tables = [bags.tabular for bags in all_bags if bags.tabular is not None]
        if len(tables) not in (0, len(all_bags)):
            raise BadData("Documents with and without tabular columns cannot be concatenated.")
        pooled = {
            names: Ragged.concatenate([bags.pooled_rows[names] for bags in all_bags])
            for names in first.pooled_rows
            if all(names in bags.pooled_rows for bags in all_bags)
        }
        return cls(views, first.chunk_layout, Tabular.concatenate(tables) if tables else None, pooled)

    def __len__(self) -> int:
        return len(next(iter(self.views.values())))

    @property
    def shape(self) -> tuple[int]:
        """(documents,)."""
        return (len(self),)

    def __getitem__(self, key: Any) -> Self:
        """Select documents, no copy: by index array, mask, slice, integer (Bags of one), or (any of these, ...)."""
        if isinstance(key, tuple):
            key = key[0]
        rows = row_index(key, len(self))
        selected: dict[tuple[int, ...], Ragged] = {}  # cls, mean and max share their row arrays: these are indexed once
        views: dict[str, Ragged] = {}
        for name, ragged in self.views.items():
            identity = (id(ragged.array_index), id(ragged.start), id(ragged.length))
            if identity not in selected:
                selected[identity] = ragged[rows]
            views[name] = replace(selected[identity], arrays=ragged.arrays, bfloat16=ragged.bfloat16)
        tabular = None if self.tabular is None else self.tabular[rows]
        pooled = {names: ragged[rows] for names, ragged in self.pooled_rows.items()}
        computed = {key: each[rows] for key, each in self.computed.items()}
        return type(self)(views, self.chunk_layout, tabular, pooled, computed)

    def __repr__(self) -> str:
        return f"<Bags of {len(self):,} documents: {_listed(self.views)}>"

    def view(self, name: str) -> Ragged:
        """Return a view by its name. Raises UnknownName, which lists the available views."""
        if name not in self.views:
            raise UnknownName(f"These features have no '{name}'.{suggest_name(name, self.views)}")
        return self.views[name]

    def select_views(self, names: str | Iterable[str]) -> Self:
        """Keep only these views. Raises UnknownName, which lists the available views."""
        selected = [names] if isinstance(names, str) else names
        return replace(self, views={name: self.view(name) for name in selected})

    def contiguous_tokens(self) -> ContiguousTokens:
        """Read the token ids in the order of the text. Raises UnknownName if they were not kept."""
        return ContiguousTokens.from_chunks(self.view("token_ids"), self.chunk_layout)

    def batches(self, size: int, *, by: str, rng: np.random.Generator | int) -> Iterator[NDArray[np.int64]]:
        """Yield the batches of an epoch in random order: int64 rows of documents with similar lengths.

        Args:
            size: The most documents per batch.
            by: The view whose lengths are compared.
            rng: An integer gives the same batches at each call, a generator different ones.

        Raises:
            UnknownName: The view does not exist.
            CallError: The size is below 1.
        """
        return shuffled_batches(self.view(by).length, size, np.random.default_rng(rng))

    def dataset(self, view: str, targets: Any = None) -> "BagDataset":
        """Return one view as a torch Dataset of (float32 (items, dim)[, target]); see `BagDataset` for batches.

        targets: (documents, ...). Raises UnknownName; CallError if there is not one target per document.
        """
        from featurestore.vectors.torch_dataset import BagDataset

        return BagDataset(self.view(view), targets)

    def pooled(self, names: Sequence[str] = ("cls", "mean", "max")) -> NDArray[np.float32]:
        """Pool to one vector per document: the maximum of "max", the mean of other views.

        Returns float32 (documents, sum of dims); the layers of a view are concatenated. No chunks give zeros. Of
        documents in the order of `with_pooled`, it is a read-only view of that array instead of a copy.
        """
        known = self.pooled_rows.get(tuple(names))
        if known is not None:
            view = known.contiguous()
            return known.gather(np.float32)[0] if view is None else view
        pooled = np.empty((len(self), self.pooled_dim(names)), dtype=np.float32)
        for rows, block in self.pooled_blocks(names):
            pooled[rows] = block
        return pooled

    def pooled_blocks(
        self, names: Sequence[str] = ("cls", "mean", "max"), size: int = _BLOCK
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield the rows of `pooled` in order, block by block, so that memory holds one block.

        Args:
            names: The views.
            size: The most documents per block.

        Yields:
            The rows of the block, and float32 (rows, sum of dims), which must not be changed.
        """
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            bags = self[rows]
            if tuple(names) in self.pooled_rows:
                yield rows, bags.pooled(names)
            else:
                blocks = [_pooled(bags.view(name), largest=name == "max") for name in names]
                yield rows, blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)

    def pooled_dim(self, names: Sequence[str]) -> int:
        """The number of columns of `pooled`."""
        return sum(math.prod(self.view(name).item_shape) for name in names)

    def with_pooled(self, names: Sequence[str], array: ItemArray) -> Self:
        """The same documents, with `array` as the result of `pooled(names)`: float32 (documents, sum of dims)."""
        rows = Ragged.from_flat(array, np.arange(len(self) + 1))
        return replace(self, pooled_rows={**self.pooled_rows, tuple(names): rows})

    def with_computed(self, computation: Computation, result: PerDocument) -> Self:
        """The same documents, with the result of a computation on them or on documents that they are some of."""
        return replace(self, computed={**self.computed, computation: result})


def as_bags(X: Any) -> Bags:
    """Return Bags unchanged, and a 2-D array as Bags with one chunk per document."""
    return X if isinstance(X, Bags) else Bags.from_array(X)


def _pooled(ragged: Ragged, *, largest: bool) -> NDArray[np.float32]:
    """Pool each row by the mean, or by the maximum if `largest`: float32 (rows, dim); zeros for an empty row."""
    items, offsets = ragged.gather(np.float32)
    values = items.reshape(len(items), math.prod(ragged.item_shape))
    if len(values) == len(ragged) and (ragged.length == 1).all():
        return values
    if largest:
        return _row_maxima(values, offsets[:-1], ragged.length)
    sums = _row_sums(values, offsets)
    sums /= np.maximum(ragged.length, 1)[:, None]
    return sums


def _row_sums(values: NDArray[np.float32], offsets: NDArray[np.int64]) -> NDArray[np.float32]:
    """Sum the values of each row, in a fiftieth of the time of `np.add.reduceat`."""
    from scipy.sparse import csr_array

    rows = csr_array(
        (np.ones(len(values), np.float32), np.arange(len(values)), offsets), (len(offsets) - 1, len(values))
    )
    return np.asarray(rows @ values)


def _row_maxima(
    values: NDArray[np.float32], start: NDArray[np.int64], length: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Take the maximum of each row, one length at a time, in a tenth of the time of `np.maximum.reduceat`."""
    pooled = np.zeros((len(start), values.shape[1]), dtype=np.float32)
    for row_length in np.unique(length[length > 0]).tolist():
        rows = np.flatnonzero(length == row_length)
        pooled[rows] = values[start[rows, None] + np.arange(row_length)].max(axis=1)
    return pooled


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
