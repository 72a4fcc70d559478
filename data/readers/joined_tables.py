"""Several tables as one: the files of a corpus, with or without a split of their own."""

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from pathlib import PurePath
from typing import Any

from data.errors import ColumnMissing
from data.packed import CategoricalColumn, FileRowNumbers
from data.readers.inputs import COMPRESSED
from data.splits import Split
from data.table import Table, cached_bytes, limit_caches, most_cached_bytes


@dataclass(frozen=True)
class JoinedTable(Table):
    """The rows of several tables, in their order. `splits` has the split of each row if each table has one."""

    parts: tuple[Table, ...] = ()

    @property
    def row_ids(self) -> Sequence[str]:
        """The file and the number of the row in it, so that ids do not depend on other files; "train-1" for splits."""
        if self.splits is not None:
            return super().row_ids
        return FileRowNumbers(_distinct_names([part.source for part in self.parts]), [part.rows for part in self.parts])

    def release(self) -> None:
        """Remove the cached columns of all tables."""
        for part in self.parts:
            part.release()

    def location(self, row: int) -> str:
        """The file and the row in it."""
        part, row_of_part = self._find(row)
        return part.location(row_of_part)

    def row_name(self, row: int) -> str:
        """The file and the row in it: the rows of several files have the same numbers."""
        return self.location(row)

    def _find(self, row: int) -> tuple[Table, int]:
        starts = [0, *accumulate(part.rows for part in self.parts)]
        part = bisect_right(starts, row) - 1
        return self.parts[part], row - starts[part]


def join_tables(source: str, splits: Sequence[Split], tables: Iterable[Table]) -> JoinedTable:
    """Join tables of splits into one with the columns of the first, each of which is read from every table.

    Args:
        source: The corpus, for messages.
        splits: One per table.
        tables: At least one.
    """
    parts = _read_parts(tables)
    names = CategoricalColumn(
        chain.from_iterable(repeat(split.value, part.rows) for split, part in zip(splits, parts, strict=True))
    )
    return _join(source, parts, parts[0].names, names)


def join_files(source: str, tables: Iterable[Table]) -> JoinedTable:
    """Join the tables of files into one with the columns of all, each of which is read from every file.

    Args:
        source: The corpus, for messages.
        tables: At least one.
    """
    parts = _read_parts(tables)
    return _join(source, parts, tuple(dict.fromkeys(chain.from_iterable(part.names for part in parts))), None)


def _read_parts(tables: Iterable[Table]) -> list[Table]:
    """The tables, of which only as much is kept in memory as `limit_caches` lets them."""
    parts, rows, size = list[Table](), 0, 0
    for table in tables:
        parts.append(table)
        rows, size = rows + table.rows, size + cached_bytes(table.caches)
        if size > most_cached_bytes(rows):
            caches = _all_caches(parts)
            limit_caches(caches, rows)
            size = cached_bytes(caches)
    return parts


def _join(source: str, parts: Sequence[Table], names: tuple[str, ...], splits: Sequence[str] | None) -> JoinedTable:
    def cells(name: str) -> Iterator[Any]:
        for part in parts:
            if not part.has_column(name):
                owner = next(other.source for other in parts if other.has_column(name))
                raise ColumnMissing(
                    f"{part.source} has no column '{name}', which {owner} has. Every file of a corpus needs the same "
                    "columns; embed a file without labels by itself, or label it with `embedonce predict`."
                )
        return (cell for part in parts for cell in part.cells(name))

    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    rows, caches = sum(part.rows for part in parts), _all_caches(parts)
    can_stream = all(part.caches for part in parts)
    return JoinedTable(
        source, names, rows, cells, notes=notes, splits=splits, caches=caches if can_stream else (), parts=tuple(parts)
    )


def _all_caches(parts: Sequence[Table]) -> tuple[Any, ...]:
    return tuple(cache for part in parts for cache in part.caches)


def _distinct_names(files: Sequence[str]) -> list[str]:
    """The shortest names that tell all files apart: without folders and endings, or with them."""
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])  # noqa: PTH100, PTH120
    paths = [PurePath(os.path.relpath(os.path.abspath(file), folder)).as_posix() for file in files]  # noqa: PTH100
    candidates = [[table_stem(PurePath(path).name) for path in paths], list(map(table_stem, paths)), paths]
    return next(names for names in candidates if len(set(names)) == len(names))


def table_stem(name: str) -> str:
    """The name of a table without its ending, also that of a compressed one: "a" of "a.csv.gz"."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - a name, not a path
    return os.path.splitext(stem)[0] if ending.lower() in COMPRESSED else stem  # noqa: PTH122
