"""Parquet, read by pyarrow, an optional dependency; only the columns that are used are loaded.

Class numbers of a Hugging Face dataset are read as their names.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import BadData, ExtraMissing
from data.readers.class_names import features_of_metadata, name_classes
from data.readers.files import report_unreadable
from data.table import Table


def read_parquet(path: Path, source: str) -> Table:
    """Read a Parquet file. Raises ExtraMissing without pyarrow, BadData for a file that cannot be used."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ExtraMissing('Parquet is read by pyarrow, which is missing: pip install "embedonce[parquet]".') from error
    with report_unreadable(source), path.open("rb"):  # pyarrow would explain an inaccessible file less clearly
        pass
    try:
        file = ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise BadData(f"{source} is not a Parquet file that can be read ({_first_line(error)}).") from error
    if not file.metadata.num_rows:
        raise BadData(f"{source} has no rows.")

    def cells(name: str) -> Iterator[Any]:
        try:
            for batch in file.iter_batches(columns=[name]):
                yield from batch.column(0).to_pylist()
        except (ArrowException, OSError, UnicodeDecodeError) as error:
            raise BadData(f"{source}: column '{name}' cannot be read ({_first_line(error)}).") from error

    features = features_of_metadata(file.schema_arrow.metadata)
    return Table(
        source,
        tuple(file.schema_arrow.names),
        file.metadata.num_rows,
        lambda name: name_classes(cells(name), features, name, source),
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
