"""The taxonomy of labels: the path of tree nodes that leads to each label."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from data.errors import BadData, CallError, UnknownName, suggest_name


@dataclass(frozen=True)
class Taxonomy:
    """A tree of labels, stored as one path per label.

    paths: label -> the nodes from below the root to the label itself,
        "rec/sport/hockey" -> ("rec", "rec/sport", "rec/sport/hockey"). A label may be a node on another label's path.
    """

    paths: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_separator(cls, labels: Iterable[str], separator: str) -> Self:
        """Split labels into levels. Raises BadData for a label with an empty level, such as "rec//hockey"."""
        return cls({label: _prefixes(label, separator) for label in sorted(set(labels))})

    @classmethod
    def two_level(cls, labels: Iterable[str], separator: str) -> Self:
        """Use the text before the first separator as the parent: "rec.sport.hockey" -> ("rec", "rec.sport.hockey")."""
        return cls({label: tuple(dict.fromkeys((label.split(separator)[0], label))) for label in sorted(set(labels))})

    def to_json(self) -> dict[str, list[str]]:
        """Return the paths as JSON values: label -> list of nodes."""
        return {label: list(path) for label, path in self.paths.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Sequence[str]]) -> Self:
        """Read the result of `to_json`. Raises BadData if a path does not end in its label, or paths contradict."""
        paths = {label: _checked_path(label, path) for label, path in content.items()}
        parents: dict[str, str | None] = {}
        for path in paths.values():
            for parent, node in zip((None, *path), path, strict=False):
                if parents.setdefault(node, parent) != parent:
                    raise BadData(f"The tree of labels has '{node}' under both '{parents[node]}' and '{parent}'.")
        return cls(paths)


def resolve_label_paths(tree: Mapping[Any, Sequence[str]], labels: Sequence[Any]) -> list[tuple[str, ...]]:
    """Return the path of each label in the tree that a head received, in the order of `labels`.

    A label that is a number is looked up by its text. Raises UnknownName for a label without a path, CallError for a
    path that is not a sequence of names.
    """
    paths = {str(label): path for label, path in tree.items()}
    for label in labels:
        path = paths.get(str(label))
        if path is None:
            raise UnknownName(f"The tree has no path for '{label}'.{suggest_name(str(label), paths)}")
        if isinstance(path, str) or not path:
            raise CallError(
                f"The tree's path for '{label}' is {path!r}; it must list the names of its nodes, in order."
            )
    return [tuple(map(str, paths[str(label)])) for label in labels]


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


def _checked_path(label: str, path: Any) -> tuple[str, ...]:
    if not isinstance(path, list) or not path or path[-1] != label or not all(isinstance(node, str) for node in path):
        raise BadData(
            f"The tree of labels has {path!r} as the path of '{label}'; a path is a list that ends in its label."
        )
    return tuple(path)
