"""The predictions of a run, and their table predictions.csv: id, split, true label, predicted label, and probabilities.

If documents may be left undecided, the column `abstained` has the reason, and the predicted label is empty; label sets
are in the column `label_set`, and their sizes in `set_size`.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from data.target import Target, TargetKind
from data.text_format import neutralize_row, restore
from heads.evaluation.decisions.abstention import REASONS
from heads.evaluation.label_set_metrics import label_set_metrics
from heads.evaluation.metrics import Scorecard, scorecard
from heads.evaluation.score_matrix import row_blocks, scores_to_probabilities

if TYPE_CHECKING:
    from heads.evaluation.decisions import Decision

__all__ = [
    "CsvWriter",
    "Predictions",
    "ProbabilityColumns",
    "abstention_reason",
    "decision_columns",
    "format_labels",
    "predicted_codes",
    "probability_columns",
    "read_predictions",
    "score_predictions",
    "write_predictions",
]

ALL_LABELS = 20  # with more labels, a table has the most probable ones only: a cell per label would fill a disk
TOP_LABELS = 5
CALIBRATION_FOLD = "calibration_fold"


@dataclass(frozen=True)
class Predictions:
    """One row per document: those of the test split, then those of the training split, which are out-of-fold.

    truth, predicted: int64 (documents,) indices into the labels, or bool (documents, labels) for multi-label. With a
        taxonomy, a prediction may be the code of another node. A negative one is of a document that is left undecided.
    scores: float32 (documents, labels), bit for bit those that were decided on; memory-mapped if read from a run.
    decision: what decided; None for the probabilities of scores that are not calibrated.
    label_sets: bool (documents, labels); None if the decision has none.
    calibration_folds: the fold of each document in the calibration, -1 for one that had no part in it: int8
        (documents,). None if nothing was calibrated. Probabilities are cross-fitted by these folds.
    """

    ids: Sequence[str]
    splits: Sequence[str]
    truth: NDArray[Any]
    predicted: NDArray[Any]
    scores: NDArray[np.float32]
    decision: "Decision | None" = None
    label_sets: NDArray[np.bool_] | None = None
    calibration_folds: NDArray[np.int8] | None = None

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Calibrated probabilities of the scores, float32 (documents, labels)."""
        return self.probabilities_of(slice(None))

    def probabilities_of(self, rows: slice) -> NDArray[np.float32]:
        """As `probabilities`, of some documents."""
        if self.decision is not None:
            folds = None if self.calibration_folds is None else self.calibration_folds[rows]
            return self.decision.corpus_probabilities(self.scores[rows], folds)
        return scores_to_probabilities(self.scores[rows], multilabel=self.truth.ndim == 2)

    def of(self, split: str) -> Self:
        """The rows of one split; the scores are not copied."""
        count = self.splits.count(split)
        start = self.splits.index(split) if count else 0
        return self[start : start + count]

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Self:
        """Some rows; of a slice, the scores are not copied."""
        ids, splits = (
            column[rows] if isinstance(rows, slice) else [column[row] for row in rows.tolist()]
            for column in (self.ids, self.splits)
        )
        return type(self)(
            ids,
            splits,
            self.truth[rows],
            self.predicted[rows],
            self.scores[rows],
            self.decision,
            None if self.label_sets is None else self.label_sets[rows],
            None if self.calibration_folds is None else self.calibration_folds[rows],
        )


def score_predictions(predictions: Predictions, target: Target, seed: int) -> Scorecard:
    """Every metric of predictions, of label sets too. target: the labels of their documents. seed: of the resamples."""
    sets = predictions.label_sets
    card = scorecard(
        target.y,
        predictions.predicted,
        target.labels,
        seed,
        ordinal=target.is_ordinal,
        hierarchy=target.hierarchy,
        probabilities=predictions.probabilities,
    )
    return card if sets is None else replace(card, label_sets=label_set_metrics(sets, target.y, seed))


def probability_columns(labels: Sequence[str], others: Sequence[str]) -> list[str]:
    """The names of the columns of probabilities: the labels, or "probability:LABEL" if one is among the `others`."""
    prefix = "probability:" if set(labels) & set(others) else ""
    return [f"{prefix}{label}" for label in labels]


class _Line:
    """A file whose `write` returns the line without its end, which csv.writer passes on."""

    def write(self, line: str) -> str:
        return line.removesuffix("\r\n")


def csv_line(cells: Iterable[str]) -> str:
    """Cells as a line of CSV with minimal quotes, without its end; none of them is a formula for a spreadsheet."""
    line: str = _WRITE_ROW(neutralize_row(cells))
    return line


