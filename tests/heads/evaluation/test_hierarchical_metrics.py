"""Hierarchical metrics, compared with HiClass and with loops over sets of nodes and over resamples."""

from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.metrics import scorecard

hiclass = pytest.importorskip("hiclass.metrics")  # of the extra dev

#        sport        art
#       /     \        |
#   hockey   golf    film       labels: film, golf, hockey, sport
SMALL = Hierarchy.of(
    Taxonomy.from_parents({"sport": (), "hockey": ("sport",), "golf": ("sport",), "art": (), "film": ("art",)}),
    ("film", "golf", "hockey", "sport"),
)
FILM, GOLF, HOCKEY, SPORT, ART = range(5)


@st.composite
def hierarchies(draw: st.DrawFn, *, most_parents: int = 1) -> Hierarchy:
    parents: dict[str, tuple[str, ...]] = {}
    for node in range(draw(st.integers(2, 12))):
        above = draw(st.sets(st.sampled_from(sorted(parents)), max_size=most_parents)) if parents else set()
        parents[f"n{node}"] = tuple(sorted(above))
    taxonomy = Taxonomy.from_parents(parents)
    inner = draw(st.sets(st.sampled_from(taxonomy.nodes)))
    return Hierarchy.of(taxonomy, tuple(sorted(inner | set(taxonomy.leaves))))


def draw_nodes(hierarchy: Hierarchy, seed: int, documents: int = 25) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    return random.integers(hierarchy.labels, size=documents), random.integers(len(hierarchy), size=documents)


def draw_labels(hierarchy: Hierarchy, seed: int, documents: int = 25) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    return tuple(random.random((2, documents, hierarchy.labels)) < 0.3)


def nodes_above(hierarchy: Hierarchy, node: int) -> set[int]:
    return {node}.union(*(nodes_above(hierarchy, parent) for parent in hierarchy.parents[node]))


def leveled(hierarchy: Hierarchy, codes: NDArray[np.int64]) -> NDArray[Any]:
    """The paths of codes as HiClass reads them: a column per level, "" below the end of a path."""
    paths = [sorted(nodes_above(hierarchy, code), key=lambda node: hierarchy.depths[node]) for code in codes.tolist()]
    depth = int(hierarchy.depths.max())
    return np.array([[*(hierarchy.names[node] for node in path), *[""] * (depth - len(path))] for path in paths])


def edges_between(hierarchy: Hierarchy, one: int, other: int) -> int:
    """The shortest way that goes up and then down, by breadth-first search over (node, whether it went down)."""
    root = len(hierarchy)
    up = {node: above or (root,) for node, above in enumerate(hierarchy.parents)} | {root: ()}
    down: dict[int, list[int]] = {node: [] for node in up}
    for node, above in up.items():
        for parent in above:
            down[parent].append(node)
    start = (one, False)
    edges, waiting = {start: 0}, deque([start])
    while waiting:
        node, descends = waiting.popleft()
        ways = [(child, True) for child in down[node]] + ([] if descends else [(above, False) for above in up[node]])
        for way in ways:
            if way not in edges:
                edges[way] = edges[node, descends] + 1
                waiting.append(way)
    return min(edges[state] for state in ((other, False), (other, True)) if state in edges)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@settings(deadline=None, max_examples=25)
@given(hierarchies(), st.integers(0, 99))
def test_precision_recall_and_f1_equal_those_of_hiclass(hierarchy: Hierarchy, seed: int) -> None:
    truth, predicted = draw_nodes(hierarchy, seed)
    counts = ConfusionCounts.from_predictions(truth, predicted, hierarchy.labels, hierarchy)
    paths = leveled(hierarchy, truth), leveled(hierarchy, predicted)
    for average, prefix in (("micro", ""), ("macro", "macro_")):
        for ours, theirs in (("hierarchical_precision", hiclass.precision), ("hierarchical_recall", hiclass.recall)):
            assert float(getattr(counts, prefix + ours)) == pytest.approx(theirs(*paths, average=average), abs=1e-12)
        expected = hiclass.f1(*paths, average=average)
        assert float(getattr(counts, f"{prefix}hf1")) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(st.one_of(hierarchies(), hierarchies(most_parents=3)), st.integers(0, 99))
