"""Hierarchical metrics, compared with HiClass and with loops over sets of nodes and over resamples."""

import json
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_score, recall_score

from data.hierarchy import Hierarchy
from heads.evaluation.bootstrap import resample_metrics
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.count_table import CountTables
from heads.evaluation.document_measures import measure_documents, sum_documents
from heads.evaluation.metrics import Scorecard, scorecard
from heads.evaluation.resampling import draw_resamples
from tests.heads.evaluation.example_hierarchies import (
    ART,
    FILM,
    GOLF,
    HOCKEY,
    SMALL,
    SPORT,
    draw_labels,
    draw_nodes,
    hierarchies,
)

hiclass = pytest.importorskip("hiclass.metrics")  # of the extra dev


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
@settings(deadline=None, max_examples=10)
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
    with pytest.raises(ValueError, match="predicted label codes must be -2 to 3, but they are 1 to 4"):
        ConfusionCounts.from_predictions(truth, np.array([ART, GOLF]), 4)
    with pytest.raises(ValueError, match="predicted node codes must be -2 to 4, but they are 1 to 5"):
        ConfusionCounts.from_predictions(truth, np.array([5, GOLF]), 4, SMALL)
    with pytest.raises(ValueError, match="label codes must be 0 to 3, but they are 1 to 4"):
        ConfusionCounts.from_predictions(np.array([ART, GOLF]), truth, 4, SMALL)
    with pytest.raises(ValueError, match="the hierarchy has 4 labels, but there are 3"):
        ConfusionCounts.from_predictions(truth, truth, 3, SMALL)


@settings(deadline=None, max_examples=10)
@given(hierarchies(most_parents=2), st.integers(0, 99))
def test_micro_metrics_of_closed_sets_equal_those_of_flat_labels(hierarchy: Hierarchy, seed: int) -> None:
    everything = Hierarchy(hierarchy.names, len(hierarchy), hierarchy.parents)  # every node is a label
    closed = [(labels @ hierarchy.closure[: hierarchy.labels]) > 0 for labels in draw_labels(hierarchy, seed)]
    truth, predicted = (np.asarray(labels, dtype=bool) for labels in closed)
    counts = ConfusionCounts.from_predictions(truth, predicted, len(everything), everything)
    for ours, theirs in (("hierarchical_precision", precision_score), ("hierarchical_recall", recall_score)):
        assert float(getattr(counts, ours)) == pytest.approx(theirs(truth, predicted, average="micro", zero_division=0))
    assert float(counts.hf1) == pytest.approx(float(counts.micro_f1))
    empty = ~(truth | predicted).any(axis=1)  # scikit-learn's value of these is one for all three metrics
    by_document = f1_score(truth[~empty], predicted[~empty], average="samples", zero_division=0)
    assert float(counts.macro_hf1) == pytest.approx(by_document * np.mean(~empty) + np.mean(empty))
    assert float(counts.consistency) == 1
    assert "tree_distance" not in counts.metrics  # there is no single way between two sets


def test_a_label_without_the_label_above_it_is_inconsistent_and_its_path_counts() -> None:
    truth = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], dtype=bool)  # film, golf, hockey, sport
    predicted = np.array([[0, 0, 1, 1], [0, 0, 1, 0]], dtype=bool)
    card = scorecard(truth, predicted, SMALL.names[:4], resamples=2, hierarchy=SMALL)
    assert card.consistency is not None and card.consistency.value == 0.5
    assert card.hf1 is not None and card.hf1.value == 1
    assert card.tree_distance is card.lca_f1 is card.wu_palmer is None
    assert [level.value for level in card.level_accuracy] == [1, 1]


BOUNDED = ("hf1", "hierarchical_precision", "hierarchical_recall", "macro_hf1", "lca_f1", "wu_palmer", "consistency")


@settings(deadline=None, max_examples=20)
@given(hierarchies(most_parents=2), st.integers(0, 99))
def test_metrics_are_bounded_and_those_of_the_truth_are_the_best(hierarchy: Hierarchy, seed: int) -> None:
    truth, predicted = draw_nodes(hierarchy, seed)
    some, best = (
        ConfusionCounts.from_predictions(truth, each, hierarchy.labels, hierarchy) for each in (predicted, truth)
    )
    assert all(0 <= getattr(some, name) <= 1 for name in BOUNDED)
    assert [float(getattr(best, name)) for name in BOUNDED] == pytest.approx([1] * len(BOUNDED))
    assert float(best.tree_distance) == 0 <= float(some.tree_distance) <= 2 * hierarchy.depths.max()
    levels = some.level_accuracy
    assert ((levels[~np.isnan(levels)] >= 0) & (levels[~np.isnan(levels)] <= 1)).all()
    if hierarchy.is_tree:  # a wrong node has no right one below it
        correct = some.sums["level_correct"]
        assert (np.diff(correct) <= 0).all()


