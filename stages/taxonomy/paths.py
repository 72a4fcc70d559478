"""Predictions as paths: the nodes from the top to the predicted one, each with its probability."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy

__all__ = ["Path", "PathColumns", "PathNode", "Paths"]


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

    hierarchy: Hierarchy

    @property
    def levels(self) -> int:
        """The length of the longest path."""
        return int(self.hierarchy.depths.max(initial=0))

    def of(self, predicted: NDArray[Any], probabilities: NDArray[Any]) -> Iterator[tuple[Path, ...]]:
        """Yield the paths of each document: to its predicted node, or to each predicted label without one below it.

        A document that is left undecided, whose code is negative, has none.

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
                yield (self._path(int(codes), row, ()),) if codes >= 0 else ()

    def _path(self, code: int, probabilities: Sequence[float], chosen: Collection[int]) -> Path:
        """The path to a node. chosen: the nodes that it prefers, because they are predicted too."""
        path = [code]
        while above := self.hierarchy.parents[path[-1]]:
            path.append(max(above, key=lambda node: (node in chosen, probabilities[node])))
        names, short_name = self.hierarchy.names, self.hierarchy.taxonomy.short_name
        return tuple(PathNode(names[node], short_name(names[node]), probabilities[node]) for node in path[::-1])

    def text(self, path: Path) -> str:
        """A path in one cell: "rec/sport/hockey", or "rec > sport > hockey" if the names of nodes are no paths."""
        return path[-1].node if self.hierarchy.taxonomy.separator else " > ".join(each.name for each in path)


@dataclass(frozen=True)
class PathColumns:
    """The columns of a table that hold predicted paths: the path, and a node and its probability for each level.

    The cells of documents with several labels are JSON lists, with an entry for each path, or for each node of a level.
    """

    paths: Paths
    is_multilabel: bool

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        levels = range(1, self.paths.levels + 1)
        return ["path", *(name for level in levels for name in (f"level_{level}", f"level_{level}_probability"))]

    def cells(self, paths: Sequence[Path]) -> list[str]:
        """The cells of one document."""
        texts = [self.paths.text(path) for path in paths]
        cells = [json.dumps(texts, ensure_ascii=False) if self.is_multilabel else next(iter(texts), "")]
        for level in range(self.paths.levels):
            nodes = list(dict.fromkeys(path[level] for path in paths if level < len(path)))
            cells += self._level_cells(nodes)
        return cells

    def _level_cells(self, nodes: Sequence[PathNode]) -> tuple[str, str]:
        names, shares = [node.name for node in nodes], [f"{node.probability:.6g}" for node in nodes]
        if self.is_multilabel:
            return json.dumps(names, ensure_ascii=False), f"[{', '.join(shares)}]"
        return (names[0], shares[0]) if nodes else ("", "")

    def to_json(self, paths: Sequence[Path] | None) -> dict[str, Any]:
        """One document's paths as JSON values: `path`, or `paths` if multi-label, as lists of nodes from the top."""
        values = [[asdict(node) for node in path] for path in paths or ()]
        name, value = ("paths", values) if self.is_multilabel else ("path", next(iter(values), None))
        return {name: None if paths is None else value}
