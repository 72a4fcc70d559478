"""Sample weights: how much each document counts in training, read from a column of a table by document id."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.benchmarks import BENCHMARKS
from data.errors import BadData, CallError
from data.readers import read_column
from data.source_spec import SourceSpec
from featurestore import CorpusTable

__all__ = ["align_weights", "read_sample_weights"]


def read_sample_weights(
    table: CorpusTable, column: str, source: str | None = None, id_column: str | None = None
) -> dict[str, float]:
    """Read one weight per document: 2 counts as having the document twice, 0 as not having it.

    Args:
        table: the corpus whose documents get weights.
        column: the column of the weights, numbers of at least 0.
        source: a table that `embed` could read, as far as possible read as the corpus was; None for the file of the
            corpus.
        id_column: the column of the document ids; None for that of the corpus.

    Returns:
        Document id -> weight.

    Raises:
        BadData: for a document of the corpus that `source` lacks, and for a cell that is not such a number.
        CallError: for a corpus that was not read from a file.
        EmbedOnceError: what reading the table raises.
    """
    path = source or table.source
    if path in BENCHMARKS or (Path(path).is_dir() and not table.spec.text):
        kind = "benchmark" if path in BENCHMARKS else "folder"
        raise CallError(f"{path} is a {kind} and has no column of weights. Name a file with --weight-from.")
    known = table.spec if source is None else table.spec.for_values(path, table.source)
    cells = read_column(path, column, SourceSpec(id=id_column), known)
    weights = {document: _parse_weight(cell, document, column, path) for document, cell in cells.items()}
    missing = [document for document in table.ids if document not in weights]
    if missing:
        raise BadData(
            f"{path} has no weight for {len(missing):,} of {len(table.ids):,} documents of '{table.name}' (the first "
            f"is '{missing[0]}'). Add them, or name the column of the ids with --weight-id."
        )
    return weights


def align_weights(weights: Mapping[str, float] | None, ids: tuple[str, ...]) -> NDArray[np.float64] | None:
    """The weights of `ids` in their order, float64 (documents,); None if there are no weights."""
    return None if weights is None else np.array([weights[document] for document in ids], dtype=np.float64)


def _parse_weight(cell: str | None, document: str, column: str, path: str) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise BadData(
            f"{path}: '{column}' of document '{document}' is '{cell or ''}'. Write a number that is at least 0."
        )
    return value
