"""Decision rules for labels of a hierarchy: exact against brute force, always consistent, and the same from JSON."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.brute_force_decoding import (
    OBJECTIVES,
    RandomHierarchies,
    expected_values,
    hierarchical_f,
)
from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from heads.evaluation.decisions import rule_from_json
from heads.evaluation.decisions.hierarchical import (
    BestExpectedDistance,
    BestExpectedHF,
    BestExpectedSimilarity,
    GreedyDescent,
    NodeRule,
)
from heads.evaluation.decisions.node_thresholds import BestPathMass, ConfidenceThreshold

EXACT: dict[str, type[NodeRule]] = {
    "hf1": BestExpectedHF,
    "distance": BestExpectedDistance,
    "wu-palmer": BestExpectedSimilarity,
}
SEEDS = range(20)
TREES, GRAPHS = RandomHierarchies(), RandomHierarchies(graph=True)


def log(probabilities: object) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.asarray(probabilities, dtype=np.float64)))


def hierarchy_of(parents: dict[str, tuple[str, ...]], *labels: str) -> Hierarchy:
    return Hierarchy.of(Taxonomy.from_parents(parents), labels)


def shape_of(hierarchy: Hierarchy) -> Any:
    return {"labels": hierarchy.labels, "parents": hierarchy.parents}


def rules_of(hierarchy: Hierarchy) -> list[NodeRule]:
    shape = shape_of(hierarchy)
    offsets = tuple(np.linspace(-1, 1, hierarchy.labels).tolist())
    return [
        GreedyDescent(**shape),
        ConfidenceThreshold(**shape, threshold=0.4),
        BestExpectedHF(**shape, beta=2.0, temperature=0.5, offsets=offsets),
        BestExpectedDistance(**shape, labels_only=True, offsets=offsets),
        BestExpectedSimilarity(**shape, temperature=2.0),
        BestPathMass(**shape, threshold=0.3),
    ]


def is_best(values: NDArray[np.float64], predicted: NDArray[np.int64]) -> bool:
    chosen = values[np.arange(len(values)), predicted]
    return bool((chosen >= values.max(axis=1) - 1e-12).all())


@pytest.mark.parametrize("labels_only", [False, True])
@pytest.mark.parametrize("objective", EXACT)
def test_no_node_of_a_random_tree_has_a_higher_expected_value(objective: str, labels_only: bool) -> None:
    for seed in SEEDS:
        hierarchy, probabilities = TREES.draw(seed)
        rule = EXACT[objective](**shape_of(hierarchy), labels_only=labels_only)
        values = expected_values(hierarchy, probabilities, OBJECTIVES[objective])
        assert is_best(values[:, : hierarchy.labels] if labels_only else values, rule.decide(log(probabilities)))


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_the_expected_hf_of_a_graph_is_exact_for_each_beta(beta: float) -> None:
    for seed in SEEDS:
        hierarchy, probabilities = GRAPHS.draw(seed)
        rule = BestExpectedHF(**shape_of(hierarchy), beta=beta)
        values = expected_values(hierarchy, probabilities, hierarchical_f(beta))
        assert is_best(values, rule.decide(log(probabilities)))


def test_a_threshold_on_paths_maximizes_the_nodes_that_are_right_minus_their_price() -> None:
    for seed in SEEDS:
        hierarchy, probabilities = TREES.draw(seed)
        rule = BestPathMass(**shape_of(hierarchy), threshold=0.3)
        values = expected_values(hierarchy, probabilities, lambda true, nodes: len(true & nodes) - 0.3 * len(nodes))
        assert is_best(values, rule.decide(log(probabilities)))


@pytest.mark.parametrize("rule_class", [BestPathMass, ConfidenceThreshold])
def test_many_thresholds_are_decided_at_once(rule_class: type[BestPathMass | ConfidenceThreshold]) -> None:
    for seed in SEEDS:
        hierarchy, probabilities = GRAPHS.draw(seed)
        scores, thresholds = log(probabilities), [0.15, 0.35, 0.75]
        rules = [rule_class(**shape_of(hierarchy), threshold=threshold) for threshold in thresholds]
        together = rules[0].decide_each(scores, thresholds)
        np.testing.assert_array_equal(together, np.stack([rule.decide(scores) for rule in rules]))


def test_a_path_threshold_of_one_half_decodes_the_distance() -> None:
    hierarchy, probabilities = TREES.draw(7)
    shape, scores = shape_of(hierarchy), log(probabilities)
    by_threshold = BestPathMass(**shape, threshold=0.5).decide(scores)
    np.testing.assert_array_equal(by_threshold, BestExpectedDistance(**shape).decide(scores))


def test_the_confident_node_is_the_deepest_above_the_threshold() -> None:
    for seed in SEEDS:
        hierarchy, probabilities = TREES.draw(seed)
        predicted = ConfidenceThreshold(**shape_of(hierarchy), threshold=0.3).decide(log(probabilities))
        at_nodes = hierarchy.node_probabilities(probabilities)
        values = np.where(at_nodes > 0.3, hierarchy.depths + at_nodes, at_nodes - 1)
        assert is_best(values, predicted)


# "a" has 0.55, so the descent never sees that "b3" is the most probable label; the labels below it have 0.3 and 0.25
TWO_BRANCHES = hierarchy_of({"a1": ("a",), "a2": ("a",), "b3": ("b",), "c": ()}, "a1", "a2", "b3", "c")
SHARES = [[0.3, 0.25, 0.4, 0.05]]


def test_the_descent_follows_the_most_probable_child() -> None:
    rule = GreedyDescent(**shape_of(TWO_BRANCHES))
    assert rule.decide(log(SHARES)).tolist() == [0]


def test_the_descent_stops_at_a_label_that_is_more_probable_than_those_below() -> None:
    hierarchy = hierarchy_of({"rec": (), "hockey": ("rec",), "golf": ("rec",)}, "rec", "hockey", "golf")
    rule = GreedyDescent(**shape_of(hierarchy))
    assert rule.decide(log([[0.5, 0.3, 0.2], [0.3, 0.5, 0.2]])).tolist() == [0, 1]


def test_exact_rules_stop_at_a_node_that_is_no_label_unless_only_labels_may_be_predicted() -> None:
    names = TWO_BRANCHES.names
    shape = shape_of(TWO_BRANCHES)
    early, late = (BestExpectedDistance(**shape, labels_only=only).decide(log(SHARES)) for only in (False, True))
    # "a" is 1 edge from a1 and a2, 3 from b3 and 2 from c: 1.85; b3 is 4, 0 and 3: 2.35; a1 is 0, 2, 4 and 3: 2.25
    assert (names[early[0]], names[late[0]]) == ("a", "a1")


@pytest.mark.parametrize("seed", range(6))
def test_another_order_of_the_columns_gives_the_same_nodes(seed: int) -> None:
    hierarchy, probabilities = GRAPHS.draw(seed)
    order = np.random.default_rng(seed).permutation(hierarchy.labels)
    code_of = np.append(order, np.arange(hierarchy.labels, len(hierarchy)))
    for rule in rules_of(hierarchy):
        reordered = rule.reordered(order).decide(log(probabilities)[:, order])
        np.testing.assert_array_equal(code_of[reordered], rule.decide(log(probabilities)))


def test_a_rule_comes_back_from_json() -> None:
    hierarchy, _ = GRAPHS.draw(3)
    for rule in rules_of(hierarchy):
        assert rule_from_json(json.loads(json.dumps(rule.to_json(), allow_nan=False))) == rule


def test_a_rule_is_named_with_what_scores_are_adjusted_by() -> None:
    shape = shape_of(TWO_BRANCHES)
    assert BestExpectedHF(**shape).name == "highest expected hF"
    both = BestExpectedHF(**shape, temperature=2.0, offsets=(0.0, 0.1, 0.0, 0.0))
    assert both.name == "highest expected hF with temperature and logit adjustment"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_label_that_was_never_seen_is_predicted_only_as_a_node_above_others(dtype: type) -> None:
    for seed in range(12):
        hierarchy, probabilities = TREES.draw(seed)
        scores: NDArray[Any] = log(probabilities).astype(dtype)
        leaf = next(label for label in range(hierarchy.labels) if not hierarchy.children[label])
        scores[:, leaf] = -np.inf
        for rule in rules_of(hierarchy) if hierarchy.labels > 1 else []:
            assert not (rule.decide(scores) == leaf).any(), rule


def test_scores_of_a_head_that_has_seen_no_label_give_a_node() -> None:
    hierarchy, _ = GRAPHS.draw(1)
    scores = np.full((2, hierarchy.labels), -np.inf, dtype=np.float32)
    for rule in rules_of(hierarchy):
        assert set(rule.decide(scores).tolist()) <= set(range(len(hierarchy)))


def test_one_label_and_no_document_are_decided() -> None:
    hierarchy = hierarchy_of({"a": ()}, "a")
    for rule in rules_of(hierarchy):
        assert rule.decide(np.zeros((3, 1), dtype=np.float32)).tolist() == [0, 0, 0]
        assert rule.decide(np.zeros((0, 1), dtype=np.float32)).tolist() == []


def test_blocks_of_documents_are_decided_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    hierarchy, probabilities = TREES.draw(4)
    whole = [rule.decide(log(probabilities)) for rule in rules_of(hierarchy)]
    monkeypatch.setattr("heads.evaluation.decisions.node_values.BLOCK_CELLS", 1)
    monkeypatch.setattr("heads.evaluation.decisions.node_values.MIN_BLOCK", 7)
    for rule, expected in zip(rules_of(hierarchy), whole, strict=True):
        np.testing.assert_array_equal(rule.decide(log(probabilities)), expected)


def test_scores_of_other_labels_are_refused() -> None:
    for rule in rules_of(TWO_BRANCHES):
        with pytest.raises(ValueError, match="for 4 labels, but the scores have 3 columns"):
            rule.decide(np.zeros((1, 3)))
