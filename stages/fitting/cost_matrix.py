"""A matrix of costs from a CSV file: what it costs to predict a label if another one is true."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, FileMissing, UnknownName, suggest_name

__all__ = ["CostMatrix"]


@dataclass(frozen=True)
class CostMatrix:
    """The cost of each pair of a true and a predicted label.

    source: where the costs are from, for errors. rows, columns: the true and the predicted labels, in any order.
    """

    source: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a CSV file: predicted labels in its first line, then a true label and its costs per line.

        Args:
            path: the file, UTF-8.

        Returns:
            The matrix.

        Raises:
            FileMissing: there is no such file.
            BadData: it is no table of numbers of at least 0.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise FileMissing(f"There is no file {path}. --costs needs a CSV file of costs.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise BadData(f"{path} cannot be read as UTF-8 text: {error}") from error
        reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
        lines = [(reader.line_num, row) for row in reader if row]
        if len(lines) < 2:
            raise BadData(f"{path} has no costs. Its first line has the predicted labels, each other line a true one.")
        columns = tuple(cell.strip() for cell in lines[0][1][1:])
        rows = tuple(row[0].strip() for _, row in lines[1:])
        for names in (columns, rows):
            if repeated := [name for name in names if names.count(name) > 1]:
                raise BadData(f"{path} has the label '{repeated[0]}' twice. Remove one of them.")
        values = [_read_costs(path, number, row, columns) for number, row in lines[1:]]
        return cls(str(path), rows, columns, tuple(values))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The matrix that `dataclasses.asdict` returned, as JSON."""
        values = tuple(map(tuple, content["values"]))
        return cls(content["source"], tuple(content["rows"]), tuple(content["columns"]), values)

    def of(self, labels: Sequence[str]) -> NDArray[np.float64]:
        """The costs, float64 (true labels, predicted labels), in the order of `labels`.

        Raises UnknownName for a name that is no label, and BadData for a label without a row or a column.
        """
        for names, line in ((self.rows, "row"), (self.columns, "column")):
            for name in names:
                if name not in labels:
                    raise UnknownName(
                        f"{self.source} has a {line} '{name}', which is no label.{suggest_name(name, labels)}"
                    )
            if missing := [label for label in labels if label not in names]:
                more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                raise BadData(f"{self.source} has no {line} for the label '{missing[0]}'{more}. Add one per label.")
        rows, columns = ([names.index(label) for label in labels] for names in (self.rows, self.columns))
        return np.array(self.values)[np.ix_(rows, columns)]

    def identity(self) -> dict[str, Any]:
        """What a hash depends on: the costs in the order of the names of the labels."""
        names = sorted(self.rows)
        return {"labels": names, "values": self.of(names).tolist()}


def _read_costs(path: Path, number: int, row: Sequence[str], columns: Sequence[str]) -> tuple[float, ...]:
    """The costs of a line. Raises BadData if it is not one number of at least 0 for each column."""
    if len(row) != len(columns) + 1:
        raise BadData(f"{path}, line {number} has {len(row)} cells, where the first line has {len(columns) + 1}.")
    return tuple(_read_cost(path, number, cells) for cells in zip(columns, row[1:], strict=True))


def _read_cost(path: Path, number: int, cells: Iterable[str]) -> float:
    column, cell = cells
    try:
        cost = float(cell)
    except ValueError:
        cost = math.nan
    if not 0 <= cost < math.inf:
        raise BadData(
            f"{path}, line {number}, column '{column}': '{cell.strip()}' is no cost. Use a number of at least 0."
        )
    return cost
