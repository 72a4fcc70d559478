"""Names of classes that a Hugging Face dataset keeps as numbers: its features, in a schema's metadata or in memory."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from data.errors import BadData

Convert = Callable[[Any], Any]


def features_of_metadata(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    """The features that `datasets` writes into the metadata of an Arrow schema, by column; empty if it has none."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def name_classes(cells: Iterable[Any], features: Mapping[str, Any], column: str, source: str) -> Iterable[Any]:
    """Replace class numbers by their names: one number, a list of them, or such a field of an object.

    Args:
        cells: The cells of the column.
        features: The features of the table, as `datasets.Features.to_dict` returns them.
        column: The name of the column.
        source: The table, for errors.

    Returns:
        The cells; a missing label, which `datasets` writes as -1, is None.

    Raises:
        BadData: While iterating, for a number without a name.
    """
    convert = _converter(features.get(column))
    return cells if convert is None else _convert_cells(cells, convert, column, source)


def _convert_cells(cells: Iterable[Any], convert: Convert, column: str, source: str) -> Iterator[Any]:
    for row, cell in enumerate(cells, start=1):
        try:
            yield convert(cell)
        except IndexError as error:
            raise BadData(f"{source} row {row}: column '{column}' holds {cell}, a class that has no name.") from error


def _converter(feature: Any) -> Convert | None:
    """The function that replaces the class numbers of a feature; None if it has none."""
    if isinstance(feature, list):
        return _convert_items(_converter(feature[0])) if feature else None
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") == "ClassLabel":
        names = feature.get("names")
        return _convert_number(names) if names else None
    if "_type" in feature:
        return _convert_items(_converter(feature.get("feature")))
    return _convert_fields({name: convert for name, field in feature.items() if (convert := _converter(field))})


def _convert_number(names: Sequence[str]) -> Convert:
    def convert(number: Any) -> Any:
        if number is None or number == -1:
            return None
        if not 0 <= number < len(names):
            raise IndexError(number)
        return names[number]

    return convert


def _convert_items(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda items: [convert(item) for item in items] if isinstance(items, list) else items


def _convert_fields(converts: Mapping[str, Convert]) -> Convert | None:
    def convert(cell: Any) -> Any:
        return cell | {name: field(cell[name]) for name, field in converts.items() if name in cell} if cell else cell

    return convert if converts else None
