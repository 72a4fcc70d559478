"""Brute-force decoding of small hierarchies, which exact decision rules must equal: each prediction against each label.

Used by tests and by `benchmarks/hierarchy.py`. The metrics are computed from sets of nodes, as they are defined.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy

Nodes = frozenset[int]
Value = Callable[[Nodes, Nodes], float]  # of the nodes of the true label and of the prediction; higher is better


def hierarchical_f(beta: float) -> Value:
    """hF-beta of one document."""

    def value(truth: Nodes, predicted: Nodes) -> float:
        return (1 + beta**2) * len(truth & predicted) / (beta**2 * len(truth) + len(predicted))

    return value


def negative_distance(truth: Nodes, predicted: Nodes) -> float:
    """Minus the number of edges between two nodes of a tree, given by their paths."""
    return -float(len(truth ^ predicted))


def wu_palmer(truth: Nodes, predicted: Nodes) -> float:
    """Wu-Palmer similarity of two nodes of a tree, given by their paths; the root above the top has depth 1."""
    return 2 * (len(truth & predicted) + 1) / (len(truth) + len(predicted) + 2)


def accuracy(truth: Nodes, predicted: Nodes) -> float:
    """Whether the label is correct."""
    return float(truth == predicted)


OBJECTIVES: dict[str, Value] = {
    "hf1": hierarchical_f(1.0),
    "leaf": accuracy,
    "distance": negative_distance,
    "wu-palmer": wu_palmer,
}


def closures(hierarchy: Hierarchy) -> list[Nodes]:
    """The nodes at and above each node."""
    return [frozenset(map(int, row.nonzero()[0])) for row in hierarchy.closure.toarray()]


def expected_values(
    hierarchy: Hierarchy, probabilities: NDArray[np.float64], value: Value, predictions: list[Nodes] | None = None
) -> NDArray[np.float64]:
    """The expected value of each prediction.

    Args:
        hierarchy: a small hierarchy.
        probabilities: (documents, labels).
        value: the metric.
        predictions: sets of nodes; None for each node with the nodes above it, in the order of their codes.

    Returns:
        (documents, predictions).
    """
    paths = closures(hierarchy)
    sets = paths if predictions is None else predictions
    table = np.array([[value(paths[label], nodes) for nodes in sets] for label in range(hierarchy.labels)])
    return np.asarray(probabilities @ table)


def closed_sets(hierarchy: Hierarchy) -> list[Nodes]:
    """All sets, except for the empty one, that contain each node above one of their nodes. Exponentially many."""
    found: set[Nodes] = {frozenset()}
    for node, path in sorted(enumerate(closures(hierarchy)), key=lambda each: len(each[1])):
        found |= {nodes | {node} for nodes in found if path - {node} <= nodes}
    return sorted(found - {frozenset()}, key=lambda nodes: (len(nodes), sorted(nodes)))


@dataclass(frozen=True)
class RandomHierarchies:
    """Random small trees or graphs, and probabilities of their labels.

    max_leaves: leaves per hierarchy. graph: whether nodes may have two parents. inner_labels: whether nodes with labels
    below them may be labels.
    """

    max_leaves: int = 12
    graph: bool = False
    inner_labels: bool = True

    def draw(self, seed: int) -> tuple[Hierarchy, NDArray[np.float64]]:
        """A hierarchy, and the probabilities of 20 documents, (documents, labels)."""
        random = np.random.default_rng(seed)
        nodes = int(random.integers(1, 3 * self.max_leaves // 2 + 1))
        above = [self._parents(random, node) for node in range(nodes)]
        leaves = set(range(nodes)).difference(*above)
        if len(leaves) > self.max_leaves:
            return self.draw(seed + 1_000_000)
        is_label = [node in leaves or (self.inner_labels and random.random() < 0.3) for node in range(nodes)]
        order = [*random.permutation(np.flatnonzero(is_label)), *np.flatnonzero(~np.array(is_label))]
        code = {int(node): place for place, node in enumerate(order)}
        parents = tuple(tuple(sorted(code[parent] for parent in above[node])) for node in map(int, order))
        hierarchy = Hierarchy(tuple(f"n{node}" for node in order), sum(is_label), parents)
        concentration = float(random.choice([0.1, 0.5, 2.0]))
        return hierarchy, random.dirichlet(np.full(hierarchy.labels, concentration), size=20)

    def _parents(self, random: np.random.Generator, node: int) -> set[int]:
        """The parents of a node among those before it: none, one or two."""
        if not node or random.random() < 0.1:
            return set()
        return set(random.integers(node, size=2 if self.graph and random.random() < 0.3 else 1).tolist())
