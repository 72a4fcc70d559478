"""Stratified splits of rows (train and test, folds, a validation split), and nested stratified subsets.

Each label is distributed over the parts by their shares, rows of one group get the same part, and rare labels raise no
error. Rows are assigned label by label, the rarest first, each to the part that lacks most: iterative stratification
(Sechidis, Tsoumakas and Vlahavas 2011), with a document's rarest label as its stratum. With a taxonomy, strata are
coarser than labels, which are then distributed within each stratum (`Strata`).
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class Split(StrEnum):
    """The splits of a corpus; validation documents are training documents unless a fit sets them aside."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Strata:
    """Labels by which rows are stratified, and finer ones that are distributed within each of them.

    y: int (rows,), or bool (rows, strata) if a row may be in several.
    finer: int64 (rows,).
    """

    y: NDArray[Any]
    finer: NDArray[np.int64]

    def __getitem__(self, rows: Any) -> Self:
        """Select rows by an index array, a mask or a slice."""
        return replace(self, y=self.y[rows], finer=self.finer[rows])


def assign_folds(
    y: NDArray[Any] | Strata, groups: Sequence[Hashable] | NDArray[Any] | None, k: int, seed: int
) -> NDArray[np.int32]:
    """Assign a fold (0..k-1) to each row, int32 (rows,): `stratified_split` with equal shares."""
    return stratified_split(y, groups, [1 / k] * k, seed)


def stratified_split(
    y: NDArray[Any] | Strata, groups: Sequence[Hashable] | NDArray[Any] | None, shares: Sequence[float], seed: int
) -> NDArray[np.int32]:
    """Assign a part (0..len(shares)-1) to each row.

    Without groups, the rows of each label match the shares within two rows (for two parts and one label per row). If
    one share is the largest, that part gets every label; and a label with as many groups as there are parts gets into
    all of them, unless that would remove another label from its part.

    Args:
        y: int (rows,), or bool (rows, labels) for multi-label; or coarser strata.
        groups: One hashable per row; rows of one group get the same part, and None is a group of its own. int64 (rows,)
            takes less memory.
        shares: The relative size of each part.
        seed: Of the order of equal rows.

    Returns:
        int32 (rows,).
    """
    blocks = _make_blocks(y, groups)
    share = np.asarray(shares, dtype=float) / sum(shares)
    part = _assign_blocks(blocks, share, np.random.default_rng(seed))
    if len(blocks.pairs) > len(blocks.size):  # else each block has one label, which is distributed already
        _move_blocks(part, blocks, share)
    return part[blocks.of_row].astype(np.int32)


def nested_subsets(
    y: NDArray[Any] | Strata, groups: Sequence[Hashable] | NDArray[Any] | None, sizes: Sequence[int], seed: int
) -> list[NDArray[np.int64]]:
    """Draw one stratified subset of the rows per size; each contains the subsets of smaller sizes.

    A subset has the same share of every label, within one row or within the largest of its groups. Each label is
    sampled at even distances from a random start (systematic sampling, Cochran 1977, Sampling Techniques, chapter 8),
    so that a row of a rare label is as likely to be in a subset as any other.

    Args:
        y: As in `stratified_split`.
        groups: As in `stratified_split`.
        sizes: Rows per subset. A subset ends with a whole group, so it may be larger; a size of all rows or more takes
            all. The minimum are two groups of different labels, if there are two labels.
        seed: Of the order and the starts.

    Returns:
        One sorted int64 array of rows per size.
    """
    blocks = _make_blocks(y, groups)
    order = _stratified_order(blocks, np.random.default_rng(seed)) if len(blocks.size) else blocks.size
    rank = np.argsort(order)[blocks.of_row]
    last_ranks = np.maximum(np.searchsorted(np.cumsum(blocks.size[order]), sizes), 1)
    return [np.flatnonzero(rank <= last) for last in last_ranks]


