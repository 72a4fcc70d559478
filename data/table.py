"""A table as every reader of tables returns it."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.errors import ColumnMissing, suggest_name
from data.packed import PackedStrings, RowNumbers

# the cells of a file's columns that stay in memory; a column beyond that is read from the file at each use
CACHED_BYTES = 2**28
CACHED_BYTES_PER_ROW = 32

_MISSING = object()


class ColumnCache:
    """The columns of a file that are kept in memory; another one is read from the file again at each use.

    columns: the cells of each kept column, with their `nbytes`. is_kept: whether a column is still kept.
    """

    def __init__(self, columns: Mapping[str, Any] | None = None) -> None:
        self.columns = dict(columns or {})
        self._dropped: set[str] = set()

    def is_kept(self, name: str) -> bool:
        """Whether the cells of a column are in memory, or are to be kept there."""
        return name not in self._dropped

    def drop(self, *names: str) -> None:
        """Remove columns from memory, and do not keep them again."""
        self._dropped.update(names)
        for name in names:
            self.columns.pop(name, None)

    def sizes(self) -> Counter[str]:
        """The bytes of each column in memory."""
        return Counter({name: cells.nbytes for name, cells in self.columns.items()})


def cached_bytes(caches: Sequence[ColumnCache]) -> int:
    """The bytes that columns take in memory."""
    return sum(cache.sizes().total() for cache in caches)


def most_cached_bytes(rows: int) -> int:
    """The bytes that columns may take in memory, by the number of their rows."""
    return CACHED_BYTES + CACHED_BYTES_PER_ROW * rows


def limit_caches(caches: Sequence[ColumnCache], rows: int) -> None:
    """Drop the largest columns, each from all caches, until those that stay fit. rows: of all caches together."""
    sizes: Counter[str] = Counter()
    for cache in caches:
        sizes.update(cache.sizes())
    while sizes.total() > most_cached_bytes(rows):
        name = max(sizes, key=sizes.__getitem__)
        del sizes[name]
        for cache in caches:
            cache.drop(name)


@dataclass(frozen=True)
class Table:
    """Rows under named columns, before any column has a role.

    read: maps a column's name to its cell in each row, as the file has it (text, number, list, object or None).
    lines: the line of the file at which each row starts; None if a file has no lines, such as Parquet.
    splits: the split of each row if the names of files say it (data/readers/split_files.py), else None.
    unit: what `lines` numbers: "line", or "row" of a sheet.
    caches: of the files that cells are read from again, so that texts need not stay in memory; () if there are none.
    """

    source: str
    names: tuple[str, ...]
    rows: int
    read: Callable[[str], Iterable[Any]]
    lines: Sequence[int] | None = None
    notes: tuple[str, ...] = ()
    splits: Sequence[str] | None = None
    unit: str = "line"
    caches: tuple[ColumnCache, ...] = ()

    @property
    def row_ids(self) -> Sequence[str]:
        """The ids of rows that have none: their numbers, in each split if the names of files say the split."""
        return RowNumbers(self.rows) if self.splits is None else PackedStrings(_numbers_in_splits(self.splits))

    def release(self) -> None:
        """Remove all cached columns from memory, once everything but the texts has been read."""
        for cache in self.caches:
            cache.drop(*cache.columns)
        if isinstance(self.lines, array):
            del self.lines[:]

    def has_column(self, name: str) -> bool:
        """Whether there is a column of this name, or one that may hold the object of a nested field ("meta.label")."""
        return name in self.names or self._parent(name) is not None

    def cells(self, name: str) -> Iterable[Any]:
        """The cell of a column in each row, or the field "label" within the objects of column "meta" for "meta.label".

        The field of a list of objects is a list. Raises ColumnMissing, once all rows are read, if no object has it.
        """
        parent = self._parent(name)
        return self.read(name) if parent is None else self._nested_cells(parent, name[len(parent) + 1 :])

    def _parent(self, name: str) -> str | None:
        """The longest column name before a "." in `name`; None if `name` is a column itself."""
        parents = [column for column in self.names if name.startswith(f"{column}.")]
        return max(parents, key=len) if parents and name not in self.names else None

    def _nested_cells(self, column: str, field: str) -> Iterator[Any]:
        known: dict[str, None] = {}
        is_found = False
        for cell in self.read(column):
            value = _field(cell, field)
            is_found = is_found or value is not _MISSING
            if not is_found:
                known |= dict.fromkeys(_field_names(cell))
            yield None if value is _MISSING else value
        if not is_found:
            raise ColumnMissing(
                f"{self.source}: no object in column '{column}' has the field '{field}'.{suggest_name(field, known)}"
            )

    def location(self, row: int) -> str:
        """The file and the row, for the start of an error: "letters.csv line 12"."""
        return f"{self.source} {self.row_name(row)}"

    def row_name(self, row: int) -> str:
        """The row as a user finds it: "line 12", or "row 11" counted from 1."""
        return f"row {row + 1}" if not self.lines else f"{self.unit} {self.lines[row]}"


def _numbers_in_splits(splits: Sequence[str]) -> Iterator[str]:
    """Yield "train-1", "train-2", "test-1" and so on: the ids of the test split do not depend on the training split."""
    numbers: Counter[str] = Counter()
    for split in splits:
        numbers[split] += 1
        yield f"{split}-{numbers[split]}"


def _field(cell: Any, field: str) -> Any:
    if isinstance(cell, list):
        values = [value for item in cell if (value := _field(item, field)) is not _MISSING]
        return values if values or not cell else _MISSING
    if not isinstance(cell, dict):
        return _MISSING
    if field in cell:
        return cell[field]
    for name in cell:
        if field.startswith(f"{name}.") and (value := _field(cell[name], field[len(name) + 1 :])) is not _MISSING:
            return value
    return _MISSING


def _field_names(cell: Any) -> Iterable[str]:
    first = cell[0] if isinstance(cell, list) and cell else cell
    return map(str, first) if isinstance(first, dict) else ()
