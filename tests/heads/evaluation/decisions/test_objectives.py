"""Selecting a decision rule for an objective of a hierarchy, and the objectives that labels do not fit."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data.errors import CallError, UnknownName
from data.hierarchy import Hierarchy
from data.target import Target
from data.taxonomy import Taxonomy
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import Decision, default_decision, tune_decision
from heads.evaluation.decisions.hierarchical import BestExpectedDistance, BestExpectedHF, NodeRule
from heads.evaluation.decisions.node_families import Sample, TemperedExact
from heads.evaluation.decisions.objective_request import (
    ObjectiveRequest,
    check_objective,
    default_objective,
)
from heads.evaluation.decisions.rules import Argmax
from heads.evaluation.metrics import METRICS

LABELS = tuple(f"{parent}/{leaf}" for parent in "abc" for leaf in "uvwxyz")
TAXONOMY = Taxonomy.from_separator(LABELS, "/")
TREE = Hierarchy.of(TAXONOMY, LABELS)
GRAPH = Taxonomy.from_parents({"robot": ("machine", "toy"), "doll": ("toy",), "drill": ("machine",)})
METRIC = {"hf1": "hf1", "leaf": "accuracy", "distance": "tree-distance", "wu-palmer": "wu-palmer"}


def planted(temperature: float = 1.0, documents: int = 160) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Log probabilities, exact at a temperature of 1, and truth drawn from them: parents are clear, leaves are not."""
    random = np.random.default_rng(0)
    parents = random.dirichlet([0.15] * 3, size=documents)
    leaves = random.dirichlet([8.0] * 6, size=(documents, 3))
    probabilities = (parents[:, :, None] * leaves).reshape(documents, 18)
    truth = (probabilities.cumsum(axis=1) < random.random((documents, 1))).sum(axis=1).clip(max=17)
    return (temperature * np.log(probabilities + 1e-12)).astype(np.float32), truth


def value(objective: str, truth: NDArray[Any], predicted: NDArray[Any], hierarchy: Hierarchy = TREE) -> float:
    counts = ConfusionCounts.from_predictions(truth, predicted, hierarchy.labels, hierarchy)
    return float(METRICS[METRIC[objective]].signed_value(counts))


@pytest.mark.parametrize("objective", METRIC)
def test_the_family_with_the_best_cross_fitted_metric_is_selected(objective: str) -> None:
    scores, truth = planted()
    decision = tune_decision(scores, truth, hierarchy=TREE, objective=objective)
    sign = METRICS[METRIC[objective]].sign
    compared = decision.evidence.comparisons
    (selected,) = [one for one in compared if one.family == decision.rule.name and one.selected][-1:]
    assert sign * selected.cross_fitted == max(sign * one.cross_fitted for one in compared)
    assert {"argmax", "greedy top-down"} <= {one.family for one in compared}
    assert selected.metric == METRICS[METRIC[objective]].name
    assert value(objective, truth, decision.out_of_fold) == pytest.approx(sign * selected.cross_fitted, abs=0.03)


def test_stopping_at_a_clear_parent_raises_hf1_and_lowers_the_distance() -> None:
    scores, truth = planted()
    for objective in ("hf1", "distance"):
        decision = tune_decision(scores, truth, hierarchy=TREE, objective=objective)
        assert (decision.out_of_fold >= TREE.labels).any()
        assert value(objective, truth, decision.out_of_fold) > value(objective, truth, scores.argmax(axis=1)) + 0.01


def test_the_evidence_of_hf1_is_in_points_and_that_of_the_distance_in_edges() -> None:
    scores, truth = planted(documents=100)
    sentences = {
        objective: " ".join(tune_decision(scores, truth, hierarchy=TREE, objective=objective).evidence.sentences)
        for objective in ("hf1", "distance")
    }
    assert 'The rule "argmax" has no fitted parameter; its hF1 is 0.' in sentences["hf1"]
    assert 'The rule "highest expected hF" changes the hF1 by +' in sentences["hf1"]
    assert 'The rule "lowest expected distance" lowers the tree distance by ' in sentences["distance"]


def test_only_labels_are_predicted_if_inner_nodes_are_excluded() -> None:
    scores, truth = planted()
    decision = tune_decision(scores, truth, hierarchy=TREE, objective="distance", labels_only=True)
    assert (decision.out_of_fold < TREE.labels).all() and (decision.rule.decide(scores) < TREE.labels).all()


def test_a_temperature_is_fitted_to_scores_that_are_too_sharp() -> None:
    scores, truth = planted(temperature=4.0)
    sample = Sample.of_all(scores.astype(np.float64), truth, TREE, METRICS["tree-distance"], labels_only=False)
    (rule,) = TemperedExact(BestExpectedDistance)(sample)
    assert isinstance(rule, BestExpectedDistance) and rule.temperature > 1.0


def test_another_order_of_the_labels_gives_the_same_predictions() -> None:
    scores, truth = planted(documents=120)
    order = np.random.default_rng(1).permutation(18)
    other = Hierarchy.of(TAXONOMY, tuple(LABELS[column] for column in order))
    plain = tune_decision(scores, truth, hierarchy=TREE, objective="hf1")
    permuted = tune_decision(scores[:, order], np.argsort(order)[truth], hierarchy=other, objective="hf1")
    names = np.array(TREE.names)[plain.out_of_fold]
    np.testing.assert_array_equal(np.array(other.names)[permuted.out_of_fold], names)
    np.testing.assert_array_equal(np.array(other.names)[permuted.rule.decide(scores[:, order])].shape, names.shape)


