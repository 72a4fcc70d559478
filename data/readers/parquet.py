"""Parquet, read by pyarrow, an optional dependency; only the columns that are used are loaded."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

from data.readers.arrow import explain_arrow_errors, require_pyarrow, table_of_arrow
from data.readers.files import InputFile, report_unreadable
from data.table import Table


def read_parquet(file: InputFile) -> Table:
    """Read a Parquet file. Raises ExtraMissing without pyarrow, BadData for a file that cannot be used."""
    require_pyarrow()
    from pyarrow.parquet import ParquetFile

    # pyarrow would explain an inaccessible file less clearly
    with report_unreadable(file.source), file.open() as stream:
        content = BytesIO(stream.read()) if file.path is None else file.path
    with explain_arrow_errors(f"{file.source} is not a Parquet file that can be read"):
        parquet = ParquetFile(content)

    def batches(name: str) -> Iterable[Any]:
        return (batch.column(0) for batch in parquet.iter_batches(columns=[name]))

    return table_of_arrow(file.source, parquet.schema_arrow, parquet.metadata.num_rows, batches)
