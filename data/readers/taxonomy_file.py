"""The file of a taxonomy: a table of edges (child, parent), or a JSON object from each node to its parents."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from data.errors import BadData, CallError, FileMissing
from data.label_cells import canonical_label, plain_text
from data.readers.files import InputFile, open_text
from data.readers.inputs import find_input
from data.readers.tables import TABLE_READERS, exists
from data.source_spec import SourceSpec
from data.taxonomy import Taxonomy
from data.text_format import join_names, plural, restore

__all__ = ["TaxonomyFile", "is_taxonomy_file", "read_taxonomy", "taxonomy_of_mapping"]

IN_MEMORY = "the taxonomy"
# lower case, of a header; any other name of a column that has a neighbor with one of these is no header's
_CHILDREN = ("child", "children", "child_id", "node", "label", "name", "id", "category", "class", "topic", "term")
_PARENTS = ("parent", "parents", "parent_id", "parent_name", "parent_label", "above", "broader", "superclass")
_MOST_NODES = 5  # in a note
_MOST_HEADER = 1_000  # characters of a header with two names
_FORM = "Write a column child and a column parent, which is blank for a node at the top."


@dataclass(frozen=True)
class TaxonomyFile:
    """A taxonomy, what it was read from, and sentences on how it was read."""

    source: str
    taxonomy: Taxonomy
    notes: tuple[str, ...] = ()


class _Edge(NamedTuple):
    """A node and one of its parents, None for a node at the top; `place` is where the file says so."""

    child: str
    parent: str | None
    place: str


def read_taxonomy(source: str) -> TaxonomyFile:
    """Read a taxonomy from a file with one edge per row, or with a JSON object.

    A table has a column of nodes and one of their parents, blank for a node at the top. A header names them, in any
    order; without one, the first column is the child. A JSON object maps each node to its parent, or to a list of them.
    A parent that is no child is a node at the top.

    Raises:
        FileMissing: There is no such file.
        CallError: It cannot be read, or its format is unknown.
        BadData: It has no edges, an edge without a child, a node both at the top and below another, or a cycle.
    """
    if not exists(Path(source).expanduser()):
        raise FileMissing(f"{source} does not exist. Name the file of the taxonomy, a table with a row per edge.")
    file = find_input(source)
    if file.suffix not in TABLE_READERS:
        raise CallError(f"{source} has an unknown format. Name a {', '.join(TABLE_READERS)} file with a row per edge.")
    content = _read_object(file) if file.suffix == ".json" else None
    if content is not None:
        return _of_edges(file.source, list(_edges_of_object(file.source, content)))
    edges, notes = _read_edges(file)
    return _of_edges(file.source, edges, notes)


def is_taxonomy_file(source: str) -> bool:
    """Whether a file is no corpus: a JSON object, or CSV with two columns whose header says child and parent."""
    path = Path(source).expanduser()
    if path.suffix.lower() not in (".csv", ".tsv", ".json") or not path.is_file():
        return False
    file = find_input(source)
    if file.suffix == ".json":
        return _read_object(file) is not None
    with open_text(file, "\n") as text:
        line = text.readline(_MOST_HEADER)
    headers = [next(csv.reader([line.strip()], delimiter=sign), []) for sign in ",;\t|"]
    return any(len(header) == 2 and _find_columns(header) is not None for header in headers)


def taxonomy_of_mapping(parents: Mapping[str, Any]) -> TaxonomyFile:
    """The taxonomy of a mapping from each node to its parent, or to a list of them. Raises as `read_taxonomy`."""
    return _of_edges(IN_MEMORY, list(_edges_of_object(IN_MEMORY, parents.items())))


def _read_object(file: InputFile) -> list[tuple[str, Any]] | None:
    """The members of a JSON object, None for JSON of another form."""
    with open_text(file, "\n") as text:
        try:
            content = json.loads(text.read() or "{}", object_pairs_hook=_Members)
        except (ValueError, RecursionError):
            return None  # perhaps JSON lines, whose reader explains what is wrong
    return list(content) if isinstance(content, _Members) and not _is_row(content) else None


class _Members(list[tuple[str, Any]]):
    """The members of an object in their order, a repeated name included."""


def _is_row(members: _Members) -> bool:
    """Whether an object is one edge: {"child": "hockey", "parent": "sport"}."""
    names = {name.lower() for name, _ in members}
    return len(names) == 2 and not names.isdisjoint(_CHILDREN) and not names.isdisjoint(_PARENTS)


def _edges_of_object(source: str, members: Iterable[tuple[Any, Any]]) -> Iterator[_Edge]:
    for child, value in members:
        place = f"the parents of '{child}'"
        if isinstance(value, _Members | Mapping):
            raise BadData(f"{source}: {place} are an object; write one name, or a list of names.")
        yield from _edges_of_row(source, place, child, list(value) if isinstance(value, tuple) else value)


def _read_edges(file: InputFile) -> tuple[list[_Edge], list[str]]:
    """The edges of a table, and notes on it."""
    may_lack_header = file.suffix in (".csv", ".tsv", ".xlsx")
    table = TABLE_READERS[file.suffix](file, SourceSpec(header="none" if may_lack_header else None))
    rows = [[*row] for row in zip(*(table.cells(name) for name in table.names), strict=True)]
    header = [str(cell or "") for cell in rows[0]] if may_lack_header else list(table.names)
    columns, notes = _find_columns(header), list(table.notes)
    first = 1 if may_lack_header and columns is not None else 0
    if columns is None:
        if not may_lack_header or len(header) != 2:
            names = f"columns {join_names(header)}" if len(header) > 1 else f"column '{header[0]}'"
            raise BadData(
                f"{file.source} has the {names}, of which none is known as the child and one as its parent. {_FORM}"
            )
        columns = (0, 1)
        notes.append(f"{file.source} has no header: its first column is read as the child, the second as the parent")
    child, parent = columns
    pairs = ((_node(row[child], file), _node(row[parent], file)) for row in rows[first:])
    return [
        edge
        for number, pair in enumerate(pairs, start=first)
        for edge in _edges_of_row(file.source, table.row_name(number), *pair)
    ], notes


def _node(cell: Any, file: InputFile) -> Any:
    """The name that `embedonce taxonomy --output` wrote as this cell."""
    return restore(cell) if isinstance(cell, str) and file.suffix in (".csv", ".tsv") else cell


def _find_columns(header: list[str]) -> tuple[int, int] | None:
    """The columns of the child and of the parent by a header; None if the cells are no header."""
    names = [name.strip().lower().replace(" ", "_") for name in header]
    parents = [column for column, name in enumerate(names) if name in _PARENTS]
    children = [column for column, name in enumerate(names) if name in _CHILDREN]
    exact = [column for column in children if names[column] == _CHILDREN[0]]
    children = exact if len(exact) == 1 else children
    if len(parents) == 1 and len(names) == 2:
        return 1 - parents[0], parents[0]
    return (children[0], parents[0]) if len(parents) == len(children) == 1 else None


def _edges_of_row(source: str, place: str, child: Any, parents: Any) -> Iterator[_Edge]:
    """The edges of a node to each of its parents."""
    try:
        name = _name(child)
        names = [_name(each) for each in parents] if isinstance(parents, list) else [_name(parents)]
    except ValueError as error:
        raise BadData(f"{source} {place}: {error}") from error
    if name is None and any(names):
        raise BadData(f"{source} {place}: '{next(filter(None, names))}' has no child in its row. {_FORM}")
    above = list(filter(None, names))
    if name is not None and not above:
        yield _Edge(name, None, place)
    elif name is not None:
        yield from (_Edge(name, parent, place) for parent in above)


def _name(cell: Any) -> str | None:
    """A node's name in the form in which labels are read, "1" for "1.0"."""
    text = plain_text(cell)
    return canonical_label(text) if text else None


