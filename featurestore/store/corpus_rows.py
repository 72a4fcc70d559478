"""The rows of a corpus table as CSV, which a user may edit: read and written in blocks.

Beyond some hundred thousand rows, columns are packed: one Python object per cell would take ten times the memory.
"""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO

from data.documents import Kind, Labels
from data.errors import StoreDamaged
from data.packed import CategoricalBuilder, PackedStrings
from featurestore.shards.keys import KeyList, pack_keys

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = ["id", "key", "split", "group", "label"]
NAMES = ("ids", "keys", "splits", "groups", "labels")  # of the same columns in a CorpusTable
LARGE_ROWS = 200_000  # from which on columns are packed, and the table is kept as Parquet, too
SURROGATES = "surrogatepass"  # ids may contain half of a surrogate pair
_MOST_CACHED = 100_000  # different cells of labels
_BLOCK_ROWS = 64  # read or written at a time; the garbage collector would go through larger blocks


class PackedColumns:
    """The columns of a large table, which grow block by block."""

    def __init__(self) -> None:
        self._ids, self._keys = PackedStrings(), bytearray()
        self._others = [CategoricalBuilder[Any]() for _ in NAMES[2:]]

    def extend(self, ids: Iterable[str], keys: Sequence[str], *others: Iterable[Any]) -> None:
        """Append rows. others: their splits, groups and labels."""
        self._ids.extend(ids)
        self._keys += pack_keys(keys).tobytes()
        for column, values in zip(self._others, others, strict=True):
            column.extend(values)

    def columns(self) -> dict[str, Any]:
        """The columns by their name in a CorpusTable."""
        others = (column.column() for column in self._others)
        return dict(zip(NAMES, (self._ids, KeyList.from_bytes(self._keys), *others), strict=True))


def encode_rows(columns: Sequence[Iterable[Any]], kind: Kind) -> Iterator[bytes]:
    """Yield the table in blocks of rows: for a million documents it is as large as their texts.

    Args:
        columns: ids, keys, splits, groups and labels.
        kind: The kind of labels.
    """
    lines = chain([COLUMNS], iter_cells(columns, kind))
    while block := list(islice(lines, _BLOCK_ROWS)):
        yield _encode_block(block).encode(errors=SURROGATES)


def iter_cells(columns: Sequence[Iterable[Any]], kind: Kind) -> Iterator[Sequence[str]]:
    """Yield the cells of each row, as texts; arguments as for `encode_rows`."""
    ids, keys, splits, groups, labels = columns
    cells = map(lru_cache(_MOST_CACHED)(partial(_cell, kind=kind)), labels)
    optional = ((value or "" for value in values) for values in (splits, groups))
    return zip(ids, keys, *optional, cells, strict=True)


def _encode_block(rows: Sequence[Sequence[str]]) -> str:
    """The rows as `csv.writer` writes them, which takes four times as long if no cell needs quotes."""
    joined = "".join([",".join(row) + "\r\n" for row in rows])
    expected = {'"': 0, ",": (len(COLUMNS) - 1) * len(rows), "\r": len(rows), "\n": len(rows)}
    if all(joined.count(sign) == count for sign, count in expected.items()):
        return joined
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)  # with the line ends \r\n it also quotes a lone \r
    return text.getvalue()


def _cell(labels: Labels, kind: Kind) -> str:
    if labels is None:
        return ""
    return json.dumps(labels, ensure_ascii=False) if kind == "multilabel" else "".join(labels)


def parse_table(path: str, open_table: Callable[[], BinaryIO], kind: Kind) -> dict[str, Any]:
    """Parse the rows; if one is damaged, once more and one by one, to name its line.

    Args:
        path: The table in messages.
        open_table: Opens it.
        kind: The kind of labels.

    Returns:
        The columns by their name in a CorpusTable, packed if there are more than LARGE_ROWS.

    Raises:
        StoreDamaged: A row is damaged.
    """
    for block_rows in (_BLOCK_ROWS, 1):
        with open_table() as content:
            # a spreadsheet leaves a byte-order mark
            text = io.TextIOWrapper(content, encoding="utf-8-sig", errors=SURROGATES, newline="")
            rows = csv.reader(text)
            try:
                return _parse_rows(rows, kind, block_rows)
            except (ValueError, csv.Error, RecursionError) as error:
                problem = error
    raise StoreDamaged(
        f"{path}, line {max(rows.line_num, 1)}: {problem}. Correct it, or run `embedonce embed` again."
    ) from problem


def _parse_rows(rows: "Reader", kind: Kind, block_rows: int) -> dict[str, Any]:
    if (header := next(rows, [])) != COLUMNS:
        raise ValueError(f"the columns are {', '.join(header)}, not {', '.join(COLUMNS)}")
    columns: dict[str, list[Any]] = {name: [] for name in NAMES}
    ids, keys, splits, groups, labels = columns.values()
    parse = lru_cache(_MOST_CACHED)(partial(parse_labels, kind))  # equal labels share one tuple
    while block := list(islice(rows, block_rows)):
        _check_rows(block)
        columns_of_block = zip(*block, strict=True)
        ids += next(columns_of_block)
        keys += next(columns_of_block)
        splits += [sys.intern(split) if split else None for split in next(columns_of_block)]
        groups += [sys.intern(group) if group else None for group in next(columns_of_block)]
        labels += map(parse, next(columns_of_block))
        if len(ids) > LARGE_ROWS:
            return _parse_packed(columns, rows, parse, block_rows)
    return columns


def _parse_packed(
    first: dict[str, list[Any]], rows: "Reader", parse: Callable[[str], Labels], block_rows: int
) -> dict[str, Any]:
    """The columns of the first rows and of those that follow."""
    packed = PackedColumns()
    packed.extend(*(first.pop(name) for name in NAMES))
    while block := list(islice(rows, block_rows)):
        _check_rows(block)
        ids, keys, splits, groups, labels = zip(*block, strict=True)
        packed.extend(
            ids, keys, *([value or None for value in values] for values in (splits, groups)), map(parse, labels)
        )
    return packed.columns()


def _check_rows(rows: Sequence[list[str]]) -> None:
    if set(map(len, rows)) != {len(COLUMNS)} or not _are_keys([row[1] for row in rows]):
        wrong = next(row for row in rows if len(row) != len(COLUMNS) or not _are_keys(row[1:2]))
        raise ValueError(_describe_error(wrong))


def _are_keys(cells: Sequence[str]) -> bool:
    others = "".join(cells).encode(errors=SURROGATES).translate(None, b"0123456789abcdef")
    return set(map(len, cells)) == {64} and not others


def _describe_error(row: list[str]) -> str:
    if len(row) != len(COLUMNS):
        return f"{len(row)} cells, but {len(COLUMNS)} are expected"
    return f"'{row[1]}' is not a key of 64 hex digits"


def parse_labels(kind: Kind, cell: str) -> Labels:
    """The labels of a document. Raises ValueError if a multi-label cell is not a JSON list of texts."""
    return None if not cell else _parse_multilabel(cell) if kind == "multilabel" else (cell,)


def _parse_multilabel(cell: str) -> tuple[str, ...]:
    labels = json.loads(cell)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"'{cell}' is not a JSON list of labels")
    return tuple(labels)