def test_a_decision_of_a_hierarchy_comes_back_from_json() -> None:
    decision = tune_decision(*planted(documents=60), hierarchy=TREE, objective="hf1")
    assert Decision.from_json(json.loads(json.dumps(decision.to_json(), allow_nan=False))) == decision


def test_the_default_decision_of_an_objective_is_its_exact_rule() -> None:
    scores, truth = planted(documents=40)
    decision = default_decision(scores, truth, hierarchy=TREE, objective="hf1")
    assert isinstance(decision.rule, BestExpectedHF)
    assert decision.evidence.comparisons[0].cross_fitted == pytest.approx(value("hf1", truth, decision.out_of_fold))
    assert default_decision(scores, truth, hierarchy=TREE, objective="leaf").rule == Argmax()
    assert default_decision(scores, truth, hierarchy=TREE).rule == Argmax()


def test_macro_f1_ignores_the_hierarchy() -> None:
    scores, truth = planted(documents=80)
    assert tune_decision(scores, truth, hierarchy=TREE) == tune_decision(scores, truth)


def test_many_documents_are_tuned_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heads.evaluation.decisions.tuning.SAMPLE", 100)
    scores, truth = planted()
    decision = tune_decision(scores, truth, hierarchy=TREE, objective="distance")
    assert decision.evidence.documents == 100 and decision.out_of_fold.shape == truth.shape


def multilabel() -> tuple[NDArray[np.float32], Target]:
    """Logits of the nodes of a graph, and documents with one or two paths."""
    random = np.random.default_rng(0)
    documents = [tuple(random.choice(["robot", "doll", "drill"], size=size, replace=False)) for size in (1, 2) * 60]
    target = Target.from_labels(documents, "multilabel", GRAPH)
    return (2 * target.y - 1 + 1.5 * random.normal(size=target.y.shape)).astype(np.float32), target


@pytest.mark.parametrize("objective", ["hf1", None])
def test_multilabel_decisions_are_closed_under_the_nodes_above(objective: str | None) -> None:
    scores, target = multilabel()
    assert target.hierarchy is not None
    decision = tune_decision(scores, target.y, hierarchy=target.hierarchy, objective=objective)
    for predicted in (decision.out_of_fold, decision.rule.decide(scores)):
        counts = ConfusionCounts.from_predictions(target.y, predicted, scores.shape[1], target.hierarchy)
        assert float(counts.consistency) == 1.0
    if objective == "hf1":
        assert [one.family for one in decision.evidence.comparisons][-1] == "greedy closure"
        assert decision.evidence.comparisons[0].metric == "hF1"


@pytest.mark.parametrize("objective", ["hf1", "leaf", "distance", "wu-palmer"])
def test_an_objective_without_a_taxonomy_is_refused(objective: str) -> None:
    target = Target.from_labels([("a",), ("b",)], "single")
    with pytest.raises(CallError, match=f"--objective {objective} needs a taxonomy, and these labels have none"):
        check_objective(ObjectiveRequest(name=objective), target)


def test_leaf_is_refused_if_labels_end_early() -> None:
    target = Target.from_labels([("rec",), ("rec/golf",)], "path", Taxonomy.from_separator(["rec", "rec/golf"], "/"))
    with pytest.raises(CallError, match="needs labels at leaves, and the label 'rec' is above 'rec/golf'"):
        check_objective(ObjectiveRequest(name="leaf"), target)


@pytest.mark.parametrize("objective", ["distance", "wu-palmer"])
def test_an_objective_that_needs_a_tree_is_refused_for_a_graph(objective: str) -> None:
    target = Target.from_labels([("robot",), ("doll",), ("drill",)], "path", GRAPH)
    with pytest.raises(CallError, match=r"needs a tree, and 'robot' has 2 parents\. Choose --objective hf1"):
        check_objective(ObjectiveRequest(name=objective), target)
    check_objective(ObjectiveRequest(name="hf1"), target)


@pytest.mark.parametrize("objective", ["leaf", "distance", "wu-palmer"])
def test_an_objective_of_one_label_is_refused_for_several(objective: str) -> None:
    with pytest.raises(CallError, match="needs one label per document"):
        check_objective(ObjectiveRequest(name=objective), multilabel()[1])


def test_an_unknown_objective_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="No objective is called 'hf'"):
        check_objective(ObjectiveRequest(name="hf"), multilabel()[1])


def test_hf1_is_the_default_of_paths_and_of_nodes_only() -> None:
    paths = Target.from_labels([(label,) for label in LABELS], "path", TAXONOMY)
    assert default_objective(paths) == default_objective(multilabel()[1]) == "hf1"
    assert default_objective(Target.from_labels([("a/x",)], "single", TAXONOMY)) is None
    assert default_objective(Target.from_labels([("a",), ("b",)], "single")) is None


def test_rules_of_a_hierarchy_are_selected_for_any_number_of_documents() -> None:
    scores, truth = planted(documents=3)
    decision = tune_decision(scores, truth, hierarchy=TREE, objective="wu-palmer")
    assert isinstance(decision.rule, NodeRule | Argmax) and len(decision.out_of_fold) == 3
