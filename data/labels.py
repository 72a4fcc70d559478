"""Cells of a label column read as labels: one, several or a path."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from data.documents import Kind
from data.errors import BadData, CallError
from data.packed import CategoricalColumn
from data.table import Columns
from data.taxonomy import Taxonomy, is_path


class ParsedLabels(NamedTuple):
    """The labels of each document in the order of rows, and of what kind they are."""

    labels: Sequence[tuple[str, ...]]
    kind: Kind = "single"
    taxonomy: Taxonomy | None = None
    notes: tuple[str, ...] = ()


def parse_labels(cells: Iterable[Any], columns: Columns, at: Callable[[int], str]) -> ParsedLabels:
    """Labels of cells: text, numbers, lists, or None. `at` says where a row is.

    A list, a cell that holds one as JSON, or `columns.separator` makes them several; a
    `columns.path_separator`, or a "/" within every label, makes them paths. Spaces around a label are no part of it.
    Raises BadData for a cell that is no label and for a path with an empty step, CallError for both separators.
    """
    if columns.separator and columns.path_separator:
        raise CallError("--separator and --path-separator exclude each other: a path is one label a document.")
    lists: list[int] = []
    of_each = CategoricalColumn(_each(cells, columns.separator, at, lists))
    first_list = lists[0] if lists else None
    if columns.path_separator:
        return _paths(of_each, columns.path_separator, first_list, at)
    if first_list is not None:
        return ParsedLabels(of_each, "multilabel")
    names = {label for labels in of_each for label in labels}
    if columns.path_separator is None and names and all("/" in label and is_path(label, "/") for label in names):
        note = "labels are read as paths, a level at each '/' (guessed; --path-separator \"\" reads them as they are)"
        return ParsedLabels(of_each, "path", Taxonomy.from_separator(names, "/"), (note,))
    return ParsedLabels(of_each)


def _each(
    cells: Iterable[Any], separator: str | None, at: Callable[[int], str], lists: list[int]
) -> Iterator[tuple[str, ...]]:
    """The labels of each cell; the first row that holds a list of them is put into `lists`."""
    for row, cell in enumerate(cells):
        parts = _listed(cell, separator, row, at)
        if parts is not None and not lists:
            lists.append(row)
        yield _words([cell] if parts is None else parts, row, at)


def cell_text(cell: Any, row: int, at: Callable[[int], str]) -> str | None:
    """A cell as a word without spaces around it, or None where it is blank.

    Raises BadData for what is no word: a list, an object, bytes.
    """
    if isinstance(cell, str):
        return cell.strip() or None
    if cell is None or cell != cell:  # NaN is how a table of numbers says nothing
        return None
    if isinstance(cell, list | dict | bytes):
        raise BadData(f"{at(row)}: a {type(cell).__name__} stands where one word belongs ({str(cell)[:40]}).")
    if isinstance(cell, bool):
        return str(cell).lower()
    # a column of whole numbers with gaps comes as 3.0 from many a program
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _words(parts: Sequence[Any], row: int, at: Callable[[int], str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for part in parts if (word := cell_text(part, row, at))))


def _listed(cell: Any, separator: str | None, row: int, at: Callable[[int], str]) -> list[Any] | None:
    """The labels of a cell that holds a list of them, else None."""
    if not isinstance(cell, str):
        return cell if isinstance(cell, list) else None
    if cell[:1] == "[" and cell[-1:] == "]":
        try:
            return list(json.loads(cell))
        except (ValueError, RecursionError) as error:
            if cell[1] in "\"'":
                raise BadData(f'{at(row)}: {cell[:40]} is not a list in JSON. Write ["one", "two"].') from error
    return cell.split(separator) if separator else None


def _paths(
    of_each: Sequence[tuple[str, ...]], separator: str, first_list: int | None, at: Callable[[int], str]
) -> ParsedLabels:
    if first_list is not None:
        raise BadData(f"{at(first_list)}: a list of labels stands where one path belongs.")
    for row, labels in enumerate(of_each):
        for label in labels:
            if not is_path(label, separator):
                raise BadData(f"{at(row)}: label '{label}' has an empty step beside a '{separator}'.")
    return ParsedLabels(
        of_each, "path", Taxonomy.from_separator((label for labels in of_each for label in labels), separator)
    )
