"""Labels from the cells of a label column: single labels, multi-label sets or paths."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from data.documents import Kind, Labels
from data.errors import BadData
from data.label_cells import CellLabels, canonical_label, is_in_brackets, parse_cell, plain_text, unwrap_single
from data.label_notes import label_notes, near_path_notes, respelling_notes
from data.packed import CategoricalColumn
from data.source_spec import SourceSpec
from data.taxonomy import Taxonomy, is_path, strip_levels
from data.text_format import plural

Locate = Callable[[int], str]
_REMEMBERED = 2**14  # texts of cells, which repeat
_FLAGS = {"1": True, "true": True, "0": False, "false": False, "-1": None, None: None}


class ParsedLabels(NamedTuple):
    """The labels of each document, in the order of rows, and their kind."""

    labels: Sequence[Labels]
    kind: Kind = "single"
    taxonomy: Taxonomy | None = None
    notes: tuple[str, ...] = ()


def parse_labels(
    cells: Iterable[Any], spec: SourceSpec, locate: Locate, known_kind: Kind | None = None
) -> ParsedLabels:
    """Parse the cells of a label column and determine the kind of labels; spaces around a label are removed.

    Labels are multi-label if a cell is a list or an object of scores, in any notation of `data.label_cells`, or if
    `spec.separator` is given. They are paths if `spec.path_separator` is given, or if every label has a "/" within it;
    with lists, a document may have several paths.

    Args:
        cells: Text, numbers, lists, objects of scores, or None.
        spec: The separators, and the names of labels that are numbers.
        locate: Returns the location of a row, for errors.
        known_kind: The kind of the labels that these join, which decides what their notation leaves open: no paths are
            guessed among single labels, and a label in no list is a list of one among multi-label ones.

    Raises:
        BadData: A cell is not a label, a list has 0 or 1 for each label and the labels have no names, a single list is
            among labels that are no lists, or a path has an empty level.
    """
    notation = _Notation(spec.separator)
    column = CategoricalColumn(_parse_cells(cells, notation, locate))
    is_multilabel = known_kind == "multilabel"
    if notation.has_lists or is_multilabel:
        column = column.map(notation.unwrap)
    rows = _Rows(column, locate)
    several = bool(rows.lists or spec.separator or is_multilabel)
    notes = tuple(_mixture_notes(rows)) if several and not (spec.separator or is_multilabel) else ()
    if spec.path_separator:
        parsed = _parse_paths(rows, spec.path_separator, several=several)._replace(notes=notes)
    elif several:
        labels = column.map(_NumbersAsNames(rows, spec.label_names) if spec.label_names else _checked_list(rows))
        parsed = ParsedLabels(labels, "multilabel", notes=notes)
    elif spec.label_names:
        parsed = ParsedLabels(column.map(_NumbersAsNames(rows, spec.label_names)))
    else:
        parsed = _guess_paths(rows, spec, known_kind)
    return _with_notes(parsed, () if spec.label_names else respelling_notes(notation.respelled))


def parse_label_columns(columns: Mapping[str, Iterable[Any]], locate: Locate) -> ParsedLabels:
    """Parse columns of 0 and 1 (or true and false), one per label: a document has the labels of the columns with 1.

    A document is unlabeled if all of its cells are blank or -1.

    Args:
        columns: The cells of each column by its name, which is the label.
        locate: Returns the location of a row, for errors.

    Raises:
        BadData: A cell is not 0, 1, true, false, -1 or blank.
    """
    flags = CategoricalColumn(zip(*(_parse_flags(name, cells, locate) for name, cells in columns.items()), strict=True))
    labels = flags.map(lambda row: None if set(row) == {None} else tuple(_selected(columns, row)))
    partial_rows = flags.count_if(lambda row: None in row and set(row) != {None})
    note = f"blank label cells next to 0 or 1 are read as 0 in {plural(partial_rows, 'document')}"
    return _with_notes(ParsedLabels(labels, "multilabel"), (note,) if partial_rows else ())


def cell_text(cell: Any, row: int, locate: Locate) -> str | None:
    """Return a cell as text without spaces around it, or None if it is blank.

    Raises BadData for a list, an object or bytes.
    """
    if isinstance(cell, str):  # as nearly every cell; the same as in `plain_text`
        return cell.strip() or None
    try:
        return plain_text(cell)
    except ValueError as error:
        raise BadData(f"{locate(row)}: {error}") from error


class _Rows(NamedTuple):
    """The parsed cells of a column, and where they are."""

    column: CategoricalColumn[CellLabels]
    locate: Locate

    @property
    def lists(self) -> list[tuple[str, ...] | bytes]:
        """The distinct lists, in the order of their first rows."""
        return [value for value in self.column.categories if isinstance(value, tuple | bytes)]

    @property
    def words(self) -> list[str]:
        """The distinct labels that are in no list, in the order of their first rows."""
        return [value for value in self.column.categories if isinstance(value, str)]

    def location(self, value: CellLabels) -> str:
        """The location of the first row with a value."""
        return self.locate(self.column.index(value))


@dataclass
class _Notation:
    """How the cells of a column are written, as far as they have been parsed.

    has_lists: whether a cell is a list other than words between separators. respelled: labels that are written in
    another form than read, as they are written.
    """

    separator: str | None
    has_lists: bool = False
    respelled: dict[str, str] = field(default_factory=dict)

    def parse(self, cell: Any) -> CellLabels:
        """Parse a cell as `parse_cell`."""
        labels = parse_cell(cell, self.separator)
        if isinstance(labels, tuple | bytes):
            self.has_lists |= not self.separator or not isinstance(cell, str) or is_in_brackets(cell, self.separator)
        elif isinstance(labels, str) and isinstance(cell, str) and labels != cell.strip():
            self.respelled[cell.strip()] = labels
        return labels

    def unwrap(self, value: CellLabels) -> CellLabels:
        """The label in "[label]", which is a list as others are."""
        word = value[0] if self.separator and isinstance(value, tuple) and len(value) == 1 else value
        return (unwrap_single(word) if isinstance(word, str) else None) or value


def _parse_cells(cells: Iterable[Any], notation: _Notation, locate: Locate) -> Iterator[CellLabels]:
    parse_text = lru_cache(_REMEMBERED)(notation.parse)
    for row, cell in enumerate(cells):
        try:
            yield parse_text(cell) if isinstance(cell, str) else notation.parse(cell)
        except ValueError as error:
            raise BadData(f"{locate(row)}: {error}") from error


def _checked_list(rows: _Rows) -> Callable[[CellLabels], Labels]:
    """The function from a parsed cell to its labels. Raises BadData if lists hold one number per label."""
    if _are_flags(rows):
        numbers = [value for value in rows.lists if isinstance(value, bytes) and value]
        flags = next((value for value in numbers if len(set(value)) < len(value)), numbers[0])
        raise BadData(
            f"{rows.location(flags)}: {list(flags)} looks like one 0 or 1 per label. Name the labels in their order "
            "with --label-names one,two,three."
        )
    return _labels_of


def _are_flags(rows: _Rows) -> bool:
    """Whether lists of 0 and 1 have one number per label: a list of labels would not repeat one.

    Two labels may also be both of [0, 1]; that lists of these alone are labels is refused, as it cannot be known.
    """
    lists = [value for value in rows.lists if value]
    numbers = [value for value in lists if isinstance(value, bytes)]
    return any(len(set(value)) < len(value) for value in numbers) or (
        len(numbers) == len(lists) > 0 and all(len(value) == 2 for value in numbers)
    )


def _labels_of(value: CellLabels) -> Labels:
    if isinstance(value, bytes):
        return tuple(str(number) for number in dict.fromkeys(value))
    return (value,) if isinstance(value, str) else value


class _NumbersAsNames:
    """A function from a parsed cell to the names of its labels; the cell has their numbers, or 0 or 1 for each."""

    def __init__(self, rows: _Rows, names: Sequence[str]) -> None:
        self._rows, self._names = rows, names
        lists = [value for value in rows.lists if value]
        fits = bool(lists) and all(isinstance(value, bytes) and len(value) == len(names) for value in lists)
        self._has_flags = fits or _are_flags(rows)

    def __call__(self, value: CellLabels) -> Labels:
        if value is None or value == "-1":  # how datasets write that a label is missing
            return None
        labels = _labels_of(value) or ()
        if not self._has_flags or isinstance(value, str) or all(self._is_name(label) for label in labels):
            return tuple(self._name(label, value) for label in labels)
        if len(value) != len(self._names) or not isinstance(value, bytes):
            shown = list(value)
            raise BadData(
                f"{self._rows.location(value)}: expected {len(self._names)} numbers 0 or 1, one for each of "
                f"--label-names, got {shown if len(shown) <= 10 else plural(len(shown), 'item')}."
            )
        return tuple(_selected(self._names, value))

    def _is_name(self, label: str) -> bool:
        """Whether a label is written by its name, as in a file that a person has corrected."""
        return label in self._names and not label.isdecimal()

    def _name(self, number: str, value: CellLabels) -> str:
        if self._is_name(number):
            return number
        if not number.isdecimal() or int(number) >= len(self._names):
            raise BadData(
                f"{self._rows.location(value)}: label '{number}' is no number from 0 to {len(self._names) - 1}, the "
                "positions in --label-names."
            )
        return self._names[int(number)]


def _selected(names: Iterable[str], flags: Iterable[Any]) -> Iterator[str]:
    return (name for name, flag in zip(names, flags, strict=True) if flag)


def _parse_flags(name: str, cells: Iterable[Any], locate: Locate) -> Iterator[bool | None]:
    for row, cell in enumerate(cells):
        text = cell_text(cell, row, locate)
        word = None if text is None else canonical_label(text)
        if word not in _FLAGS:
            raise BadData(
                f"{locate(row)}: column '{name}' holds '{str(text)[:40]}'. Each of several columns "
                "in --label holds 0 and 1 for the label that it is named for."
            )
        yield _FLAGS[word]


def _mixture_notes(rows: _Rows) -> Iterator[str]:
    """Report labels that are in no list, next to lists. Raises BadData if every list holds at most one label."""
    lists, words = rows.lists, rows.words
    if not lists or not words:
        return
    where, singles = rows.location(lists[0]), rows.column.count_if(lambda value: isinstance(value, str))
    if all(len(value) < 2 for value in lists):
        raise BadData(
            f"{where}: a list of labels is among labels that are no lists, such as '{words[0]}'. Write either all of "
            'them as lists or none; --separator "" reads the text of each cell as one label.'
        )
    verb = "is" if singles == 1 else "are"
    yield f"labels are multi-label because of lists (the first: {where}); {plural(singles, 'label')} {verb} in no list"


def _guess_paths(rows: _Rows, spec: SourceSpec, known_kind: Kind | None) -> ParsedLabels:
    labels = rows.column.map(_labels_of)
    if spec.path_separator is not None or known_kind == "single" or not rows.words:
        return ParsedLabels(labels)
    others = [word for word in rows.words if not ("/" in word and is_path(word, "/"))]
    if others:
        return ParsedLabels(labels, notes=tuple(near_path_notes(rows.words, others)))
    note = "labels are read as paths, a level at each '/' (guessed; --path-separator \"\" reads them as they are)"
    return _parse_paths(rows, "/", several=False)._replace(notes=(note,))


def _parse_paths(rows: _Rows, separator: str, *, several: bool) -> ParsedLabels:
    for value in rows.column.categories:
        for label in _labels_of(value) or ():
            if not is_path(label, separator):
                raise BadData(f"{rows.location(value)}: label '{label}' has an empty level next to a '{separator}'.")
    labels = rows.column.map(lambda value: _strip_paths(_labels_of(value), separator))
    names = {label for document in labels.categories for label in document or ()}
    return ParsedLabels(labels, "multilabel" if several else "path", Taxonomy.from_separator(names, separator))


def _strip_paths(labels: Labels, separator: str) -> Labels:
    return None if labels is None else tuple(dict.fromkeys(strip_levels(label, separator) for label in labels))


def _with_notes(parsed: ParsedLabels, notes: Iterable[str]) -> ParsedLabels:
    """Add notes on the notation, and on labels that may be mistakes."""
    distinct = parsed.labels.categories if isinstance(parsed.labels, CategoricalColumn) else parsed.labels
    names = {label for document in distinct for label in document or ()}
    return parsed._replace(notes=(*parsed.notes, *notes, *label_notes(names)))