_WRITE_ROW: Callable[[Iterable[str]], Any] = csv.writer(_Line()).writerow


class CsvWriter:
    r"""Writes rows as CSV with the line ends "\n" and minimal quotes; no cell is a formula for a spreadsheet.

    csv.writer quotes a lone "\r" only if its own line ends have one, so its "\r\n" is replaced here.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rows = csv.writer(self)

    def writerow(self, cells: Iterable[str]) -> None:
        """Write one row."""
        self._rows.writerow(neutralize_row(cells))

    def write(self, row: str) -> None:
        """Called by csv.writer with each formatted row."""
        self._out.write(row.removesuffix("\r\n") + "\n")


@dataclass(frozen=True)
class ProbabilityColumns:
    """The columns of a table that hold probabilities: one per label, or two for each of the `top` most probable ones.

    labels: of the run. top: None for every label.
    """

    labels: Sequence[str]
    top: int | None = None

    @classmethod
    def choose(cls, labels: Sequence[str]) -> Self:
        """Every label, or the most probable ones if there are many labels."""
        return cls(labels, None if len(labels) <= ALL_LABELS else TOP_LABELS)

    def header(self, others: Sequence[str]) -> list[str]:
        """The names of the columns, next to the `others` of the table."""
        if self.top is None:
            return probability_columns(self.labels, others)
        ranks = range(1, min(self.top, len(self.labels)) + 1)
        return [name for rank in ranks for name in (f"label_{rank}", f"probability_{rank}")]

    def select(self, probabilities: NDArray[np.float32]) -> dict[str, float]:
        """Label -> probability of one document: in the order of the labels, or the most probable first."""
        columns = range(len(self.labels)) if self.top is None else _highest(probabilities, self.top)
        return {self.labels[column]: float(probabilities[column]) for column in columns}

    def cells(self, probabilities: NDArray[np.float32]) -> list[str]:
        """One document's cells; `probabilities` is float32 (labels,)."""
        if self.top is None:
            return [f"{value:.6g}" for value in probabilities.tolist()]
        return [cell for label, value in self.select(probabilities).items() for cell in (label, f"{value:.6g}")]

    def lines(self, probabilities: NDArray[np.float32]) -> list[str]:
        """The cells of documents as CSV, one line each without its end; `probabilities` is (documents, labels)."""
        if self.top is None:
            line = ",".join(["%.6g"] * len(self.labels))
            return [line % tuple(values) for values in probabilities.tolist()]
        return [csv_line(self.cells(values)) for values in probabilities]


def _highest(values: NDArray[np.float32], count: int) -> list[int]:
    """The columns of the highest values, the highest first; among equal values, in the order of the columns."""
    count = min(count, len(values))
    candidates = np.flatnonzero(values >= np.partition(values, -count)[-count])
    order = np.argsort(-values[candidates], kind="stable")
    return [int(column) for column in candidates[order][:count]]


def format_labels(row: Any, names: Sequence[str]) -> str:
    """One document's labels as in predictions.csv: a label, or a JSON list of labels for multi-label.

    row: a code, negative for a document that is left undecided, which has an empty cell; or bool (labels,).
    names: of the labels, and of the other nodes of a taxonomy.
    """
    if np.ndim(row) == 0:
        return names[int(row)] if row >= 0 else ""
    return json.dumps([names[column] for column in np.flatnonzero(row).tolist()], ensure_ascii=False)


def write_predictions(
    folder: Path, predictions: Predictions, labels: Sequence[str], names: Sequence[str] | None = None
) -> None:
    """Write the table into a folder.

    Args:
        folder: where to write.
        predictions: of documents.
        labels: the columns of the scores.
        names: of the codes of predictions: the labels, and the other nodes of a taxonomy. None for the labels alone.
    """
    columns = ProbabilityColumns.choose(labels)
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        others = ["id", "split", "truth", "prediction", *_stored_columns(predictions.decision)]
        file.write(csv_line([*others, *columns.header(others)]) + "\n")
        for rows in row_blocks(predictions.scores.shape):
            cells, lines = _cells(predictions[rows], labels, names or labels), predictions.probabilities_of(rows)
            for row, line in zip(cells, columns.lines(lines), strict=True):
                file.write(f"{csv_line(row)},{line}\n")


def decision_columns(decision: "Decision | None") -> list[str]:
    """The columns of a table that are there only for some decisions, in this order."""
    if decision is None:
        return []
    sets = decision.label_sets
    parts = {"abstained": decision.abstention, "label_set": sets, "set_size": sets}
    return [name for name, part in parts.items() if part is not None]


