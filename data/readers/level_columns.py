"""Labels from one column per level: a path of each document, which ends at its first blank cell."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from data.errors import BadData
from data.label_cells import canonical_label
from data.label_notes import label_notes
from data.labels import Locate, ParsedLabels, cell_text
from data.packed import CategoricalColumn
from data.taxonomy import Taxonomy

__all__ = ["parse_level_columns"]


def parse_level_columns(columns: Mapping[str, Iterable[object]], separator: str, locate: Locate) -> ParsedLabels:
    """Parse columns of levels, the top one first: the label of a document is the path of its cells.

    A document is unlabeled if all of its cells are blank.

    Args:
        columns: The cells of each level by the column's name.
        separator: What joins the levels in the name of a label.
        locate: Returns the location of a row, for errors.

    Raises:
        BadData: A cell is not a name, contains the separator, or follows a blank one.
    """
    cells = (_words(name, column, separator, locate) for name, column in columns.items())
    rows = CategoricalColumn(_paths([*columns], zip(*cells, strict=True), locate))
    labels = rows.map(lambda levels: (separator.join(levels),) if levels else None)
    names = {label for document in labels.categories for label in document or ()}
    taxonomy = Taxonomy.from_separator(names, separator)
    return ParsedLabels(labels, "path", taxonomy, tuple(label_notes(names)))


def _words(name: str, cells: Iterable[object], separator: str, locate: Locate) -> Iterator[str | None]:
    for row, cell in enumerate(cells):
        text = cell_text(cell, row, locate)
        if text is not None and separator in text:
            raise BadData(
                f"{locate(row)}: column '{name}' holds '{text[:40]}', and '{separator}' separates the levels in the "
                "name of a label. Name another separator with --path-separator, as in ' > '."
            )
        yield text and canonical_label(text)


def _paths(names: Sequence[str], rows: Iterable[tuple[str | None, ...]], locate: Locate) -> Iterator[tuple[str, ...]]:
    for row, words in enumerate(rows):
        depth = words.index(None) if None in words else len(words)
        below = next((level for level in range(depth, len(words)) if words[level] is not None), None)
        if below is not None:
            raise BadData(
                f"{locate(row)}: column '{names[depth]}' is blank and '{names[below]}', the level below it, holds "
                f"'{words[below]}'. Fill it: a path ends at its first blank level."
            )
        yield tuple(word for word in words[:depth] if word is not None)