def take_groups(
    groups: Sequence[Hashable] | NDArray[Any] | None, rows: NDArray[np.int64]
) -> Sequence[Hashable] | NDArray[Any] | None:
    """The groups of some rows; None if there are no groups."""
    if groups is None or isinstance(groups, np.ndarray):
        return groups if groups is None else groups[rows]
    return [groups[row] for row in rows.tolist()]


@dataclass(frozen=True)
class _Blocks:
    """Rows that must stay together, as blocks."""

    of_row: NDArray[np.int64]  # the block of each row: (rows,)
    size: NDArray[np.int64]  # rows per block: (blocks,)
    pairs: NDArray[np.int64]  # (block, label) of each label in each block, sorted: (pairs, 2)
    finer: NDArray[np.int64] | None = None  # the finer label of each block's first row: (blocks,)

    def strata(self) -> NDArray[np.int64]:
        """The rank of each block's rarest label, 0 for the rarest of all: int64 (blocks,)."""
        block, label = self.pairs.T
        rank = np.empty(label.max(initial=-1) + 1, dtype=np.int64)
        rank[np.argsort(np.bincount(label, minlength=len(rank)), kind="stable")] = np.arange(len(rank))
        return np.minimum.reduceat(rank[label], np.searchsorted(block, np.arange(len(self.size))))


def _make_blocks(y: NDArray[Any] | Strata, groups: Sequence[Hashable] | NDArray[Any] | None) -> _Blocks:
    if isinstance(y, Strata):
        blocks = _make_blocks(y.y, groups)
        first = np.unique(blocks.of_row, return_index=True)[1]
        return replace(blocks, finer=y.finer[first])
    of_row = np.arange(len(y)) if groups is None else _number_groups(groups)
    if y.ndim == 1:
        row, label = np.arange(len(y)), np.unique(y, return_inverse=True)[1]
    else:  # no label at all counts as one more label
        row, label = np.nonzero(np.column_stack([y, ~y.any(axis=1)]))
    labels = int(label.max(initial=-1)) + 1
    pairs = np.stack(np.divmod(np.unique(of_row[row] * labels + label), max(labels, 1)), axis=1)
    return _Blocks(of_row, np.bincount(of_row), pairs)


def _number_groups(groups: Sequence[Hashable] | NDArray[Any]) -> NDArray[np.int64]:
    """Number the groups in the order of their first rows; each row whose group is None gets its own number."""
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


