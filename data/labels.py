"""Labels from the cells of a label column: single labels, multi-label sets or paths."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from data.documents import Kind, Labels
from data.errors import BadData, CallError
from data.packed import CategoricalColumn
from data.source_spec import SourceSpec
from data.taxonomy import Taxonomy, is_path


class ParsedLabels(NamedTuple):
    """The labels of each document, in the order of rows, and their kind."""

    labels: Sequence[Labels]
    kind: Kind = "single"
    taxonomy: Taxonomy | None = None
    notes: tuple[str, ...] = ()


def parse_labels(cells: Iterable[Any], spec: SourceSpec, locate: Callable[[int], str]) -> ParsedLabels:
    """Parse the cells of a label column and determine the kind of labels; spaces around a label are removed.

    Labels are multi-label if a cell is a list, holds a list as JSON, or `spec.separator` is given. They are paths if
    `spec.path_separator` is given, or if every label has a "/" within it.

    Args:
        cells: Text, numbers, lists, or None.
        spec: The separators.
        locate: Returns the location of a row, for errors.

    Raises:
        BadData: A cell is not a label, or a path has an empty level.
        CallError: Both separators are given.
    """
    if spec.separator and spec.path_separator:
        raise CallError("--separator and --path-separator exclude each other: a path is one label per document.")
    list_rows: list[int] = []
    labels = CategoricalColumn(_labels_of_rows(cells, spec.separator, locate, list_rows))
    first_list = list_rows[0] if list_rows else None
    if spec.path_separator:
        return _parse_paths(labels, spec.path_separator, first_list, locate)
    if first_list is not None:
        return ParsedLabels(labels, "multilabel")
    names = {label for document in labels for label in document or ()}
    if spec.path_separator is None and names and all("/" in name and is_path(name, "/") for name in names):
        note = "labels are read as paths, a level at each '/' (guessed; --path-separator \"\" reads them as they are)"
        return ParsedLabels(labels, "path", Taxonomy.from_separator(names, "/"), (note,))
    return ParsedLabels(labels)


def cell_text(cell: Any, row: int, locate: Callable[[int], str]) -> str | None:
    """Return a cell as text without spaces around it, or None if it is blank.

    Raises BadData for a list, an object or bytes.
    """
    if isinstance(cell, str):
        return cell.strip() or None
    if cell is None or cell != cell:  # NaN marks a missing value in a column of numbers
        return None
    if isinstance(cell, list | dict | bytes):
        raise BadData(f"{locate(row)}: expected one value, got a {type(cell).__name__} ({str(cell)[:40]}).")
    if isinstance(cell, bool):
        return str(cell).lower()
    # many programs write a column of whole numbers with gaps as 3.0
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _labels_of_rows(
    cells: Iterable[Any], separator: str | None, locate: Callable[[int], str], list_rows: list[int]
) -> Iterator[Labels]:
    """Yield the labels of each cell; the first row that holds a list of them is appended to `list_rows`."""
    for row, cell in enumerate(cells):
        items = _parse_list(cell, separator, row, locate)
        if items is not None and not list_rows:
            list_rows.append(row)
        words = (cell_text(item, row, locate) for item in ([cell] if items is None else items))
        labels = tuple(dict.fromkeys(word for word in words if word))
        yield labels if labels or (isinstance(items, list) and cell != "") else None


def _parse_list(cell: Any, separator: str | None, row: int, locate: Callable[[int], str]) -> list[Any] | None:
    """Return the items of a cell that holds a list of labels, else None."""
    if not isinstance(cell, str):
        return cell if isinstance(cell, list) else None
    if cell[:1] == "[" and cell[-1:] == "]":
        try:
            return list(json.loads(cell))
        except (ValueError, RecursionError) as error:
            if cell[1] in "\"'":
                raise BadData(f'{locate(row)}: {cell[:40]} is not a list in JSON. Write ["one", "two"].') from error
    return cell.split(separator) if separator else None


def _parse_paths(
    labels: Sequence[Labels], separator: str, first_list: int | None, locate: Callable[[int], str]
) -> ParsedLabels:
    if first_list is not None:
        raise BadData(f"{locate(first_list)}: expected one path, got a list of labels.")
    for row, document in enumerate(labels):
        for label in document or ():
            if not is_path(label, separator):
                raise BadData(f"{locate(row)}: label '{label}' has an empty level next to a '{separator}'.")
    names = (label for document in labels for label in document or ())
    return ParsedLabels(labels, "path", Taxonomy.from_separator(names, separator))
