"""The tree above labels: which node each label hangs under."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from data.errors import BadData, CallError, UnknownName, suggest_name


@dataclass(frozen=True)
class Taxonomy:
    """A tree of labels, kept as each label's path.

    paths: label -> the nodes from below the root to the label itself,
        "rec/sport/hockey" -> ("rec", "rec/sport", "rec/sport/hockey"). A label may be a node on another's path.
    """

    paths: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_separator(cls, labels: Iterable[str], separator: str) -> Self:
        """A level at each separator. Raises BadData for a label with an empty step, such as "rec//hockey"."""
        return cls({label: _prefixes(label, separator) for label in sorted(set(labels))})

    @classmethod
    def two_level(cls, labels: Iterable[str], separator: str) -> Self:
        """Labels under what stands before their first separator: "rec.sport.hockey" -> ("rec", "rec.sport.hockey")."""
        return cls({label: tuple(dict.fromkeys((label.split(separator)[0], label))) for label in sorted(set(labels))})

    def to_json(self) -> dict[str, list[str]]:
        """Label -> its path, as JSON has it."""
        return {label: list(path) for label, path in self.paths.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Sequence[str]]) -> Self:
        """What `to_json` gave. Raises BadData where paths do not end in their label or contradict each other."""
        paths = {label: _checked_path(label, path) for label, path in content.items()}
        parents: dict[str, str | None] = {}
        for path in paths.values():
            for parent, node in zip((None, *path), path, strict=False):
                if parents.setdefault(node, parent) != parent:
                    raise BadData(f"The tree of labels has '{node}' under both '{parents[node]}' and '{parent}'.")
        return cls(paths)


def resolve_label_paths(tree: Mapping[Any, Sequence[str]], labels: Sequence[Any]) -> list[tuple[str, ...]]:
    """The path of each of `labels`, in their order; a label that is a number is found by its name.

    Raises UnknownName for a label without a path, CallError for a path that is no sequence of names.
    """
    found = {str(label): path for label, path in tree.items()}
    for label in labels:
        path = found.get(str(label))
        if path is None:
            raise UnknownName(f"The tree has no path for '{label}'.{suggest_name(str(label), found)}")
        if isinstance(path, str) or not path:
            raise CallError(f"The tree's path for '{label}' is {path!r}; it is the names of its nodes, in order.")
    return [tuple(map(str, found[str(label)])) for label in labels]


def is_path(label: str, separator: str) -> bool:
    """Whether something stands before, between and after the separators, if any, of a label."""
    return all(step.strip() for step in label.split(separator))


def _prefixes(label: str, separator: str) -> tuple[str, ...]:
    steps = label.split(separator)
    if not is_path(label, separator):
        raise BadData(
            f"Label '{label}' has an empty step between two '{separator}'. Write a path as rec{separator}sport."
        )
    return tuple(separator.join(steps[: depth + 1]) for depth in range(len(steps)))


def _checked_path(label: str, path: Any) -> tuple[str, ...]:
    if not isinstance(path, list) or not path or path[-1] != label or not all(isinstance(node, str) for node in path):
        raise BadData(
            f"The tree of labels has {path!r} as the path of '{label}'; a path is a list that ends in its label."
        )
    return tuple(path)