def _of_edges(source: str, edges: list[_Edge], notes: Iterable[str] = ()) -> TaxonomyFile:
    if not edges:
        raise BadData(f"{source} has no edges. {_FORM}")
    place_of: dict[tuple[str, str | None], str] = {}
    repeated, parents = list[_Edge](), defaultdict[str, list[str]](list)
    for edge in edges:
        if edge[:2] in place_of:
            repeated.append(edge)
            continue
        place_of[edge[:2]] = edge.place
        if edge.parent is not None:
            parents[edge.child].append(edge.parent)
    for child, parent in place_of:
        if parent is None and parents[child]:
            raise BadData(
                f"{source}: '{child}' is at the top ({place_of[child, None]}) and below '{parents[child][0]}' "
                f"({place_of[child, parents[child][0]]}). Remove one of the two."
            )
    try:
        taxonomy = Taxonomy.from_parents({child: parents[child] for child, _ in place_of})
    except BadData as error:
        raise BadData(f"{source}: {error}") from error
    return TaxonomyFile(source, taxonomy, (*notes, *_notes(source, place_of, repeated)))


def _notes(source: str, place_of: Mapping[tuple[str, str | None], str], repeated: list[_Edge]) -> Iterator[str]:
    """Report edges that occur again, and parents without a row next to nodes at the top that have one."""
    if repeated:
        first, verb = repeated[0], "counts" if len(repeated) == 1 else "count"
        name = f"'{first.child}' below '{first.parent}'" if first.parent else f"'{first.child}' at the top"
        yield f"{source}: {plural(len(repeated), 'repeated edge')} {verb} once (the first: {name}, {first.place})"
    children = {child for child, _ in place_of}
    implied = list(dict.fromkeys(parent for _, parent in place_of if parent is not None and parent not in children))
    if implied and any(parent is None for _, parent in place_of):
        verb = "has no row and is a node" if len(implied) == 1 else "have no rows and are nodes"
        yield f"{source}: {plural(len(implied), 'parent')} {verb} at the top ({join_names(implied, _MOST_NODES)})"
