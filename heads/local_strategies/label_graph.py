"""The labels of a cascade as the leaves of one graph, and the walk from its root that gives their probabilities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Parents, children_of, parents_first
from data.taxonomy import Taxonomy

__all__ = ["LabelGraph"]

ROOT = "the top of the tree"


@dataclass(frozen=True, eq=False)
class LabelGraph:
    """A graph from one root to the labels, each of which is a leaf.

    A label that has labels below it is a leaf below its own node, next to its children: so "it is this label itself"
    is a decision like the others. Codes of nodes: first the labels, then the nodes above them, and last the root.

    names: (nodes,), of people to read; a label and the node above the leaf of that label have the same name.
    parents: (nodes,), the codes of the parents of each node; () for the root only.
    labels: how many leaves there are.
    """

    names: tuple[str, ...]
    parents: Parents
    labels: int

    @classmethod
    def of(cls, taxonomy: Taxonomy, labels: Sequence[str]) -> Self:
        """The part of a taxonomy that has these labels, which it must contain."""
        part = taxonomy.restricted_to(labels)
        inner = [node for node in part.nodes if part.children[node]]
        code_of = {name: code for code, name in enumerate(labels)}
        code_of |= {name: len(labels) + position for position, name in enumerate(inner)}
        root = (len(labels) + len(inner),)
        parents = [(code_of[label],) if part.children[label] else None for label in labels]
        above = [tuple(code_of[name] for name in part.parents[node]) or root for node in (*labels, *inner)]
        known = (own or up for own, up in zip([*parents, *[None] * len(inner)], above, strict=True))
        return cls((*labels, *inner, ROOT), (*known, ()), len(labels))

    @classmethod
    def by_first(cls, labels: Sequence[str], first: str) -> Self:
        """Two levels: whether the label is `first`, and then which of the others; one level if it is none of them."""
        root = len(labels) + (first in labels)
        if first not in labels:
            return cls((*labels, ROOT), (*((root,) for _ in labels), ()), len(labels))
        below = ((root,) if label == first else (root - 1,) for label in labels)
        return cls((*labels, f"all but {first}", ROOT), (*below, (root,), ()), len(labels))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_tree(self) -> bool:
        """Whether no node has several parents."""
        return all(len(above) <= 1 for above in self.parents)

    @cached_property
    def children(self) -> Parents:
        """The codes of the children of each node, in increasing order."""
        return children_of(self.parents)

    @cached_property
    def inner(self) -> tuple[int, ...]:
        """The nodes with children, parents before their children."""
        return tuple(node for node in parents_first(self.parents) if self.children[node])

    @cached_property
    def edges_below(self) -> dict[int, NDArray[np.int64]]:
        """Inner node -> the numbers of the edges to its children, in the order of `children`."""
        counts = [len(self.children[node]) for node in self.inner]
        return dict(zip(self.inner, np.split(np.arange(sum(counts)), np.cumsum(counts)[:-1]), strict=True))

    @cached_property
    def edge_ends(self) -> NDArray[np.int64]:
        """The node at the lower end of each edge: int64 (edges,)."""
        return np.array([child for node in self.inner for child in self.children[node]], dtype=np.int64)

    @cached_property
    def depths(self) -> NDArray[np.int64]:
        """The number of edges on the longest way from the root to each node: int64 (nodes,)."""
        depths = np.zeros(len(self), dtype=np.int64)
        for node in self.inner:
            below = list(self.children[node])
            depths[below] = np.maximum(depths[below], depths[node] + 1)
        return depths

    @cached_property
    def labels_below(self) -> tuple[frozenset[int], ...]:
        """The labels at and below each node."""
        below: list[frozenset[int]] = [frozenset([node]) for node in range(len(self))]
        for node in reversed(self.inner):
            below[node] = frozenset().union(*(below[child] for child in self.children[node]))
        return tuple(below)

    @cached_property
    def edge_shares(self) -> tuple[dict[int, float], ...]:
        """For each edge the labels below it, and how much of a document of that label comes up through it.

        A node with several parents belongs to each of them in equal shares; in a tree every share is 1.
        """
        shares: list[dict[int, float]] = [{node: 1.0} if node < self.labels else {} for node in range(len(self))]
        edges: list[dict[int, float]] = [{} for _ in self.edge_ends]
        for node in reversed(self.inner):
            for edge, child in zip(self.edges_below[node].tolist(), self.children[node], strict=True):
                edges[edge] = {label: share / len(self.parents[child]) for label, share in shares[child].items()}
                for label, share in edges[edge].items():
                    shares[node][label] = shares[node].get(label, 0.0) + share
        return tuple(edges)

    def ancestors(self, node: int) -> frozenset[int]:
        """The nodes above a node, without the root."""
        found, open_nodes = set[int](), [node]
        while open_nodes:
            above = [parent for parent in self.parents[open_nodes.pop()] if self.parents[parent]]
            open_nodes.extend(parent for parent in above if parent not in found)
            found.update(above)
        return frozenset(found)

    def label_scores(self, strengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """The log-probability of each label, float64 (documents, labels).

        A walk starts at the root, and goes from a node to one of its children with a probability that is proportional
        to the exponential of the strength of the edge. It ends at a label. If a node has several parents, its
        probability is the sum over the ways to it; so the probabilities of labels always sum to 1.

        strengths: (edges, documents).
        """
        from scipy.special import log_softmax

        reached = np.full((len(self), strengths.shape[1]), -np.inf)
        reached[-1] = 0.0
        for node in self.inner:
            below = list(self.children[node])
            onward = reached[node] + log_softmax(strengths[self.edges_below[node]], axis=0)
            reached[below] = onward if self.is_tree else np.logaddexp(reached[below], onward)
        return reached[: self.labels].T

    def numbered_edges(self) -> Iterator[tuple[int, int]]:
        """Each edge and the node at its lower end."""
        return enumerate(self.edge_ends.tolist())
