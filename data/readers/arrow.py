"""Parquet, Arrow files and Hugging Face datasets on disk, read by pyarrow, an optional dependency.

Only the columns that are used are read.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from data.errors import BadData, ExtraMissing
from data.readers.class_names import features_of_metadata, name_classes
from data.readers.files import InputFile, report_position, report_unreadable
from data.splitting.train_test_split import parse_split_name
from data.table import ColumnCache, Table

_STATE, _SPLITS = "state.json", "dataset_dict.json"  # what `save_to_disk` of the library datasets writes
_BATCH_ROWS = 1000  # of Arrow that become Python objects at a time
_PARQUET_BYTES, _PARQUET_ROWS = 2**25, 2**16  # of a column of Parquet that are decoded at a time, about


def read_parquet(file: InputFile) -> Table:
    """Read a Parquet file. Raises ExtraMissing without pyarrow, BadData for a file that cannot be used."""
    require_pyarrow()
    from pyarrow.parquet import ParquetFile

    def open_file() -> Any:
        """Open the file, which is closed again after each use: a corpus may have thousands of them."""
        with explain_arrow_errors(f"{file.source} is not a Parquet file that can be read"):
            return ParquetFile(content)

    # pyarrow would explain an inaccessible file less clearly
    with report_unreadable(file.source), file.open() as stream:
        content = BytesIO(stream.read()) if file.path is None else file.path
    with open_file() as parquet:
        schema, metadata = parquet.schema_arrow, parquet.metadata
    rows = metadata.num_rows
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))

    def batches(name: str) -> Iterator[Any]:
        with open_file() as parquet:
            rows_per_batch = min(max(_PARQUET_BYTES * rows // max(size, 1), 1), _PARQUET_ROWS)
            done = 0
            for batch in parquet.iter_batches(rows_per_batch, columns=[name]):
                yield batch.column(0)
                done += batch.num_rows
                if file.path is not None:
                    report_position(file.path, file.path.stat().st_size * done // rows)

    return table_of_arrow(file.source, schema, rows, batches)


def read_arrow(file: InputFile) -> Table:
    """Read an Arrow file or stream. Raises ExtraMissing without pyarrow, BadData for a file that cannot be used."""
    require_pyarrow()
    return _table(file.source, _load(file))


def is_dataset_folder(path: Path) -> bool:
    """Whether a folder was written by `save_to_disk` of Hugging Face's library datasets."""
    return (path / _STATE).is_file() or (path / _SPLITS).is_file()


def read_dataset_folder(path: Path, source: str) -> Table:
    """Read a dataset on disk, or one per split: the names of their folders are then the splits.

    Raises as `read_arrow`; also BadData if the folder does not hold what it says.
    """
    require_pyarrow()
    import pyarrow

    if not (path / _SPLITS).is_file():
        return _table(source, _load_dataset(path, source))
    names = [Path(name).name for name in _read_list(path / _SPLITS, "splits", source)]
    parts = {name: _load_dataset(path / name, source) for name in names}
    with explain_arrow_errors(f"{source}: its splits do not fit together"):
        table = _table(source, pyarrow.concat_tables(parts.values(), promote_options="default"))
    splits = [parse_split_name(name) or name for name, part in parts.items() for _ in range(part.num_rows)]
    return replace(table, splits=splits)


def table_of_arrow(source: str, schema: Any, rows: int, batches: Callable[[str], Iterable[Any]]) -> Table:
    """Make a table of Arrow columns; class numbers of a Hugging Face dataset are read as their names.

    Args:
        source: The file's name in messages.
        schema: The `pyarrow.Schema`, with its metadata.
        rows: The number of rows.
        batches: Reads a column by its name, as Arrow arrays.

    Raises BadData if there are no rows.
    """
    from pyarrow.types import is_map

    if not rows:
        raise BadData(f"{source} has no rows.")

    def cells(name: str) -> Iterator[Any]:
        with explain_arrow_errors(f"{source}: column '{name}' cannot be read"):
            for batch in batches(name):
                yield from batch.to_pylist() if not is_map(batch.type) else map(_object_of_map, batch.to_pylist())

    with explain_arrow_errors(f"{source}: its columns cannot be read"):
        names, features = tuple(schema.names), features_of_metadata(schema.metadata)

    def read(name: str) -> Iterable[Any]:
        return name_classes(cells(name), features, name, source)

    return Table(source, names, rows, read, caches=(ColumnCache(),))


def _object_of_map(pairs: list[tuple[Any, Any]] | None) -> dict[Any, Any] | None:
    return None if pairs is None else dict(pairs)


def require_pyarrow() -> None:
    """Raise ExtraMissing if pyarrow is missing."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ExtraMissing(
            'Parquet and Arrow are read by pyarrow, which is missing: pip install "embedonce[parquet]".'
        ) from error


@contextmanager
def explain_arrow_errors(problem: str) -> Iterator[None]:
    """Raise BadData, which starts with `problem`, in place of an error of pyarrow within the block."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadData(f"{problem} ({str(error).partition(chr(10))[0].rstrip('.')}).") from error


def _table(source: str, content: Any) -> Table:
    def batches(name: str) -> Iterator[Any]:
        column = content.column(content.column_names.index(name))
        column.validate(full=True)  # a damaged file could otherwise end the process
        for chunk in column.chunks:
            yield from (chunk.slice(start, _BATCH_ROWS) for start in range(0, len(chunk), _BATCH_ROWS))

    return table_of_arrow(source, content.schema, content.num_rows, batches)


def _load(file: InputFile) -> Any:
    """The content of an Arrow file or stream as a `pyarrow.Table`, mapped into memory if the file is not compressed."""
    import pyarrow

    with report_unreadable(file.source), file.open() as stream:
        content = stream.read() if file.path is None else b""
    with explain_arrow_errors(f"{file.source} is not an Arrow file that can be read"):
        mapped = pyarrow.BufferReader(content) if file.path is None else pyarrow.memory_map(str(file.path))
        is_stream = mapped.read(6) != b"ARROW1"
        mapped.seek(0)
        return (pyarrow.ipc.open_stream if is_stream else pyarrow.ipc.open_file)(mapped).read_all()


def _load_dataset(folder: Path, source: str) -> Any:
    """The table of a folder that holds a state and the Arrow files that it names."""
    import pyarrow

    files = [Path(item["filename"]).name for item in _read_list(folder / _STATE, "_data_files", source)]
    parts = [_load(InputFile.plain(folder / name, f"{source}: {folder.name}/{name}")) for name in files]
    with explain_arrow_errors(f"{source}: its files do not fit together"):
        return pyarrow.concat_tables(parts)


def _read_list(path: Path, key: str, source: str) -> list[Any]:
    try:
        with report_unreadable(source):
            return list(json.loads(path.read_text(encoding="utf-8"))[key])
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{source}: {path.name} has no list '{key}'. Save the dataset again.") from error
