"""What holds for every split of rows into parts."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from data import splits
from data.splits import assign_folds, nested_subsets, stratified_split

SEEDS = st.integers(0, 5)
ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=60)  # a label and a group each
SHARES = st.sampled_from([(0.8, 0.2), (0.9, 0.1), (0.5, 0.5), (0.6, 0.2, 0.2), (0.2, 0.2, 0.2, 0.2, 0.2), (1.0, 0.0)])


@st.composite
def matrices(draw: st.DrawFn) -> NDArray[np.bool_]:
    rows, labels = draw(st.integers(1, 25)), draw(st.integers(1, 5))
    cells = draw(st.lists(st.booleans(), min_size=rows * labels, max_size=rows * labels))
    return np.array(cells, dtype=bool).reshape(rows, labels)


def label_sets(y: NDArray[Any]) -> list[frozenset[int]]:
    """The labels of each row; to have none is the label -1."""
    if y.ndim == 1:
        return [frozenset([int(label)]) for label in y]
    return [frozenset(np.flatnonzero(row).tolist()) or frozenset([-1]) for row in y]


@given(ROWS, SHARES, SEEDS)
def test_a_group_is_never_broken(rows: list[tuple[int, int]], shares: tuple[float, ...], seed: int) -> None:
    labels, groups = np.array([label for label, _ in rows], dtype=int), [group for _, group in rows]
    parts = stratified_split(labels, groups, shares, seed)
    part_of = dict(zip(groups, parts, strict=True))
    assert parts.tolist() == [part_of[group] for group in groups]


@given(ROWS, SHARES, SEEDS)
def test_every_row_has_a_part_with_a_share(rows: list[tuple[int, int]], shares: tuple[float, ...], seed: int) -> None:
    labels, groups = np.array([label for label, _ in rows], dtype=int), [group for _, group in rows]
    for grouped in (groups, None):
        parts = stratified_split(labels, grouped, shares, seed)
        assert parts.dtype == np.int32
        assert parts.shape == labels.shape
        assert all(shares[part] > 0 for part in parts)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=120), st.floats(0.05, 0.95), SEEDS)
def test_ungrouped_labels_keep_to_the_shares_within_two(labels: list[int], share: float, seed: int) -> None:
    parts = stratified_split(np.array(labels), None, (1 - share, share), seed)
    for label, rows in Counter(labels).items():
        there = sum(1 for part, each in zip(parts, labels, strict=True) if part == 1 and each == label)
        assert abs(there - share * rows) < 2


@given(st.lists(st.integers(0, 6), min_size=1, max_size=120), st.integers(2, 7), SEEDS)
def test_folds_of_a_label_and_of_all_differ_by_little(labels: list[int], k: int, seed: int) -> None:
    parts = assign_folds(np.array(labels), None, k, seed)
    for label in set(labels):
        sizes = np.bincount(parts[np.array(labels) == label], minlength=k)
        assert sizes.max() - sizes.min() <= 2
    sizes = np.bincount(parts, minlength=k)
    assert sizes.max() - sizes.min() <= 2


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 5), max_size=30), st.integers(1, 4), SHARES, SEEDS)
def test_a_label_with_enough_groups_is_in_every_part(
    label_of: dict[int, int], size: int, shares: tuple[float, ...], seed: int
) -> None:
    groups = [group for group in label_of for _ in range(size)]
    labels = np.array([label_of[group] for group in groups], dtype=int)
    parts = stratified_split(labels, groups, shares, seed)
    for label, count in Counter(label_of.values()).items():
        with_share = sum(share > 0 for share in shares)
        assert len(set(parts[labels == label])) == min(count, with_share)


@given(matrices(), st.data(), SEEDS)
def test_the_largest_part_has_every_label(y: NDArray[np.bool_], data: st.DataObject, seed: int) -> None:
    groups = data.draw(st.none() | st.lists(st.integers(0, 6), min_size=len(y), max_size=len(y)))
    parts = stratified_split(y, groups, (0.8, 0.2), seed)
    sets = label_sets(y)
    assert set().union(*(sets[row] for row in np.flatnonzero(parts == 0))) == set().union(*sets)


@given(matrices(), st.data(), SEEDS)
def test_a_label_misses_a_part_only_for_the_sake_of_another(
    y: NDArray[np.bool_], data: st.DataObject, seed: int
) -> None:
    groups = data.draw(st.lists(st.integers(0, 6), min_size=len(y), max_size=len(y)))
    parts = stratified_split(y, groups, (0.7, 0.3), seed)
    part_of: dict[int, int] = {}
    labels_of: dict[int, set[int]] = defaultdict(set)
    for group, part, labels in zip(groups, parts.tolist(), label_sets(y), strict=True):
        part_of[group] = part
        labels_of[group] |= labels
    held = Counter((label, part_of[group]) for group in part_of for label in labels_of[group])
    for label in {label for label, _ in held}:
        if not held[label, 0] or not held[label, 1]:
            own = [group for group in part_of if label in labels_of[group]]
            assert all(min(held[other, part_of[group]] for other in labels_of[group]) == 1 for group in own)


@given(ROWS, SHARES, SEEDS)
def test_the_same_seed_gives_the_same_parts_whatever_groups_are_called(
    rows: list[tuple[int, int]], shares: tuple[float, ...], seed: int
) -> None:
    labels, groups = np.array([label for label, _ in rows], dtype=int), [group for _, group in rows]
    first = stratified_split(labels, groups, shares, seed)
    assert np.array_equal(first, stratified_split(labels, groups, shares, seed))
    assert np.array_equal(first, stratified_split(labels, [f"author {group}" for group in groups], shares, seed))


def test_more_parts_than_int8_holds_are_all_used() -> None:
    y = np.arange(600) % 2
    assert np.unique(assign_folds(y, None, 300, 0)).tolist() == list(range(300))


def test_another_seed_gives_other_parts() -> None:
    labels = np.zeros(200, dtype=int)
    assert not np.array_equal(
        stratified_split(labels, None, (0.5, 0.5), 0), stratified_split(labels, None, (0.5, 0.5), 1)
    )


def test_rows_without_a_group_are_their_own_groups() -> None:
    parts = stratified_split(np.zeros(10, dtype=int), [None] * 10, (0.5, 0.5), 0)
    assert np.bincount(parts).tolist() == [5, 5]


def test_a_label_with_one_row_is_for_training() -> None:
    labels = np.arange(50)
    assert stratified_split(labels, None, (0.8, 0.2), 0).tolist() == [0] * 50


def test_labels_with_one_row_are_spread_evenly_over_folds() -> None:
    assert np.bincount(assign_folds(np.arange(20), None, 5, 0)).tolist() == [4] * 5


def test_what_rare_labels_round_away_is_made_up_for() -> None:
    labels = np.repeat(np.arange(100), 7)  # each alone would give one row of seven, 14 %
    assert stratified_split(labels, None, (0.8, 0.2), 0).mean() == pytest.approx(0.2, abs=0.01)


def test_a_multilabel_document_goes_by_its_rarest() -> None:
    y = np.zeros((100, 2), dtype=bool)
    y[:, 0] = True
    y[:10, 1] = True
    for seed in range(10):
        assert stratified_split(y, None, (0.8, 0.2), seed)[:10].sum() == 2


def test_no_label_is_left_to_the_test_split_alone() -> None:
    # the third label's two rows go where the others need them, by chance both to the test part
    y = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0]], dtype=bool)
    for seed in range(20):
        assert y[stratified_split(y, None, (0.8, 0.2), seed) == 0].any(axis=0).all()


def test_no_rows_give_no_parts() -> None:
    assert stratified_split(np.zeros(0, dtype=int), None, (0.8, 0.2), 0).tolist() == []
    assert stratified_split(np.zeros((0, 3), dtype=bool), [], (0.8, 0.2), 0).tolist() == []


SIZES = st.lists(st.integers(1, 80), min_size=1, max_size=6)


@given(ROWS, SIZES, SEEDS)
def test_a_smaller_subset_lies_inside_the_larger_ones_and_no_group_is_broken(
    rows: list[tuple[int, int]], sizes: list[int], seed: int
) -> None:
    labels, groups = np.array([label for label, _ in rows], dtype=int), np.array([group for _, group in rows], int)
    subsets = nested_subsets(labels, groups.tolist(), sorted(sizes), seed)
    for size, subset, larger in zip(sorted(sizes), subsets, [*subsets[1:], np.arange(len(rows))], strict=True):
        assert set(subset) <= set(larger) and (np.diff(subset) > 0).all()
        assert set(groups[subset]).isdisjoint(np.delete(groups, subset))
        assert len(subset) >= min(size, len(rows))


@given(ROWS, SIZES, SEEDS)
def test_a_subset_is_no_larger_than_the_group_that_fills_it_makes_it(
    rows: list[tuple[int, int]], sizes: list[int], seed: int
) -> None:
    labels, groups = np.array([label for label, _ in rows], dtype=int), [group for _, group in rows]
    for size, subset in zip(sizes, nested_subsets(labels, groups, sizes, seed), strict=True):
        assert len({groups[row] for row in subset}) <= 2 or len(subset) < size + max(Counter(groups).values())
    for size, subset in zip(sizes, nested_subsets(labels, None, sizes, seed), strict=True):
        assert len(subset) == min(max(size, 2), len(rows))


@given(st.dictionaries(st.integers(0, 40), st.integers(0, 5), max_size=40), st.integers(1, 3), SIZES, SEEDS)
def test_one_share_fits_every_label_of_a_subset(
    label_of: dict[int, int], group_size: int, sizes: list[int], seed: int
) -> None:
    groups = [group for group in label_of for _ in range(group_size)]
    labels = np.array([label_of[group] for group in groups], dtype=int)
    count = np.bincount(labels, minlength=6)
    for subset in nested_subsets(labels, groups, sizes, seed):
        taken, there = np.bincount(labels[subset], minlength=6)[count > 0], count[count > 0]
        lowest, highest = (taken - group_size) / there, (taken + group_size) / there
        assert lowest.max(initial=0) <= highest.min(initial=1) + 1e-9


@given(matrices(), SIZES, SEEDS)
def test_a_subset_of_multilabel_documents_goes_by_their_rarest(
    y: NDArray[np.bool_], sizes: list[int], seed: int
) -> None:
    assume(y.any(axis=1).all())  # to have no label counts as one more
    rank = np.argsort(np.argsort(y.sum(axis=0), kind="stable"))
    stratum = np.where(y, rank, y.shape[1]).min(axis=1)
    count = np.bincount(stratum, minlength=y.shape[1])
    for subset in nested_subsets(y, None, sizes, seed):
        taken, there = np.bincount(stratum[subset], minlength=y.shape[1])[count > 0], count[count > 0]
        assert ((taken - 1) / there).max() <= ((taken + 1) / there).min() + 1e-9


@given(ROWS, SEEDS)
def test_the_smallest_subset_has_two_labels_if_there_are_two(rows: list[tuple[int, int]], seed: int) -> None:
    labels, groups = np.array([label for label, _ in rows], dtype=int), [group for _, group in rows]
    for grouped in (groups, None):
        (subset,) = nested_subsets(labels, grouped, [2], seed)
        assert len(set(labels[subset])) >= min(2, len(set(labels)))


def test_each_row_is_as_likely_to_be_in_a_subset_however_rare_its_label() -> None:
    labels = np.repeat([0, 1, 2], [90, 9, 1])
    drawn = [nested_subsets(labels, None, [20], seed)[0] for seed in range(2000)]
    share = np.bincount(np.concatenate(drawn), minlength=100) / len(drawn)
    assert [share[labels == label].mean() for label in range(3)] == pytest.approx([0.2, 0.2, 0.2], abs=0.03)
    assert share[labels == 0].std() < 0.02  # by chance 0.009


def test_another_seed_gives_another_subset_and_the_same_the_same() -> None:
    labels = np.arange(200) % 3
    first, again, other = (nested_subsets(labels, None, [50], seed)[0].tolist() for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("grouped", [False, True])
def test_a_hundred_thousand_rows_keep_to_their_shares(grouped: bool) -> None:
    random = np.random.default_rng(0)
    labels = random.zipf(1.5, 100_000) % 52
    groups = random.integers(0, 30_000, 100_000).tolist() if grouped else None
    part = stratified_split(labels, groups, (0.8, 0.2), 0)
    assert (part == 1).mean() == pytest.approx(0.2, abs=0.001)
    for size, subset in zip((100, 1000, 10_000), nested_subsets(labels, groups, (100, 1000, 10_000), 0), strict=True):
        assert len(subset) == pytest.approx(size, abs=20)


@pytest.mark.parametrize("seed", range(20))
def test_equal_blocks_go_to_the_part_that_lacks_most_one_after_the_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    lacks, size = random.random(4).round(1) * 20, int(random.integers(1, 4))
    expected, missing = [], lacks.tolist()
    for _ in range(40):
        expected.append(missing.index(max(missing)))
        missing[expected[-1]] -= size
    assert splits._take_turns(lacks, size, 40).tolist() == expected and lacks.tolist() == missing