@pytest.mark.parametrize("draw", [draw_nodes, draw_labels])
@settings(deadline=None, max_examples=10)
@given(hierarchies(most_parents=2), st.integers(0, 99))
def test_counts_add_and_subtract(draw: Any, hierarchy: Hierarchy, seed: int) -> None:
    truth, predicted = draw(hierarchy, seed)
    whole, first, rest = (
        ConfusionCounts.from_predictions(truth[rows], predicted[rows], hierarchy.labels, hierarchy)
        for rows in (slice(None), slice(10), slice(10, None))
    )
    for counts in (first + rest, whole - rest + rest):
        assert counts.metrics == whole.metrics
        for name in counts.metrics:
            assert getattr(counts, name) == pytest.approx(getattr(whole, name), nan_ok=True)


@pytest.mark.parametrize("draw", [draw_nodes, draw_labels])
@settings(deadline=None, max_examples=8)
@given(hierarchies(most_parents=2), st.integers(0, 99))
def test_resampled_metrics_equal_a_loop_over_the_drawn_documents(draw: Any, hierarchy: Hierarchy, seed: int) -> None:
    truth, predicted = draw(hierarchy, seed, 8)
    tables = CountTables.build(truth, [predicted], hierarchy.labels, hierarchy)
    (resampled,) = resample_metrics(tables, seed, 12)
    distinct = tables.rows
    (draws,) = draw_resamples(distinct, hierarchy.labels, 12, seed)
    for number, times in enumerate(draws.T):
        rows = np.repeat(distinct.first, times.astype(np.int64))
        counts = ConfusionCounts.from_predictions(truth[rows], predicted[rows], hierarchy.labels, hierarchy)
        for name in counts.metrics:
            assert resampled[name][number] == pytest.approx(getattr(counts, name), nan_ok=True)


def test_the_order_of_documents_changes_nothing_and_a_scorecard_round_trips_through_json() -> None:
    truth, predicted = draw_nodes(SMALL, 3)
    order = np.random.default_rng(0).permutation(len(truth))
    card = scorecard(truth, predicted, SMALL.names[:4], resamples=20, hierarchy=SMALL)
    assert scorecard(truth[order], predicted[order], SMALL.names[:4], resamples=20, hierarchy=SMALL) == card
    assert Scorecard.from_json(json.loads(json.dumps(card.to_json(), allow_nan=False))) == card
    none = scorecard(truth[:0], truth[:0], SMALL.names[:4], resamples=2, hierarchy=SMALL)
    assert none.hf1 is not None and none.hf1.value == 0 and none.level_accuracy == ()


def test_a_level_without_a_document_is_left_out_and_a_rare_one_has_an_interval() -> None:
    truth = np.array([SPORT] * 20 + [GOLF])
    card = scorecard(truth, np.full(21, SPORT), SMALL.names[:4], hierarchy=SMALL)
    assert card.level_documents == (21, 1) and len(card.level_accuracy) == 2
    assert card.level_accuracy[1].high == 0  # resamples without the only document of the level do not count
    assert len(scorecard(truth[:20], truth[:20], SMALL.names[:4], hierarchy=SMALL).level_accuracy) == 1


@settings(deadline=None, max_examples=10)
@given(hierarchies(most_parents=2), st.integers(0, 99))
def test_an_undecided_document_is_predicted_as_the_root(hierarchy: Hierarchy, seed: int) -> None:
    truth, predicted = draw_nodes(hierarchy, seed, 6)
    undecided = np.where(np.arange(6) % 2, predicted, [-1, 0, -2, 0, -1, 0])
    measures = measure_documents(truth, undecided, hierarchy)
    decided = measure_documents(truth, predicted, hierarchy)

    def edges_to_root(node: int) -> int:
        return 1 + min(map(edges_to_root, hierarchy.parents[node]), default=0)

    for row, node in enumerate(truth.tolist()):
        if row % 2:
            assert all(np.array_equal(values[row], decided[name][row]) for name, values in measures.items())
            continue
        assert measures["decided"][row] == measures["shared_nodes"][row] == measures["predicted_nodes"][row] == 0
        assert measures["document_f1"][row] == 0 and not measures["level_correct"][row].any()
        assert measures["level_documents"][row].tolist() == decided["level_documents"][row].tolist()
        assert measures["tree_distance"][row] == edges_to_root(node)
        assert measures["wu_palmer"][row] == 2 / (hierarchy.depths[node] + 2)
    sums = sum_documents(truth, undecided, hierarchy)
    assert all(sums[name] == pytest.approx(values.sum(axis=0)) for name, values in measures.items())
    card = scorecard(truth, undecided, hierarchy.names[: hierarchy.labels], resamples=5, hierarchy=hierarchy)
    assert card.decided_share is not None and card.decided_share.value == 0.5
