"""Parquet, read by pyarrow, an optional dependency; only the columns that are used are loaded."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from data.readers.arrow import explain_arrow_errors, require_pyarrow, table_of_arrow
from data.readers.files import InputFile, report_unreadable
from data.table import Table

_BATCH_BYTES, _BATCH_ROWS = 2**25, 2**16  # of a column that are decoded at a time, about


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
            rows_per_batch = min(max(_BATCH_BYTES * rows // max(size, 1), 1), _BATCH_ROWS)
            yield from (batch.column(0) for batch in parquet.iter_batches(rows_per_batch, columns=[name]))

    return table_of_arrow(file.source, schema, rows, batches)