def _stored_columns(decision: "Decision | None") -> list[str]:
    """The same in predictions.csv, which says how probabilities were cross-fitted too."""
    is_cross_fitted = decision is not None and decision.calibration.of_folds
    return [*decision_columns(decision), *([CALIBRATION_FOLD] if is_cross_fitted else [])]


def _cells(predictions: Predictions, labels: Sequence[str], names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the cells of each document that are no probabilities."""
    columns = _stored_columns(predictions.decision)
    for row, predicted in enumerate(predictions.predicted):
        cells = [predictions.ids[row], predictions.splits[row]]
        cells += [format_labels(codes, names) for codes in (predictions.truth[row], predicted)]
        if "abstained" in columns:
            cells.append(abstention_reason(predicted))
        if "label_set" in columns:
            label_set = np.empty(0, dtype=bool) if predictions.label_sets is None else predictions.label_sets[row]
            cells += [format_labels(label_set, labels), str(np.count_nonzero(label_set))]
        if CALIBRATION_FOLD in columns:
            fold = -1 if predictions.calibration_folds is None else predictions.calibration_folds[row]
            cells.append("" if fold < 0 else str(fold + 1))
        yield cells


def predicted_codes(row: Any) -> list[int]:
    """One document's predicted labels or node as codes, none if it is left undecided. row: as in `format_labels`."""
    if np.ndim(row):
        return [int(column) for column in np.flatnonzero(row)]
    return [int(row)] if row >= 0 else []


def abstention_reason(code: Any) -> str:
    """Why a document is left undecided; "" for one that is decided. code: of its prediction."""
    return REASONS.get(int(code), "") if np.ndim(code) == 0 else ""


def read_predictions(
    tables: Sequence[Path],
    scores: NDArray[np.float32],
    labels: Sequence[str],
    kind: TargetKind,
    names: Sequence[str] | None = None,
    decision: "Decision | None" = None,
) -> Predictions:
    """Read what `write_predictions` wrote.

    Args:
        tables: predictions.csv of the run, or several that follow each other.
        scores: float32 (documents, labels); the last rows are of the documents of the tables.
        labels: the labels of the run.
        kind: the kind of the labels.
        names: of the codes of predictions, as in `write_predictions`.
        decision: what decided.

    Returns:
        The predictions.
    """
    further = _stored_columns(decision)
    rows = [row for table in tables for row in _read_rows(table, 4 + len(further))]
    ids, splits, *cells = map(list, zip(*rows, strict=True))
    truth, predicted, others = cells[0], cells[1], dict(zip(further, cells[2:], strict=True))
    code_of = {name: code for code, name in enumerate(names or labels)}
    true = _label_codes(truth, code_of, len(labels), kind)
    decided = _label_codes(predicted, code_of, len(labels), kind, others.get("abstained", ()))
    sets = others.get("label_set")
    label_sets = None if sets is None else _label_codes(sets, code_of, len(labels), "multilabel")
    folds = [int(fold or 0) - 1 for fold in others.get(CALIBRATION_FOLD, ())]
    calibration_folds = np.array(folds, dtype=np.int8) if folds else None
    last_scores = scores[len(scores) - len(ids) :]
    return Predictions(ids, splits, true, decided, last_scores, decision, label_sets, calibration_folds)


def _read_rows(table: Path, cells: int) -> list[list[str]]:
    """The first cells of each row of a table as they were written, without its header."""
    with table.open(encoding="utf-8", newline="") as file:
        text = file.read()
    if '"' in text:
        lines = csv.reader(io.StringIO(text, newline=""))
        next(lines)
        rows = [line[:cells] for line in lines]
    else:  # no cell has a comma or a line end, and the probabilities behind need not be divided
        rows = [line.split(",", cells)[:cells] for line in text.split("\n")[1:-1]]
    return [[restore(cell) for cell in row] for row in rows] if "'" in text else rows


def _label_codes(
    cells: Sequence[str], code_of: Mapping[str, int], labels: int, kind: TargetKind, reasons: Sequence[str] = ()
) -> NDArray[Any]:
    """The codes in `cells`; that of a cell with a reason is the code of the reason."""
    if kind != "multilabel":
        undecided = {reason: code for code, reason in REASONS.items()}
        if not any(reasons):
            return np.array([code_of[cell] for cell in cells], dtype=np.int64)
        pairs = zip(cells, reasons, strict=True)
        return np.array([undecided[reason] if reason else code_of[cell] for cell, reason in pairs], dtype=np.int64)
    codes = np.zeros((len(cells), labels), dtype=bool)
    for row, cell in enumerate(cells):
        codes[row, [code_of[label] for label in json.loads(cell)]] = True
    return codes
