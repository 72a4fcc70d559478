"""Folds and splits of a taxonomy are stratified by nodes that are frequent enough."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.documents import Labels
from data.hierarchy import MIN_STRATUM
from data.splits import Strata, assign_folds, nested_subsets, stratified_split
from data.target import Target
from data.taxonomy import Taxonomy

SEEDS = st.integers(0, 5)
PATHS = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), min_size=1, max_size=60
)  # of documents, also at inner nodes


def target_of(paths: list[str]) -> Target:
    return Target.from_labels([(path,) for path in paths], "path", Taxonomy.from_separator(paths, "/"))


def prefixes(path: str) -> list[str]:
    levels = path.split("/")
    return ["/".join(levels[: depth + 1]) for depth in range(len(levels))]


@settings(max_examples=40)
@given(PATHS)
def test_a_stratum_is_the_deepest_node_with_five_documents(paths: list[str]) -> None:
    target, counts = target_of(paths), Counter(node for path in paths for node in prefixes(path))
    assert target.hierarchy is not None and isinstance(target.strata, Strata)
    documents: dict[str, set[int]] = defaultdict(set)
    for row, path in enumerate(paths):
        for node in prefixes(path):
            documents[node].add(row)
    for path, code in zip(paths, target.strata.y.tolist(), strict=True):
        frequent = [node for node in prefixes(path) if counts[node] >= MIN_STRATUM] or prefixes(path)[:1]
        assert documents[target.hierarchy.names[code]] == documents[frequent[-1]]


@settings(max_examples=40)
@given(PATHS, SEEDS)
def test_every_node_with_five_documents_is_in_each_of_five_folds(paths: list[str], seed: int) -> None:
    folds = defaultdict(set)
    for path, fold in zip(paths, assign_folds(target_of(paths).strata, None, 5, seed).tolist(), strict=True):
        for node in prefixes(path):
            folds[node].add(fold)
    counts = Counter(node for path in paths for node in prefixes(path))
    assert {node for node, count in counts.items() if count >= 5} == {
        node for node, found in folds.items() if len(found) == 5
    }


def test_the_documents_of_a_rare_leaf_are_in_different_folds() -> None:
    paths = [f"top/{leaf}" for leaf in range(60) for _ in range(1 + leaf % 3)]
    target = target_of(paths)
    assert isinstance(target.strata, Strata) and len(set(target.strata.y.tolist())) == 1
    fold_of = assign_folds(target.strata, None, 5, 0)
    for leaf in range(len(target.labels)):
        folds = fold_of[target.y == leaf].tolist()
        assert len(set(folds)) == len(folds)


def test_a_drawn_test_split_has_the_share_of_a_parent_whose_leaves_are_all_rare() -> None:
    paths = [f"rare/{leaf}" for leaf in range(40)] + ["common/a"] * 40 + ["common/b"] * 40
    is_rare = np.array([path.startswith("rare") for path in paths])
    for seed in range(5):
        is_test = stratified_split(target_of(paths).strata, None, (0.8, 0.2), seed) == 1
        assert is_test[is_rare].sum() == 8 and is_test[~is_rare].sum() == 16


def test_a_drawn_test_split_leaves_a_document_of_each_rare_leaf_in_training() -> None:
    paths = [f"top/{leaf}" for leaf in range(10) for _ in range(1 + leaf % 4)]
    target = target_of(paths)
    for seed in range(5):
        is_test = stratified_split(target.strata, None, (0.8, 0.2), seed) == 1
        assert set(target.y[~is_test]) == set(target.y)


def test_a_subset_has_the_share_of_a_parent_whose_leaves_are_all_rare() -> None:
    paths = [f"rare/{leaf}" for leaf in range(40)] + ["common"] * 40
    (rows,) = nested_subsets(target_of(paths).strata, None, [20], 0)
    assert sum(paths[row].startswith("rare") for row in rows) == 10


def test_labels_are_the_strata_without_a_taxonomy() -> None:
    target = Target.from_labels([("a",), ("b",)], "single")
    assert target.strata is target.y


GRAPH = Taxonomy.from_parents({"animal": (), "pet": (), "cat": ("animal", "pet"), "lynx": ("animal",)})


def test_a_document_of_several_labels_has_the_nodes_above_each() -> None:
    labels: list[Labels] = [("cat",), ("lynx", "pet"), ()]
    target = Target.from_labels([each or () for each in labels], "multilabel", GRAPH)
    assert target.labels == ("animal", "cat", "lynx", "pet")
    assert target.y.astype(int).tolist() == [[1, 1, 0, 1], [1, 0, 1, 1], [0, 0, 0, 0]]
    assert target.hierarchy is not None and target.hierarchy.labels == len(target.hierarchy)


def test_a_multilabel_stratum_is_each_node_with_five_documents_and_each_at_the_top() -> None:
    labels = [("cat",)] * 4 + [("lynx",)] * 5 + [()]
    strata = Target.from_labels(labels, "multilabel", GRAPH).strata
    assert isinstance(strata, Strata)
    assert strata.y.sum(axis=0).tolist() == [9, 5, 4]  # animal, lynx and pet
    assert strata.finer.tolist() == [1] * 4 + [2] * 5 + [-1]
    fold_of = assign_folds(strata, None, 5, 0)
    assert all(len(set(fold_of[rows].tolist())) == len(fold_of[rows]) for rows in (slice(0, 4), slice(4, 9)))


def test_the_stratum_of_a_node_with_two_parents_is_the_rarer_one() -> None:
    paths = [("cat",)] * 2 + [("lynx",)] * 8 + [("pet",)] * 3
    target = Target.from_labels(paths, "path", GRAPH)
    assert target.hierarchy is not None and isinstance(target.strata, Strata)
    assert [target.hierarchy.names[code] for code in target.strata.y[[0, 2, 10]]] == ["pet", "lynx", "pet"]


def test_an_unlabeled_document_is_a_stratum_of_its_own() -> None:
    target = Target.with_unlabeled([None, ("cat",)], "path", GRAPH)
    assert target.labels == ("", "cat") and isinstance(target.strata, Strata)
    assert len(set(target.strata.y.tolist())) == 2


def test_a_label_that_is_no_node_is_named() -> None:
    with pytest.raises(LookupError, match=r"The taxonomy has no 'dog'\."):
        Target.from_labels([("dog",)], "multilabel", GRAPH)
