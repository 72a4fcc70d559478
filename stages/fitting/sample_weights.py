"""How much each document counts in training: a column of a table, by the documents' ids."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.benchmarks import BENCHMARKS
from data.errors import BadData, CallError
from data.readers import read_column
from featurestore import CorpusTable

__all__ = ["read_sample_weights"]


def read_sample_weights(
    table: CorpusTable, column: str, source: str | None = None, id_column: str | None = None
) -> dict[str, float]:
    """Id -> the number in `column` of `source`, at least 0; 2 is having the document twice, 0 not having it.

    source: a table that is read as `embed` reads one; None is the file that the corpus came from. id_column: where its
    ids stand; where None it is guessed and else the rows are numbered, as `embed` does.

    Raises BadData for an id of the corpus that `source` lacks and a cell that is no such number, CallError for a corpus
    that came from no file, and what reading raises.
    """
    path = source or table.source
    if path in BENCHMARKS or Path(path).is_dir():
        what = "benchmark" if path in BENCHMARKS else "folder"
        raise CallError(f"{path} is a {what} and has no column of weights. Name a file with --weight-from.")
    cells = read_column(path, column, id_column)
    weights = {document: _number(cell, document, column, path) for document, cell in cells.items()}
    missing = [each for each in table.ids if each not in weights]
    if missing:
        raise BadData(
            f"{path} has no weight for {len(missing):,} of {len(table.ids):,} documents of '{table.name}' (the first "
            f"is '{missing[0]}'). Add them, or name the column of the ids with --weight-id."
        )
    return weights


def align_weights(weights: Mapping[str, float] | None, ids: tuple[str, ...]) -> NDArray[np.float64] | None:
    """float64 (documents,), the weights of `ids`, or None where there are none."""
    return None if weights is None else np.array([weights[each] for each in ids], dtype=np.float64)


def _number(cell: str | None, document: str, column: str, path: str) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise BadData(f"{path}: '{column}' of document '{document}' is '{cell or ''}'. Write a number, at least 0.")
    return value
