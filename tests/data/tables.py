"""Tables written by the standard modules, not by anything of ours: what every reader of tables is held against."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def _write_cells(path: Path, rows: Rows, delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)


def _write_lines(path: Path, rows: Rows) -> None:
    path.write_bytes("".join(json.dumps(row) + "\n" for row in rows).encode())


def _write_array(path: Path, rows: Rows) -> None:
    path.write_text("[" + ",\n".join(json.dumps(row) for row in rows) + "]\n", encoding="utf-8")


def arrow_table(rows: Rows) -> Any:
    import pyarrow

    return pyarrow.table({name: [row[name] for row in rows] for name in rows[0]})


def _write_parquet(path: Path, rows: Rows) -> None:
    from pyarrow import parquet

    parquet.write_table(arrow_table(rows), path)


def write_arrow(path: Path, rows: Rows, *, stream: bool = False) -> None:
    import pyarrow

    table = arrow_table(rows)
    opener = pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file
    with opener(str(path), table.schema) as writer:
        writer.write_table(table)


def write_excel(path: Path, rows: Sequence[Sequence[Any]], *more_sheets: str) -> None:
    from openpyxl import Workbook

    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("Letters")
    for row in rows:
        sheet.append(list(row))
    for name in more_sheets:
        workbook.create_sheet(name)
    workbook.save(path)


WRITERS: Mapping[str, Callable[[Path, Rows], None]] = {
    "csv": lambda path, rows: _write_cells(path, rows, ","),
    "tsv": lambda path, rows: _write_cells(path, rows, "\t"),
    "jsonl": _write_lines,
    "ndjson": _write_lines,
    "json": _write_array,
    "parquet": _write_parquet,
    "arrow": write_arrow,
}


def write(folder: Path, ending: str, rows: Rows, name: str = "letters") -> str:
    """Write rows as a file of that ending and give its name, as a user would write it."""
    path = folder / f"{name}.{ending}"
    WRITERS[ending](path, rows)
    return str(path)
