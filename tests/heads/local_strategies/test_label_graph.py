"""Labels as the leaves of one graph, and the walk that gives their probabilities."""

from collections.abc import Iterator

import numpy as np
import pytest

from data.taxonomy import Taxonomy
from heads.local_strategies.label_graph import LabelGraph

# a label of its own node (b), leaves at two depths, and a node with two parents (d)
GRAPH = {"a": (), "b": (), "c": ("b",), "d": ("a", "b"), "e": ("d",), "f": ("d",)}
LABELS = ("b", "c", "e", "f")


def graph() -> LabelGraph:
    return LabelGraph.of(Taxonomy.from_parents(GRAPH), LABELS)


def random_graph(rng: np.random.Generator, most_parents: int) -> LabelGraph:
    """A graph of 12 nodes, whose nodes have parents with smaller numbers."""
    parents = {}
    for node in range(12):
        count = min(node, int(rng.integers(0, most_parents + 1)))
        parents[str(node)] = tuple(str(above) for above in rng.choice(max(node, 1), count, replace=False))
    taxonomy = Taxonomy.from_parents(parents)
    others = rng.choice(12, 4, replace=False)
    return LabelGraph.of(taxonomy, sorted({*taxonomy.leaves, *(str(node) for node in others)}))


def walks(graph: LabelGraph, node: int) -> Iterator[list[tuple[int, int]]]:
    """All ways from a node to labels, as edges: (number of the edge, its lower end)."""
    if not graph.children[node]:
        yield []
    for edge, child in zip(graph.edges_below.get(node, ()), graph.children[node], strict=True):
        yield from ([(int(edge), child), *rest] for rest in walks(graph, child))


def test_a_label_with_labels_below_it_is_a_leaf_next_to_its_children() -> None:
    built = graph()
    children = {built.names[node]: [built.names[child] for child in built.children[node]] for node in built.inner}
    assert children == {
        "the top of the tree": ["a", "b"],
        "a": ["d"],
        "b": ["b", "c", "d"],
        "d": ["e", "f"],
    }
    assert built.depths[:4].tolist() == [2, 2, 3, 3]


def test_parents_come_before_their_children() -> None:
    for seed in range(20):
        built = random_graph(np.random.default_rng(seed), 3)
        position = {node: at for at, node in enumerate(built.inner)}
        assert len(position) == len(built) - built.labels
        assert all(position[above] < at for node, at in position.items() for above in built.parents[node])


def test_a_document_belongs_to_several_parents_in_equal_shares() -> None:
    built = graph()
    shares = {
        (built.names[node], built.names[child]): {built.names[label]: share for label, share in shares.items()}
        for node in built.inner
        for edge, child in zip(built.edges_below[node], built.children[node], strict=True)
        for shares in [built.edge_shares[edge]]
    }
    assert shares["the top of the tree", "a"] == {"e": 0.5, "f": 0.5}
    assert shares["the top of the tree", "b"] == {"b": 1, "c": 1, "e": 0.5, "f": 0.5}
    assert shares["b", "d"] == {"e": 0.5, "f": 0.5}
    assert shares["d", "e"] == {"e": 1}


@pytest.mark.parametrize("most_parents", [1, 3])
def test_the_probability_of_a_label_is_the_sum_over_all_ways_to_it(most_parents: int) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        built = random_graph(rng, most_parents)
        strengths = rng.normal(size=(len(built.edge_ends), 3))
        expected = np.zeros((3, built.labels))
        conditional = np.empty_like(strengths)
        for edges in built.edges_below.values():
            conditional[edges] = np.exp(strengths[edges]) / np.exp(strengths[edges]).sum(axis=0)
        for walk in walks(built, len(built) - 1):
            expected[:, walk[-1][1]] += np.prod([conditional[edge] for edge, _ in walk], axis=0)
        probabilities = np.exp(built.label_scores(strengths))
        np.testing.assert_allclose(probabilities, expected, rtol=1e-12)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)


def test_a_first_label_is_at_the_top_and_the_others_are_below_one_node() -> None:
    built = LabelGraph.by_first(("a", "b", "c"), "b")
    assert [built.children[node] for node in built.inner] == [(1, 3), (0, 2)]
    assert LabelGraph.by_first(("a", "b"), "z").children[-1] == (0, 1)
