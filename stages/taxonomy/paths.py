"""Predictions as paths: the nodes from the top to the predicted one, each with its probability."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy

__all__ = ["Path", "PathNode", "Paths"]


@dataclass(frozen=True)
class PathNode:
    """A node of a predicted path. name: its name without those above it. probability: of all labels at or below it."""

    node: str
    name: str
    probability: float


Path = tuple[PathNode, ...]


@dataclass(frozen=True)
class Paths:
    """Makes paths of the nodes that a run predicts."""

    taxonomy: Taxonomy
    hierarchy: Hierarchy

    @property
    def levels(self) -> int:
        """The length of the longest path."""
        return int(self.hierarchy.depths.max(initial=0))

    def of(self, predicted: NDArray[Any], probabilities: NDArray[Any]) -> Iterator[tuple[Path, ...]]:
        """Yield the paths of each document: to its predicted node, or to each predicted label without one below it.

        Of several parents, the most probable one is on the path.

        Args:
            predicted: int codes of nodes (documents,), or bool (documents, labels).
            probabilities: (documents, labels).
        """
        is_multilabel = predicted.ndim == 2
        of_nodes = probabilities if is_multilabel else self.hierarchy.node_probabilities(probabilities)
        for codes, row in zip(predicted, of_nodes.tolist(), strict=True):
            if is_multilabel:
                chosen = set(np.flatnonzero(codes).tolist())
                ends = [code for code in sorted(chosen) if not chosen.intersection(self.hierarchy.children[code])]
                yield tuple(self._path(end, row, chosen) for end in ends)
            else:
                yield (self._path(int(codes), row, ()),)

    def _path(self, code: int, probabilities: Sequence[float], chosen: Collection[int]) -> Path:
        """The path to a node. chosen: the nodes that it prefers, because they are predicted too."""
        path = [code]
        while above := self.hierarchy.parents[path[-1]]:
            path.append(max(above, key=lambda node: (node in chosen, probabilities[node])))
        names = self.hierarchy.names
        return tuple(
            PathNode(names[node], self.taxonomy.short_name(names[node]), probabilities[node]) for node in path[::-1]
        )

    def text(self, path: Path) -> str:
        """A path in one cell: "rec/sport/hockey", or "rec > sport > hockey" if the names of nodes are no paths."""
        return path[-1].node if self.taxonomy.separator else " > ".join(each.name for each in path)
