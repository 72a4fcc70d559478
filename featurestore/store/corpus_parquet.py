"""The table of a large corpus as Parquet, next to its CSV: a tenth of the time to read, and a third of the size.

corpora/NAME.parquet holds the rows of corpora/NAME.csv, and the sha256 of that file. It is read in its place only if
the CSV still has this hash, so a user may edit the CSV, and a writer that dies leaves a table that counts. Its pages
have checksums; what cannot be read is read from the CSV. Without pyarrow, there is only the CSV.
"""

import io
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from itertools import islice
from typing import Any

from data.documents import Kind
from featurestore.shards.keys import KeyList
from featurestore.storage.storage import Storage
from featurestore.store.corpus_rows import COLUMNS, LARGE_ROWS, PackedColumns, iter_cells, parse_labels

_FORMAT = b"1"
_BLOCK_ROWS = 2**16


class _Sink(io.RawIOBase):
    """A file that keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def take(self) -> bytes:
        """What was written since the last call."""
        content = b"".join(self._pieces)
        self._pieces.clear()
        return content


def write(folder: Storage, corpus: str, columns: Sequence[Sequence[Any]], kind: Kind, csv_hash: str) -> None:
    """Write the table of a large corpus, and remove that of a small one; nothing is done without pyarrow.

    Args:
        folder: The folder of the corpora.
        corpus: The name of the corpus.
        columns: Ids, keys, splits, groups and labels.
        kind: The kind of labels.
        csv_hash: The sha256 of the CSV with the same rows.

    Raises:
        StorageFailed: The disk is full, or refuses to write.
    """
    name = f"{corpus}.parquet"
    before = folder.state(name)
    if len(columns[0]) > LARGE_ROWS and find_spec("pyarrow"):
        try:
            folder.replace(name, _encode(columns, kind, csv_hash), before)
        except UnicodeEncodeError:  # half of a character in an id, which only the CSV can hold
            return
    elif before is not None:
        folder.remove(name)


def load(folder: Storage, corpus: str, kind: Kind, csv_hash: str) -> dict[str, Any] | None:
    """The columns, packed, by their name in a CorpusTable; None if the CSV has to be read.

    That is so if there is no Parquet, if it was made from another CSV, if it is damaged, and without pyarrow.
    """
    if folder.state(f"{corpus}.parquet") is None or not find_spec("pyarrow"):
        return None
    from pyarrow import ArrowException, PythonFile
    from pyarrow.parquet import ParquetFile

    try:
        with folder.open(f"{corpus}.parquet") as file:
            content = file if file.seekable() else io.BytesIO(file.read())
            with ParquetFile(PythonFile(content), page_checksum_verification=True) as parquet:
                metadata = parquet.schema_arrow.metadata or {}
                is_current = metadata.get(b"csv_sha256") == csv_hash.encode() and metadata.get(b"format") == _FORMAT
                return _decode(parquet, kind) if is_current else None
    except (OSError, ValueError, LookupError, TypeError, ArrowException):
        return None


def _encode(columns: Sequence[Sequence[Any]], kind: Kind, csv_hash: str) -> Iterator[bytes]:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    types = [pyarrow.binary(32) if name == "key" else pyarrow.string() for name in COLUMNS]
    schema = pyarrow.schema(zip(COLUMNS, types, strict=True), {"csv_sha256": csv_hash, "format": _FORMAT})
    sink, rows = _Sink(), iter_cells(columns, kind)
    with ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True) as writer:
        while block := list(islice(rows, _BLOCK_ROWS)):
            ids, keys, *others = zip(*block, strict=True)
            cells = [ids, list(map(bytes.fromhex, keys)), *others]
            writer.write_table(pyarrow.table(list(map(pyarrow.array, cells, types)), schema=schema))
            yield sink.take()
    yield sink.take()


def _decode(parquet: Any, kind: Kind) -> dict[str, Any]:
    packed = PackedColumns()
    parse = lru_cache(_BLOCK_ROWS)(partial(parse_labels, kind))
    for batch in parquet.iter_batches(columns=COLUMNS):
        ids, keys, splits, groups, labels = (column.to_pylist() for column in batch.columns)
        optional = ([value or None for value in values] for values in (splits, groups))
        packed.extend(ids, KeyList.from_bytes(b"".join(keys)), *optional, map(parse, labels))
    return packed.columns()
