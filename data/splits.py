"""Rows cut into parts that look alike: train and test, folds, an early stop's validation part; and subsets that grow.

Each label is spread over the parts by their shares, rows of one group land in one part, and labels of one, two or
three documents are no exception that raises. Rows are dealt out label by label, the rarest first, each to the part
that lacks most: iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011), with a document's rarest label as
its stratum.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Split(StrEnum):
    """The two sides of a corpus."""

    TRAIN = "train"
    TEST = "test"


def assign_folds(y: NDArray[Any], groups: Sequence[Hashable] | None, k: int, seed: int) -> NDArray[np.int8]:
    """The fold (0..k-1) of each row: `stratified_split` with equal shares."""
    return stratified_split(y, groups, [1 / k] * k, seed)


def stratified_split(
    y: NDArray[Any], groups: Sequence[Hashable] | NDArray[np.int64] | None, shares: Sequence[float], seed: int
) -> NDArray[np.int8]:
    """The part (0..len(shares)-1) of each row: int8 (rows,).

    y: int (rows,), or bool (rows, labels) for several labels. groups: any hashable a row; rows of one group land in
    one part, and a row whose group is None stands for itself; int64 (rows,) takes less memory. Shares are relative to
    their sum.

    Without groups, each label's rows keep to the shares within two rows (for two parts and one label a row). Where
    one share is the largest, that part has every label; beyond it, a label with as many groups as there are parts is
    in all of them, unless reaching one would take another label out of its part.
    """
    blocks = _blocks(y, groups)
    share = np.asarray(shares, dtype=float) / sum(shares)
    part = _dealt(blocks, share, np.random.default_rng(seed))
    if len(blocks.pairs) > len(blocks.size):  # else each block has one label, and dealing has spread it already
        _mend(part, blocks, share)
    return part[blocks.of_row].astype(np.int8)


def nested_subsets(
    y: NDArray[Any], groups: Sequence[Hashable] | None, sizes: Sequence[int], seed: int
) -> list[NDArray[np.int64]]:
    """A subset of the rows for each size, int64, rising; one of a smaller size lies inside those of larger sizes.

    y, groups: as `stratified_split` takes them. A subset ends with the group that fills it, so it may be larger than
    asked; a size of all rows or more takes all. The least are two groups of different labels, if there are two labels.

    The same share of every label is taken, within one row, or within the largest of its groups. Each label is sampled
    at even distances from a random start (systematic sampling, Cochran 1977, Sampling Techniques, chapter 8), so that a
    row of a rare label is as likely to be in a subset as any other.
    """
    blocks = _blocks(y, groups)
    order = _spread(blocks, np.random.default_rng(seed)) if len(blocks.size) else blocks.size
    place = np.argsort(order)[blocks.of_row]
    last = np.maximum(np.searchsorted(np.cumsum(blocks.size[order]), sizes), 1)
    return [np.flatnonzero(place <= each) for each in last]


@dataclass(frozen=True)
class _Blocks:
    """Rows that may not be parted, as blocks."""

    of_row: NDArray[np.int64]  # the block of each row: (rows,)
    size: NDArray[np.int64]  # rows of each: (blocks,)
    pairs: NDArray[np.int64]  # each block with each label in it, sorted: (pairs, 2)

    def strata(self) -> NDArray[np.int64]:
        """Of each block its rarest label, as a number that is lower for rarer ones: int64 (blocks,)."""
        block, label = self.pairs.T
        rank = np.empty(label.max(initial=-1) + 1, dtype=np.int64)
        rank[np.argsort(np.bincount(label, minlength=len(rank)), kind="stable")] = np.arange(len(rank))
        return np.minimum.reduceat(rank[label], np.searchsorted(block, np.arange(len(self.size))))


def _blocks(y: NDArray[Any], groups: Sequence[Hashable] | NDArray[np.int64] | None) -> _Blocks:
    of_row = np.arange(len(y)) if groups is None else _numbered(groups)
    if y.ndim == 1:
        row, label = np.arange(len(y)), np.unique(y, return_inverse=True)[1]
    else:  # to have no label at all counts as one more label
        row, label = np.nonzero(np.column_stack([y, ~y.any(axis=1)]))
    labels = int(label.max(initial=-1)) + 1
    pairs = np.stack(np.divmod(np.unique(of_row[row] * labels + label), max(labels, 1)), axis=1)
    return _Blocks(of_row, np.bincount(of_row), pairs)


def _numbered(groups: Sequence[Hashable] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of groups in the order of their first rows; a row whose group is None has a number of its own."""
    if isinstance(groups, np.ndarray) and groups.dtype == np.int64:
        _, first, of_row = np.unique(groups, return_index=True, return_inverse=True)
        rank = np.empty(len(first), dtype=np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        return rank[of_row]
    numbers: dict[Hashable, int] = {}
    return np.fromiter(
        (
            numbers.setdefault((row,) if group is None else (group, None), len(numbers))
            for row, group in enumerate(groups)
        ),
        dtype=np.int64,
        count=len(groups),
    )


def _dealt(blocks: _Blocks, shares: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """The part of each block: strata from the rarest on, in each the large blocks first, else in random order."""
    strata, order = blocks.strata() if len(blocks.size) else blocks.size, rng.permutation(len(blocks.size))
    order = order[np.lexsort((-blocks.size[order], strata[order]))]
    part = np.empty(len(order), dtype=np.int64)
    owed = np.zeros(len(shares))
    for rows in np.split(order, np.flatnonzero(np.diff(strata[order])) + 1):
        sizes = blocks.size[rows]
        # what earlier strata rounded away is made up for here, by no more than half a block
        part[rows] = list(_parts_of(sizes.tolist(), shares * sizes.sum() + np.clip(owed, *_half(sizes)), shares))
        owed += shares * sizes.sum() - np.bincount(part[rows], weights=sizes, minlength=len(shares))
    return part


def _half(sizes: NDArray[np.int64]) -> tuple[float, float]:
    half = float(sizes.mean()) / 2 if len(sizes) else 0.0
    return -half, half


def _parts_of(sizes: list[int], wanted: NDArray[np.float64], shares: NDArray[np.float64]) -> Iterator[int]:
    """The part of each block of one label: the one that lacks most rows, but none stays empty while blocks last."""
    lacks, share = wanted.tolist(), shares.tolist()
    empty = [part for part in range(len(lacks)) if share[part] > 0]
    open_to = list(empty)
    for left, size in zip(range(len(sizes), 0, -1), sizes, strict=True):
        if left == len(sizes):  # a label with one block belongs where most rows are, whatever is owed
            chosen = max(open_to, key=lambda part: (share[part], lacks[part]))
        else:
            chosen = max(empty if empty and left <= len(empty) else open_to, key=lacks.__getitem__)
        if chosen in empty:
            empty.remove(chosen)
        lacks[chosen] -= size
        yield chosen


def _spread(blocks: _Blocks, rng: np.random.Generator) -> NDArray[np.int64]:
    """Blocks in an order whose every beginning is stratified; the first two differ in their stratum, if any do."""
    strata = blocks.strata()
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    _, first, number = np.unique(strata[order], return_index=True, return_inverse=True)
    size = blocks.size[order]
    before = np.cumsum(size) - size
    start = rng.random(len(first))[number] * size
    order = order[np.argsort((before - before[first][number] + start) / np.add.reduceat(size, first)[number])]
    other = np.flatnonzero(strata[order] != strata[order[0]])[:1]  # a classifier needs two labels to tell apart
    return np.concatenate([order[:1], order[other], np.delete(order, [0, *other])])


def _mend(part: NDArray[np.int64], blocks: _Blocks, shares: NDArray[np.float64]) -> None:
    """Move blocks of several labels so that a label reaches the parts that its rarer companions kept it from."""
    labels_of, blocks_of = (_lists(blocks.pairs[:, ::step]) for step in (1, -1))
    held = np.zeros((len(blocks_of), len(shares)), dtype=np.int64)  # blocks of each label in each part
    np.add.at(held, (blocks.pairs[:, 1], part[blocks.pairs[:, 0]]), 1)

    def move(block: int, to: int) -> None:
        held[labels_of[block], part[block]] -= 1
        held[labels_of[block], to] += 1
        part[block] = to

    largest = np.flatnonzero(shares == shares.max())
    if len(largest) == 1:
        for label in np.flatnonzero(held[:, largest[0]] == 0):
            if held[label, largest[0]] == 0 and blocks_of[label]:
                move(blocks_of[label][0], int(largest[0]))
    for to in np.flatnonzero(shares > 0):
        for label in np.flatnonzero((held[:, to] == 0) & (held.max(axis=1) > 1)):
            spare = (block for block in blocks_of[label] if held[labels_of[block], part[block]].min() > 1)
            if held[label, to] == 0 and (block := next(spare, None)) is not None:
                move(block, int(to))


def _lists(pairs: NDArray[np.int64]) -> list[list[int]]:
    """Of each number in the first column those in the second."""
    lists: list[list[int]] = [[] for _ in range(int(pairs[:, 0].max(initial=-1)) + 1)]
    for first, second in pairs.tolist():
        lists[first].append(second)
    return lists
