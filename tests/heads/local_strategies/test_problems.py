"""Which documents each local classifier is fitted on, with which classes."""

from typing import get_args

import numpy as np
import pytest

from data.taxonomy import Taxonomy
from heads.local_strategies.label_graph import LabelGraph
from heads.local_strategies.problems import Policy, Problem, Strategy, local_problems

#      top: x (a, b), y (c, z (d, e)), f;  y is a label itself, too
TREE = {"a": ["x"], "b": ["x"], "c": ["y"], "z": ["y"], "d": ["z"], "e": ["z"], "f": []}
LABELS = ("a", "b", "c", "d", "e", "f", "y")
OTHERS: dict[str, dict[str, str]] = {
    "siblings": {"x": "cdefy", "y": "abf", "f": "abcdey", "a": "b", "c": "dey", "z": "cy", "d": "e", "y itself": "cde"},
    "inclusive": {"x": "cdefy", "y": "abf", "f": "abcdey", "a": "cdefy", "c": "abf", "z": "abf", "y itself": "abf"},
    "exclusive": {"x": "cdefy", "y": "abf", "a": "bcdefy", "c": "abdefy", "z": "abcfy", "y itself": "abcdef"},
}
OTHERS |= {"exclusive_siblings": OTHERS["siblings"]}
OTHERS |= dict.fromkeys(("less_exclusive", "less_inclusive"), OTHERS["exclusive"])


def graph() -> LabelGraph:
    return LabelGraph.of(Taxonomy.from_tree(TREE), LABELS)


def members(problem: Problem) -> dict[str, str]:
    """Class -> the labels whose documents are its examples."""
    return {
        name: "".join(sorted(LABELS[label] for label in problem.labels[problem.codes == code]))
        for code, name in enumerate(problem.classes)
    }


def test_a_classifier_per_parent_distinguishes_the_children_of_a_node() -> None:
    problems = {problem.name: members(problem) for problem in local_problems(graph(), "parent", "siblings")}
    assert problems == {
        "the top of the tree": {"f": "f", "x": "ab", "y": "cdey"},
        "x": {"a": "a", "b": "b"},
        "y": {"c": "c", "y itself": "y", "z": "de"},
        "z": {"d": "d", "e": "e"},
    }


def test_a_classifier_per_level_distinguishes_all_its_nodes() -> None:
    problems = {problem.name: members(problem) for problem in local_problems(graph(), "level", "siblings")}
    assert problems == {
        "level 1": {"f": "f", "x": "ab", "y": "cdey"},
        "level 2": {"a": "a", "b": "b", "c": "c", "y itself": "y", "z": "de"},
        "level 3": {"d": "d", "e": "e"},
    }


@pytest.mark.parametrize("policy", get_args(Policy))
def test_a_policy_names_the_negatives_of_a_node(policy: Policy) -> None:
    problems = {problem.name: members(problem) for problem in local_problems(graph(), "node", policy)}
    assert len(problems) == 10
    assert all(problem[name] for name, problem in problems.items())
    for name, others in OTHERS[policy].items():
        assert problems[name]["others"] == others


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_every_edge_has_the_strength_of_one_classifier(strategy: Strategy) -> None:
    edges = np.concatenate([problem.edges for problem in local_problems(graph(), strategy, "siblings")])
    assert sorted(edges.tolist()) == list(range(10))


def test_a_policy_without_negatives_is_replaced_by_siblings() -> None:
    single = LabelGraph.of(Taxonomy.from_tree({"a": ["x"], "b": ["x"]}), ("a", "b"))
    (one, other) = local_problems(single, "node", "inclusive")
    assert (one.labels.tolist(), one.codes.tolist()) == ([0, 1], [1, 0])
    assert (other.labels.tolist(), other.codes.tolist()) == ([0, 1], [0, 1])


def test_a_document_of_a_node_with_two_parents_is_an_example_of_both_with_half_its_weight() -> None:
    taxonomy = Taxonomy.from_parents({"x": (), "y": (), "a": ("x",), "b": ("x", "y"), "c": ("y",)})
    top = local_problems(LabelGraph.of(taxonomy, ("a", "b", "c")), "parent", "siblings")[0]
    documents_of, weight = [np.array([0]), np.array([1, 3]), np.array([2])], np.array([1.0, 2.0, 3.0, 4.0])
    examples = top.examples(documents_of, weight, np.ones(4))
    assert examples.rows.tolist() == [0, 1, 1, 2, 3, 3]
    assert examples.y.tolist() == [0, 0, 1, 1, 0, 1]
    assert examples.weight.tolist() == [1, 1, 1, 3, 2, 2]
    assert examples.sample_weight.tolist() == [1, 0.5, 0.5, 1, 0.5, 0.5]
    assert examples.documents == 4
    np.testing.assert_allclose(np.exp(examples.log_shares), [0.4, 0.6])
