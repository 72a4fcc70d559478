"""A tree of labels as a head is handed it: each label's path, checked."""

from collections.abc import Mapping, Sequence
from typing import Any

from data.errors import CallError, UnknownName, nearest

__all__ = ["paths_of"]


def paths_of(tree: Mapping[Any, Sequence[str]], labels: Sequence[Any]) -> list[tuple[str, ...]]:
    """The path of each of `labels`, in their order; a label that is a number is found by its name.

    Raises UnknownName for a label without a path, CallError for a path that is no sequence of names.
    """
    found = {str(label): path for label, path in tree.items()}
    for label in labels:
        path = found.get(str(label))
        if path is None:
            raise UnknownName(f"The tree has no path for '{label}'.{nearest(str(label), found)}")
        if isinstance(path, str) or not path:
            raise CallError(f"The tree's path for '{label}' is {path!r}; it is the names of its nodes, in order.")
    return [tuple(map(str, found[str(label)])) for label in labels]
