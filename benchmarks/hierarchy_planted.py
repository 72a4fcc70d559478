"""Made-up problems for benchmarks/hierarchy.py, each of which one strategy for hierarchies is made for.

Few documents are fitted, and many are scored.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from heads.classifiers.cascade import CascadeHead
from heads.classifiers.hierarchical import HierarchicalHead
from heads.classifiers.linear import LinearHead
from heads.classifiers.mlp import MLPHead
from heads.core.head import Head
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions.hierarchical import BestExpectedHF
from heads.evaluation.decisions.rules import Argmax


@dataclass(frozen=True)
class Documents:
    """Vectors, float32 (documents, dims), labels, which documents are fitted, and the parents of each node."""

    vectors: NDArray[np.float32]
    labels: NDArray[np.object_]
    fitted: NDArray[np.bool_]
    parents: dict[str, list[str]]

    @property
    def hierarchy(self) -> Hierarchy:
        """The nodes as numbers."""
        return Hierarchy.of(Taxonomy.from_parents(self.parents), tuple(sorted(set(self.labels))))


@dataclass(frozen=True)
class Result:
    """A metric of a flat classifier and of one that knows the hierarchy."""

    name: str
    metric: str
    classifier: str
    flat: float
    tree: float


def planted_problems(scale: float = 1.0) -> Iterator[Result]:
    """Fit and score each problem. scale: factor of the documents that are scored."""
    scored = max(2, round(40 * scale))
    rare = _rare_leaves(2, scored)
    yield _compare("rare leaves under a clear parent", rare, "hierarchical", HierarchicalHead(tree=rare.parents), "hf1")
    weak = _parent_of_other_features(8, scored)
    cascade = CascadeHead(tree=weak.parents)
    yield _compare("a parent of features that tell no leaf", weak, "cascade", cascade, "top level")
    inner = _labels_at_inner_nodes(max(600, round(1200 * scale)))
    yield _compare("labels at inner nodes", inner, "cascade, hf1", CascadeHead(tree=inner.parents), "hf1", exact=True)
    graph = _two_parents(6, scored)
    node = CascadeHead(tree=graph.parents, strategy="node", policy="inclusive")
    yield _compare("a graph with two parents", graph, "cascade per node, hf1", node, "hf1", exact=True)


def _compare(
    name: str, documents: Documents, classifier: str, head: Head, metric: str, *, exact: bool = False
) -> Result:
    """exact: whether the head's decisions are those of the highest expected hF1, instead of argmax."""
    hierarchy, fitted = documents.hierarchy, documents.fitted
    codes = {label: code for code, label in enumerate(hierarchy.names)}
    truth = np.array([codes[label] for label in documents.labels[~fitted]])
    flat = MLPHead() if classifier == "hierarchical" else LinearHead()
    values = []
    for each, rule in (
        (flat, Argmax()),
        (head, BestExpectedHF(labels=hierarchy.labels, parents=hierarchy.parents) if exact else Argmax()),
    ):
        each.fit(documents.vectors[fitted], documents.labels[fitted])
        predicted = rule.decide(each.decision_function(documents.vectors[~fitted]))
        counts = ConfusionCounts.from_predictions(truth, predicted, hierarchy.labels, hierarchy)
        values.append(float(counts.hf1 if metric == "hf1" else counts.level_accuracy[..., 0]))
    return Result(name, metric, classifier, *values)


def _draw(
    means: NDArray[np.float64], names: list[str], numbers: tuple[int, int], parents: dict[str, list[str]]
) -> Documents:
    """Documents of unit variance around the mean of their label. numbers: of each label, to fit and to score."""
    codes = np.tile(np.arange(len(names)), sum(numbers))
    vectors = means[codes] + np.random.default_rng(1).normal(size=(len(codes), means.shape[1]))
    fitted = np.arange(len(codes)) < numbers[0] * len(names)
    return Documents(vectors.astype(np.float32), np.array(names, dtype=object)[codes], fitted, parents)


def _two_levels(parents: int, leaves: int) -> tuple[list[str], dict[str, list[str]]]:
    names = [f"p{parent}/l{leaf}" for parent in range(parents) for leaf in range(leaves)]
    return names, {name: [name.split("/")[0]] for name in names} | {f"p{parent}": [] for parent in range(parents)}


def _rare_leaves(documents: int, scored: int, parents: int = 4, leaves: int = 12, dim: int = 30) -> Documents:
    """The first axes tell the parent clearly, and each leaf has a mean of its own."""
    names, above = _two_levels(parents, leaves)
    means = np.random.default_rng(0).normal(size=(len(names), dim))
    means[:, :parents] += 3 * np.eye(parents).repeat(leaves, axis=0)
    return _draw(means, names, (documents, scored), above)


def _parent_of_other_features(documents: int, scored: int, parents: int = 4, leaves: int = 10) -> Documents:
    """Half of the axes tell the parent, each a little; the others tell the leaf, in the same way below each parent."""
    names, above = _two_levels(parents, leaves)
    rng = np.random.default_rng(0)
    of_parent = 0.5 * rng.normal(size=(parents, 30))
    of_leaf = rng.normal(size=(leaves, 30))
    means = np.concatenate([of_parent.repeat(leaves, axis=0), np.tile(of_leaf, (parents, 1))], axis=1)
    return _draw(means, names, (documents, scored), above)


def _labels_at_inner_nodes(documents: int, leaves: int = 6) -> Documents:
    """Two thirds of the documents of a branch have its node as their label, and do not differ from its leaves much."""
    names, above = _two_levels(3, leaves)
    rng = np.random.default_rng(0)
    labels, vectors = [], []
    of_parent, of_leaf = 2 * rng.normal(size=(3, 10)), 0.7 * rng.normal(size=(len(names), 10))
    for leaf in rng.integers(len(names), size=documents):
        name = names[leaf]
        labels.append(name if rng.random() < 1 / 3 else name.split("/")[0])
        vectors.append(of_parent[leaf // leaves] + (of_leaf[leaf] if "/" in labels[-1] else 0) + rng.normal(size=10))
    fitted = np.arange(len(labels)) % 2 == 0
    return Documents(np.array(vectors, dtype=np.float32), np.array(labels, dtype=object), fitted, above)


def _two_parents(documents: int, scored: int, parents: int = 5, dim: int = 16) -> Documents:
    """Each leaf is below two parents, and its mean is the sum of theirs and of a smaller one of its own."""
    pairs = [(one, other) for one in range(parents) for other in range(one)]
    names = [f"l{one}-{other}" for one, other in pairs]
    above = {f"l{one}-{other}": [f"p{one}", f"p{other}"] for one, other in pairs}
    rng = np.random.default_rng(0)
    of_parent = 0.8 * rng.normal(size=(parents, dim))
    means = np.array([of_parent[one] + of_parent[other] for one, other in pairs])
    above |= {f"p{one}": [] for one in range(parents)}
    return _draw(means + 0.3 * rng.normal(size=means.shape), names, (documents, scored), above)