def test_the_metrics_of_nodes_equal_a_loop_over_documents(hierarchy: Hierarchy, seed: int) -> None:
    truth, predicted = draw_nodes(hierarchy, seed)
    distances, similarities, f1 = [], [], []
    for one, other in zip(truth.tolist(), predicted.tolist(), strict=True):
        true, guessed = nodes_above(hierarchy, one), nodes_above(hierarchy, other)
        distances.append(edges_between(hierarchy, other, one))
        f1.append(2 * len(true & guessed) / (len(true) + len(guessed)))
        deepest = max((int(hierarchy.depths[node]) for node in true & guessed), default=0)
        similarities.append(2 * (deepest + 1) / (hierarchy.depths[one] + hierarchy.depths[other] + 2))
    counts = ConfusionCounts.from_predictions(truth, predicted, hierarchy.labels, hierarchy)
    assert float(counts.tree_distance) == pytest.approx(np.mean(distances), abs=1e-12)
    assert float(counts.lca_f1) == pytest.approx(np.mean([2 / (edges + 2) for edges in distances]), abs=1e-12)
    assert float(counts.wu_palmer) == pytest.approx(np.mean(similarities), abs=1e-12)
    assert float(counts.macro_hf1) == pytest.approx(np.mean(f1), abs=1e-12)
    assert float(counts.consistency) == 1


def test_metrics_of_a_small_tree_as_worked_out_by_hand() -> None:
    truth, predicted = np.array([HOCKEY, HOCKEY, GOLF, SPORT]), np.array([HOCKEY, SPORT, ART, GOLF])
    # nodes shared, predicted, true:  2 2 2   1 1 2   0 1 2   1 2 1
    card = scorecard(truth, predicted, SMALL.names[:4], resamples=2, hierarchy=SMALL)
    assert card.hierarchical_precision is not None and card.hierarchical_precision.value == pytest.approx(4 / 6)
    assert card.hierarchical_recall is not None and card.hierarchical_recall.value == pytest.approx(4 / 7)
    assert card.hf1 is not None and card.hf1.value == pytest.approx(8 / 13)
    assert card.macro_hf1 is not None and card.macro_hf1.value == pytest.approx((1 + 2 / 3 + 0 + 2 / 3) / 4)
    assert card.tree_distance is not None and card.tree_distance.value == pytest.approx((0 + 1 + 3 + 1) / 4)
    assert card.lca_f1 is not None and card.lca_f1.value == pytest.approx((1 + 2 / 3 + 2 / 5 + 2 / 3) / 4)
    assert card.wu_palmer is not None and card.wu_palmer.value == pytest.approx((1 + 4 / 5 + 2 / 5 + 4 / 5) / 4)
    assert [level.value for level in card.level_accuracy] == pytest.approx([3 / 4, 1 / 3])
    assert card.level_documents == (4, 3)
    counts = ConfusionCounts.from_predictions(truth, predicted, 4, SMALL)
    assert float(counts.hierarchical_f(2.0)) == pytest.approx(5 * 4 / (6 + 4 * 7))


def test_a_predicted_node_that_is_no_label_is_a_miss_and_no_label_of_its_own() -> None:
    truth = np.array([FILM, GOLF])
    card = scorecard(truth, np.array([ART, GOLF]), SMALL.names[:4], resamples=2, hierarchy=SMALL)
    assert card.accuracy.value == 0.5
    assert card.macro_f1.value == (0 + 1) / 2  # of film and golf
    assert [(label.support, label.predicted) for label in card.labels] == [(1, 0), (1, 1), (0, 0), (0, 0)]
    with pytest.raises(ValueError, match="label codes must be 0 to 3, but they are 1 to 4"):
        ConfusionCounts.from_predictions(truth, np.array([ART, GOLF]), 4)
    with pytest.raises(ValueError, match="node codes must be 0 to 4, but they are 1 to 5"):
        ConfusionCounts.from_predictions(truth, np.array([5, GOLF]), 4, SMALL)
    with pytest.raises(ValueError, match="label codes must be 0 to 3, but they are 1 to 4"):
        ConfusionCounts.from_predictions(np.array([ART, GOLF]), truth, 4, SMALL)
    with pytest.raises(ValueError, match="the hierarchy has 4 labels, but there are 3"):
        ConfusionCounts.from_predictions(truth, truth, 3, SMALL)
