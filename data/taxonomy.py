"""The taxonomy of labels: a tree of nodes, or a directed acyclic graph in which a node may have several parents."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import takewhile
from typing import Any, Self

from data.errors import BadData, CallError, UnknownName, suggest_name

__all__ = ["Taxonomy", "is_path", "strip_levels"]


@dataclass(frozen=True)
class Taxonomy:
    """The nodes above each label. Labels may be at any node, and leaves at any depth.

    parents: node -> its parents, () for a node at the top; parents come before their children. "rec/sport/hockey" of
        paths has the parent "rec/sport", whose parent is "rec".
    """

    parents: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_parents(cls, parents: Mapping[str, Iterable[str]]) -> Self:
        """Check and order nodes; a parent that has no entry is a node at the top. Raises BadData for a cycle."""
        known = {node: tuple(dict.fromkeys(above)) for node, above in parents.items()}
        above_all = {parent: () for above in known.values() for parent in above if parent not in known}
        try:
            order = list(TopologicalSorter({**above_all, **known}).static_order())
        except CycleError as error:
            cycle = " > ".join(map(str, error.args[1]))
            raise BadData(f"The taxonomy has a cycle, in which each node is above the next: {cycle}.") from error
        return cls({node: known.get(node, ()) for node in order})

    @classmethod
    def from_tree(cls, tree: Mapping[Any, Sequence[str]]) -> Self:
        """Read a mapping of labels to paths, of nodes to parents, or of both.

        tree: node -> its parents, [] at the top; or label -> its path, the nodes from the top to the label itself, so
            that ["rec", "hockey"] for "hockey" means the same as ["rec"]. Names that are numbers are read as text.

        Raises:
            CallError: a value is not a list of names.
            BadData: two paths have a node below different nodes, or the nodes form a cycle.
        """
        parents: dict[str, tuple[str, ...]] = {}
        for node, value in tree.items():
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise CallError(
                    f"The tree has {value!r} for '{node}'; it must list the names of its parents, or of the nodes on "
                    "its path, in order."
                )
            names = tuple(map(str, value))
            if names[-1:] != (str(node),):
                parents[str(node)] = names
        for node, value in tree.items():
            path = tuple(map(str, value))
            if path[-1:] == (str(node),):
                for above, below in zip(((), *((name,) for name in path)), path, strict=False):
                    if parents.setdefault(below, above) != above:
                        raise BadData(f"The tree of labels has '{below}' {_below(parents[below])} and {_below(above)}.")
        return cls.from_parents(parents)

    @classmethod
    def from_separator(cls, labels: Iterable[str], separator: str) -> Self:
        """Split labels into levels. Raises BadData for a label with an empty level, such as "rec//hockey"."""
        return cls.from_tree({label: _prefixes(label, separator) for label in sorted(set(labels))})

    @classmethod
    def two_level(cls, labels: Iterable[str], separator: str) -> Self:
        """Use the text before the first separator as the parent: "rec.sport.hockey" is below "rec"."""
        parent = {label: label.split(separator)[0] for label in sorted(set(labels))}
        return cls.from_parents({label: () if above == label else (above,) for label, above in parent.items()})

    def to_json(self) -> dict[str, list[str]]:
        """Return the parents as JSON values, for `from_json` and for the `tree` of a head."""
        return {node: list(above) for node, above in self.parents.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Sequence[str]]) -> Self:
        """Read the result of `to_json`. Raises BadData if it is no taxonomy."""
        for node, above in content.items():
            if not isinstance(above, list) or not all(isinstance(name, str) for name in above):
                raise BadData(f"The taxonomy has {above!r} as the parents of '{node}', which must be a list of names.")
        return cls.from_tree(content)

    def __contains__(self, node: Hashable) -> bool:
        return node in self.parents

    def __len__(self) -> int:
        return len(self.parents)

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes, parents before their children."""
        return tuple(self.parents)

    @cached_property
    def children(self) -> dict[str, tuple[str, ...]]:
        """Node -> its children, () for a leaf."""
        below: dict[str, list[str]] = {node: [] for node in self.parents}
        for node, above in self.parents.items():
            for parent in above:
                below[parent].append(node)
        return {node: tuple(names) for node, names in below.items()}

    @property
    def top(self) -> tuple[str, ...]:
        """The nodes without a parent."""
        return tuple(node for node, above in self.parents.items() if not above)

    @property
    def leaves(self) -> tuple[str, ...]:
        """The nodes without a child."""
        return tuple(node for node, below in self.children.items() if not below)

    @cached_property
    def is_tree(self) -> bool:
        """Whether no node has several parents."""
        return all(len(above) <= 1 for above in self.parents.values())

    @cached_property
    def separator(self) -> str:
        """What divides the levels of a name: "/" if "rec/sport" is below "rec"; "" if the names are no paths."""
        edges = [(node, parent) for node, above in self.parents.items() for parent in above]
        if not all(node.startswith(parent) and node != parent for node, parent in edges):
            return ""
        levels = [node[len(parent) :] for node, parent in edges]
        divider = "".join(one for one, *_ in takewhile(_is_one_divider, zip(*levels, strict=False)))
        # the default of readers; all of "num/-1" and "num/-2" below "num" begin with "/-"
        return "/" if divider[:1] == "/" and not any("/" in level[1:] for level in levels) else divider

    def short_name(self, node: str) -> str:
        """The last level of a node whose name is a path, "hockey" of "rec/sport/hockey"; else its name."""
        above = self.parents[node]
        return node[len(above[0]) + len(self.separator) :] if self.separator and above else node

    @cached_property
    def depths(self) -> dict[str, int]:
        """Node -> the number of nodes on the longest path from the top to it: 1 for a node at the top."""
        depths: dict[str, int] = {}
        for node, above in self.parents.items():
            depths[node] = 1 + max((depths[parent] for parent in above), default=0)
        return depths

    def ancestors(self, node: str) -> tuple[str, ...]:
        """A node and all nodes above it, parents first; in a tree this is the path to the node."""
        found, open_nodes = {node}, [node]
        while open_nodes:
            above = [parent for parent in self.parents[open_nodes.pop()] if parent not in found]
            found.update(above)
            open_nodes.extend(above)
        return tuple(sorted(found, key=self._position.__getitem__))

    def completed(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Labels and all nodes above them, parents first. Raises UnknownName for a label that is no node."""
        for label in labels:
            if label not in self:
                raise UnknownName(f"The taxonomy has no '{label}'.{suggest_name(label, self.nodes)}")
        nodes = {node for label in labels for node in self.ancestors(label)}
        return tuple(sorted(nodes, key=self._position.__getitem__))

    def restricted_to(self, labels: Iterable[str]) -> Self:
        """The taxonomy of these labels and the nodes above them, without other branches."""
        kept = {node for label in labels for node in self.ancestors(label)}
        return type(self)({node: above for node, above in self.parents.items() if node in kept})

    @cached_property
    def _position(self) -> dict[str, int]:
        return {node: position for position, node in enumerate(self.parents)}


def is_path(label: str, separator: str) -> bool:
    """Whether no level of a label is empty: there is text before, between and after its separators."""
    return all(level.strip() for level in label.split(separator))


def strip_levels(label: str, separator: str) -> str:
    """The label without spaces around its levels: "rec / sport" is "rec/sport"."""
    return separator.join(level.strip() for level in label.split(separator))


def _prefixes(label: str, separator: str) -> tuple[str, ...]:
    levels = label.split(separator)
    if not is_path(label, separator):
        raise BadData(
            f"Label '{label}' has an empty level between two '{separator}'. Write a path as rec{separator}sport."
        )
    return tuple(separator.join(levels[: depth + 1]) for depth in range(len(levels)))


def _is_one_divider(signs: tuple[str, ...]) -> bool:
    """Whether all signs are the same one, which is no part of a word."""
    return len(set(signs)) == 1 and not (signs[0].isalnum() or signs[0] == "_")


def _below(parents: tuple[str, ...]) -> str:
    return f"below '{parents[0]}'" if parents else "at the top"