def _assign_blocks(blocks: _Blocks, shares: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Assign a part to each block: strata from the rarest on; within one, large blocks first, else in random order."""
    strata, order = blocks.strata() if len(blocks.size) else blocks.size, rng.permutation(len(blocks.size))
    if blocks.finer is not None:
        order = _order_finer(blocks.finer, order, shares)
    order = order[np.lexsort((-blocks.size[order], strata[order]))]
    part = np.empty(len(order), dtype=np.int64)
    deficit = np.zeros(len(shares))
    for rows in np.split(order, np.flatnonzero(np.diff(strata[order])) + 1):
        sizes = blocks.size[rows]
        # the rounding of earlier strata is compensated here, by at most half a block
        wanted = shares * sizes.sum() + np.clip(deficit, *_half_block(sizes))
        part[rows] = _choose_parts(sizes, wanted, shares)
        deficit += shares * sizes.sum() - np.bincount(part[rows], weights=sizes, minlength=len(shares))
    return part


def _order_finer(finer: NDArray[np.int64], order: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order blocks so that the parts, which take turns within a stratum, share each finer label.

    Equal parts take one block each, so blocks of a label follow each other. Of unequal parts the largest one takes the
    first blocks, so one block of each label comes first, then the second ones, and so on.
    """
    labels = order[np.argsort(finer[order], kind="stable")]
    if shares.min() == shares.max():
        return labels
    starts = np.searchsorted(finer[labels], finer[labels])
    return np.asarray(labels[np.argsort(np.arange(len(labels)) - starts, kind="stable")])


def _half_block(sizes: NDArray[np.int64]) -> tuple[float, float]:
    half = float(sizes.mean()) / 2 if len(sizes) else 0.0
    return -half, half


def _choose_parts(
    sizes: NDArray[np.int64], wanted: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The part of each block of one label: the one that lacks most rows, but no part stays empty if possible."""
    lacks, share = wanted.tolist(), shares.tolist()
    empty = [part for part in range(len(lacks)) if share[part] > 0]
    open_to, chosen = list(empty), list[int]()
    for left, size in zip(range(len(sizes), 0, -1), sizes.tolist(), strict=True):
        if not empty:
            break
        if left == len(sizes):  # a label with one block belongs in the largest part, whatever the deficit
            part = max(open_to, key=lambda part: (share[part], lacks[part]))
        else:
            part = max(empty if left <= len(empty) else open_to, key=lacks.__getitem__)
        if part in empty:
            empty.remove(part)
        lacks[part] -= size
        chosen.append(part)
    parts, missing = np.array(open_to), np.array(lacks)[open_to]
    rest = [parts[_take_turns(missing, *run)] for run in _equal_runs(sizes[len(chosen) :])]
    return np.concatenate([np.array(chosen, dtype=np.int64), *rest])


def _equal_runs(sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield each size of falling sizes, and how often it occurs."""
    values, counts = np.unique(sizes, return_counts=True)
    yield from zip(values[::-1].tolist(), counts[::-1].tolist(), strict=True)


def _take_turns(missing: NDArray[np.float64], size: int, blocks: int) -> NDArray[np.int64]:
    """The column of each of some blocks of one size: each goes to the column that misses most rows, the first of equal.

    missing: float64 (columns,), changed in place. Column c gets its i-th block while it misses missing[c] - i * size,
    so the blocks go to the highest of these numbers, in their order.
    """
    # no column takes more than its fair number and the lead that it has
    most = int(min(blocks, np.ceil(blocks / len(missing) + np.ptp(missing) / size) + 1))
    steps = np.full((len(missing), most + 1), -float(size))
    steps[:, 0] = missing
    before = np.add.accumulate(steps, axis=1)  # the sums of one block after the other, rounded as such
    columns = (-before[:, :most].reshape(-1)).argsort(kind="stable")[:blocks] // most
    missing[:] = before[np.arange(len(missing)), np.bincount(columns, minlength=len(missing))]
    return columns


def _stratified_order(blocks: _Blocks, rng: np.random.Generator) -> NDArray[np.int64]:
    """Order the blocks so that every prefix is stratified; the first two differ in their stratum, if possible."""
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


def _move_blocks(part: NDArray[np.int64], blocks: _Blocks, shares: NDArray[np.float64]) -> None:
    """Move multi-label blocks so that a label reaches the parts that it lacks because of rarer labels in its blocks."""
    labels_of, blocks_of = (_group_pairs(blocks.pairs[:, ::step]) for step in (1, -1))
    count = np.zeros((len(blocks_of), len(shares)), dtype=np.int64)  # blocks of each label in each part
    np.add.at(count, (blocks.pairs[:, 1], part[blocks.pairs[:, 0]]), 1)

    def move(block: int, to: int) -> None:
        count[labels_of[block], part[block]] -= 1
        count[labels_of[block], to] += 1
        part[block] = to

    largest = np.flatnonzero(shares == shares.max())
    if len(largest) == 1:
        for label in np.flatnonzero(count[:, largest[0]] == 0):
            if count[label, largest[0]] == 0 and blocks_of[label]:
                move(blocks_of[label][0], int(largest[0]))
    for to in np.flatnonzero(shares > 0):
        for label in np.flatnonzero((count[:, to] == 0) & (count.max(axis=1) > 1)):
            spare = (block for block in blocks_of[label] if count[labels_of[block], part[block]].min() > 1)
            if count[label, to] == 0 and (block := next(spare, None)) is not None:
                move(block, int(to))


def _group_pairs(pairs: NDArray[np.int64]) -> list[list[int]]:
    """List the numbers of the second column for each number in the first."""
    lists: list[list[int]] = [[] for _ in range(int(pairs[:, 0].max(initial=-1)) + 1)]
    for first, second in pairs.tolist():
        lists[first].append(second)
    return lists
